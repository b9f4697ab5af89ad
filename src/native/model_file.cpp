#include "native/model_file.h"

#include "errors.h"
#include "sha256.h"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace dpgen::native {

namespace {

const std::string magic = "DPGENNK";    // and the version, 1 or 2
constexpr std::size_t header_size = 8 + 8 + 32;
constexpr int max_types = 256, max_width = 1 << 16, max_layers = 64, max_steps = 1 << 22;

class Reader {
 public:
  Reader(const std::string &content, std::string name) : content_(content), name_(std::move(name)) {}

  [[noreturn]] void refuse(const std::string &why) const
  {
    throw ModelError("converted model '" + name_ + "' " + why + "; delete it and convert the model again");
  }

  void skip(std::size_t n) { take(n); }

  std::uint64_t size_field()
  {
    std::uint64_t value = 0;
    const unsigned char *bytes = reinterpret_cast<const unsigned char *>(take(8));
    for (int k = 7; k >= 0; --k) value = value << 8 | bytes[k];
    return value;
  }

  int integer(const char *what, int low, int high)
  {
    std::uint32_t value = 0;
    const unsigned char *bytes = reinterpret_cast<const unsigned char *>(take(4));
    for (int k = 3; k >= 0; --k) value = value << 8 | bytes[k];
    const auto number = static_cast<std::int32_t>(value);
    if (number < low || number > high)
      refuse(std::string("has ") + what + " = " + std::to_string(number) + ", not " + std::to_string(low) + " to " +
             std::to_string(high));
    return number;
  }

  double number(const char *what)
  {
    static_assert(sizeof(double) == 8);
    const std::uint64_t bits = size_field();
    double value;
    std::memcpy(&value, &bits, 8);
    if (!std::isfinite(value)) refuse(std::string("has a number that is not finite: ") + what);
    return value;
  }

  std::vector<double> numbers(std::size_t n, const char *what)
  {
    if (n > (content_.size() - at_) / 8) refuse(std::string("ends within ") + what);
    std::vector<double> values(n);
    for (double &value : values) value = number(what);
    return values;
  }

  std::string text()
  {
    const int n = integer("the length of an element's name", 1, 64);
    return std::string(take(n), n);
  }

  bool at_end() const { return at_ == content_.size(); }

 private:
  const char *take(std::size_t n)
  {
    if (n > content_.size() - at_) refuse("ends too early");
    at_ += n;
    return content_.data() + at_ - n;
  }

  const std::string &content_;
  std::string name_;
  std::size_t at_ = 0;
};

std::string hexadecimal(const std::string &bytes)
{
  static const char *digits = "0123456789abcdef";
  std::string text;
  for (unsigned char byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

Layer read_layer(Reader &reader, int n_in)
{
  Layer layer;
  layer.n_in = reader.integer("inputs of a layer", n_in, n_in);
  layer.n_out = reader.integer("outputs of a layer", 1, max_width);
  layer.activation = static_cast<Activation>(reader.integer("the activation function", 0, 4));
  layer.resnet = reader.integer("resnet", 0, 1) != 0;
  const bool has_bias = reader.integer("bias", 0, 1) != 0, has_idt = reader.integer("idt", 0, 1) != 0;
  layer.weights = reader.numbers(static_cast<std::size_t>(layer.n_in) * layer.n_out, "weights");
  layer.bias = has_bias ? reader.numbers(layer.n_out, "a bias") : std::vector<double>(layer.n_out, 0.0);
  layer.idt = has_idt ? reader.numbers(layer.n_out, "an idt") : std::vector<double>(layer.n_out, 1.0);
  return layer;
}

Net read_net(Reader &reader, int n_in)
{
  Net net(reader.integer("layers of a net", 1, max_layers));
  for (Layer &layer : net) {
    layer = read_layer(reader, n_in);
    n_in = layer.n_out;
  }
  return net;
}

Table read_table(Reader &reader)
{
  Table table;
  table.width = reader.integer("outputs of a table", 1, max_width);
  table.n_steps = reader.integer("steps of a table", 1, max_steps);
  for (double *number : {&table.lower, &table.upper, &table.end, &table.step, &table.coarse_step})
    *number = reader.number("the grids of a table");
  const double n_fine = (table.upper - table.lower) / table.step,
               n_coarse = (table.end - table.upper) / table.coarse_step;
  if (!(table.step > 0.0 && table.coarse_step > 0.0 && n_fine >= 1.0 && n_coarse >= 0.0 &&
        n_fine + n_coarse < max_steps))
    reader.refuse("has a table with impossible grids");
  if (table.n_steps < table.n_fine() + table.n_coarse()) reader.refuse("has a table that is shorter than its grids");
  table.coefficients = reader.numbers(6 * static_cast<std::size_t>(table.n_steps) * table.width, "a table");
  return table;
}

Embedding read_embedding(Reader &reader, bool extended)
{
  if (extended && reader.integer("the form of an embedding net", 0, 1) == 1) return {{}, read_table(reader)};
  return {read_net(reader, 1), {}};
}

void read_nets(Reader &reader, Model &model, bool extended)
{
  const int n = model.n_types(), n_embeddings = model.one_side ? n : n * n;
  reader.integer("embedding nets", n_embeddings, n_embeddings);
  for (int k = 0; k < n_embeddings; ++k) {
    model.embeddings.push_back(read_embedding(reader, extended));
    if (model.embeddings.back().width() != model.width()) reader.refuse("has embedding nets of several widths");
  }
  if (model.axis > model.width()) reader.refuse("has more axis neurons than the embedding nets have outputs");
  const long n_descriptor = static_cast<long>(model.width()) * model.axis;
  if (n_descriptor > 1 << 24) reader.refuse("has too large a descriptor");
  reader.integer("fitting nets", n, n);
  for (int k = 0; k < n; ++k) {
    model.fittings.push_back(read_net(reader, static_cast<int>(n_descriptor)));
    const Layer &last = model.fittings.back().back();
    if (last.n_out != 1 || last.activation != Activation::linear || last.copies() != 0)
      reader.refuse("has a fitting net that does not end in one plain number");
  }
}

void read_statistics(Reader &reader, Model &model)
{
  for (auto *table : {&model.averages, &model.deviations})
    for (int t = 0; t < model.n_types(); ++t) {
      std::array<double, 4> row;
      for (double &value : row) value = reader.number("statistics");
      table->push_back(row);
    }
  for (int t = 0; t < model.n_types(); ++t) {
    const auto &average = model.averages[t], &deviation = model.deviations[t];
    for (int k = 0; k < 4; ++k) {
      if (!(deviation[k] > 0.0)) reader.refuse("has a standard deviation that is not positive");
      if (k > 0 && average[k] != 0.0) reader.refuse("has averages of directions that are not 0");
      if (k > 1 && deviation[k] != deviation[1]) reader.refuse("has statistics that differ between directions");
    }
  }
  model.energy_shifts = reader.numbers(model.n_types(), "energy shifts");
}

std::string cache_folder()
{
  const auto set = [](const char *name) {
    const char *value = std::getenv(name);
    return std::string(value ? value : "");
  };
  if (!set("DPGEN_NATIVE_CACHE").empty()) return set("DPGEN_NATIVE_CACHE");
  if (!set("XDG_CACHE_HOME").empty()) return set("XDG_CACHE_HOME") + "/lammps-dpgen/native";
  return set("HOME") + "/.cache/lammps-dpgen/native";
}

bool is_current(const std::string &converted)
{
  std::ifstream file(converted, std::ios::binary);
  std::string begin(magic.size(), '\0');
  return file.read(begin.data(), static_cast<std::streamsize>(begin.size())) && begin == magic;
}

// What a conversion that failed has left instead, in one line; empty if there is nothing.
std::string refusal(const std::string &converted)
{
  std::ifstream file(converted + "-refused");
  std::string line;
  std::getline(file, line);
  return line;
}

}    // namespace

std::string converted_model_path(const std::string &model_path, const std::string &model_hash)
{
  std::error_code ignored;
  const std::filesystem::path real = std::filesystem::canonical(model_path, ignored);
  const std::string name = model_hash + ".dpgen-native", cached = cache_folder() + "/" + name;
  std::string why;
  for (const std::string &file : {(real.parent_path() / name).string(), cached}) {
    if (is_current(file)) return file;
    if (why.empty()) why = refusal(file);
  }
  if (!why.empty()) throw ModelError(why);
  throw ModelError(
      "model file '" + model_path +
      "' has not been converted for the native kernel, which is faster: run "
      "'lammps-dpgen kernel-test' or 'python -m lammps_dpgen.native.convert' with it (looked beside it and "
      "for " +
      cached + ")");
}

Model parse_model(const std::string &content, const std::string &name)
{
  Reader reader(content, name);
  const char version = content.size() > magic.size() ? content[magic.size()] : '0';
  if (content.compare(0, magic.size(), magic) != 0 || (version != '1' && version != '2'))
    reader.refuse("is no converted model of this version");
  reader.skip(magic.size() + 1);
  if (reader.size_field() != content.size() - header_size) reader.refuse("has not the size that it says");
  reader.skip(32);
  if (sha256(content.substr(header_size)) != hexadecimal(content.substr(header_size - 32, 32)))
    reader.refuse("is damaged");

  Model model;
  const int n_types = reader.integer("types", 1, max_types);
  for (int t = 0; t < n_types; ++t) model.type_map.push_back(reader.text());
  model.cutoff = reader.number("the cut-off");
  model.cutoff_smooth = reader.number("the smooth cut-off");
  model.shortest = reader.number("the shortest distance");
  if (!(model.cutoff > model.cutoff_smooth && model.cutoff_smooth >= 0.0 && model.cutoff < 1e3))
    reader.refuse("has impossible cut-offs");
  for (int t = 0; t < n_types; ++t) model.sel.push_back(reader.integer("sel", 0, 1 << 20));
  if (model.sel_sum() == 0) reader.refuse("sees no neighbours (sel is 0)");
  model.axis = reader.integer("axis neurons", 1, max_width);
  model.one_side = reader.integer("one-sided", 0, 1) != 0;
  // Version 2 has tables and nets in single precision.
  const bool extended = version == '2';
  model.single = extended && reader.integer("single precision", 0, 1) != 0;
  read_statistics(reader, model);
  read_nets(reader, model, extended);
  if (!reader.at_end()) reader.refuse("has something after its end");
  return model;
}

Model read_model(const std::string &path)
{
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  if (!file || !(content << file.rdbuf())) throw ModelError("converted model '" + path + "' cannot be read");
  return parse_model(content.str(), path);
}

}    // namespace dpgen::native
