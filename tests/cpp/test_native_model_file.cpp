#include "native/model_file.h"

#include "errors.h"
#include "sha256.h"
#include "test.h"

#include <cstdint>
#include <cstring>
#include <random>

using namespace dpgen;
using namespace dpgen::native;

namespace {

void add_int(std::string &body, std::int32_t value)
{
  for (int k = 0; k < 4; ++k) body += static_cast<char>(static_cast<std::uint32_t>(value) >> 8 * k & 0xff);
}

void add_numbers(std::string &body, int n, double value)
{
  std::uint64_t bits;
  std::memcpy(&bits, &value, 8);
  for (int i = 0; i < n; ++i)
    for (int k = 0; k < 8; ++k) body += static_cast<char>(bits >> 8 * k & 0xff);
}

void add_layer(std::string &body, int n_in, int n_out, int activation)
{
  for (int value : {n_in, n_out, activation, 1, 1, 0}) add_int(body, value);
  add_numbers(body, n_in * n_out + n_out, 0.25);
}

std::string body_of_model()
{
  std::string body;
  add_int(body, 1);
  add_int(body, 2);
  body += "Al";
  add_numbers(body, 1, 6.0);
  add_numbers(body, 1, 0.5);
  add_numbers(body, 1, 2.2);
  add_int(body, 40);
  add_int(body, 2);
  add_int(body, 1);
  add_int(body, 0);
  add_numbers(body, 1, 0.1);
  add_numbers(body, 3, 0.0);
  add_numbers(body, 4, 0.1);
  add_numbers(body, 1, -3.5);
  add_int(body, 1);
  add_int(body, 0);
  add_int(body, 2);
  add_layer(body, 1, 3, 1);
  add_layer(body, 3, 3, 1);
  add_int(body, 1);
  add_int(body, 2);
  add_layer(body, 6, 5, 1);
  add_layer(body, 5, 1, 0);
  return body;
}

std::string with_header(const std::string &body)
{
  std::string content = "DPGENNK2", digest = sha256(body);
  for (int k = 0; k < 8; ++k) content += static_cast<char>(static_cast<std::uint64_t>(body.size()) >> 8 * k & 0xff);
  for (std::size_t k = 0; k < digest.size(); k += 2)
    content += static_cast<char>(std::stoi(digest.substr(k, 2), nullptr, 16));
  return content + body;
}

}    // namespace

TEST(native_model_file, "a model is read")
{
  const Model model = parse_model(with_header(body_of_model()), "m");
  CHECK(model.type_map == std::vector<std::string>{"Al"});
  CHECK(model.sel_sum() == 40);
  CHECK(model.width() == 3);
  CHECK_NEAR(model.shortest, 2.2, 0.0);
  CHECK(model.embeddings[0].net[1].copies() == 1);
}

TEST(native_model_file, "a file that is cut off or damaged is refused")
{
  const std::string content = with_header(body_of_model());
  for (std::size_t n = 0; n < content.size(); ++n)
    CHECK_THROWS(parse_model(content.substr(0, n), "m"), ModelError, "delete it and convert");
  for (std::size_t at = 0; at < content.size(); ++at) {
    std::string damaged = content;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    CHECK_THROWS(parse_model(damaged, "m"), ModelError, "delete it and convert");
  }
  CHECK_THROWS(parse_model(content + "x", "m"), ModelError, "size");
}

TEST(native_model_file, "a body with a right checksum is read or refused, never more")
{
  std::mt19937 random(11);
  const std::string body = body_of_model();
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string changed = body;
    for (int k = static_cast<int>(random() % 3); k >= 0; --k)
      changed[random() % changed.size()] = static_cast<char>(random());
    if (round % 5 == 0) changed.resize(random() % (changed.size() + 20));
    try {
      CHECK(parse_model(with_header(changed), "m").n_types() == 1);
    } catch (const ModelError &) {
      ++refused;
    }
  }
  CHECK(refused > 500);
}

TEST(native_model_file, "what no model can be is refused by name")
{
  std::string body = body_of_model();
  const auto with = [&](std::size_t at, std::int32_t value) {
    std::string changed = body, bytes;
    add_int(bytes, value);
    return parse_model(with_header(changed.replace(at, 4, bytes)), "m");
  };
  CHECK_THROWS(with(0, 0), ModelError, "types");
  CHECK_THROWS(with(10 + 24, 0), ModelError, "sel");
  CHECK_THROWS(with(10 + 28, 9), ModelError, "axis neurons");
  CHECK_THROWS(with(10 + 24, -1), ModelError, "sel");
  CHECK_THROWS(read_model("no-such-file"), ModelError, "cannot be read");
}
