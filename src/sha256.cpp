#include "sha256.h"

#include "errors.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <sstream>

namespace dpgen {

namespace {

// The standard defines its constants as the first 32 bits of the fractional parts of roots of the first primes.
struct Constants {
  std::array<std::uint32_t, 64> round;
  std::array<std::uint32_t, 8> start;

  Constants()
  {
    const auto fraction = [](long double root) {
      return static_cast<std::uint32_t>((root - std::floor(root)) * 4294967296.0L);
    };
    int found = 0;
    for (int n = 2; found < 64; ++n) {
      bool prime = true;
      for (int d = 2; d * d <= n; ++d) prime = prime && n % d != 0;
      if (!prime) continue;
      round[found] = fraction(std::cbrt(static_cast<long double>(n)));
      if (found < 8) start[found] = fraction(std::sqrt(static_cast<long double>(n)));
      ++found;
    }
  }
};

std::uint32_t rotate(std::uint32_t x, int n)
{
  return (x >> n) | (x << (32 - n));
}

void absorb(const unsigned char *block, std::array<std::uint32_t, 8> &state, const Constants &k)
{
  std::array<std::uint32_t, 64> w;
  for (int i = 0; i < 16; ++i)
    w[i] = std::uint32_t(block[4 * i]) << 24 | std::uint32_t(block[4 * i + 1]) << 16 |
        std::uint32_t(block[4 * i + 2]) << 8 | std::uint32_t(block[4 * i + 3]);
  for (int i = 16; i < 64; ++i) {
    const std::uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ (w[i - 15] >> 3);
    const std::uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ (w[i - 2] >> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (int i = 0; i < 64; ++i) {
    const std::uint32_t s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const std::uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + k.round[i] + w[i];
    const std::uint32_t s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const std::uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  const std::array<std::uint32_t, 8> mixed{a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; ++i) state[i] += mixed[i];
}

}    // namespace

std::string sha256(const std::string &data)
{
  static const Constants constants;
  std::string padded = data + '\x80';
  while (padded.size() % 64 != 56) padded += '\0';
  const std::uint64_t bits = 8ull * data.size();
  for (int shift = 56; shift >= 0; shift -= 8) padded += static_cast<char>(bits >> shift & 0xff);

  std::array<std::uint32_t, 8> state = constants.start;
  for (std::size_t i = 0; i < padded.size(); i += 64)
    absorb(reinterpret_cast<const unsigned char *>(padded.data()) + i, state, constants);

  static const char *digits = "0123456789abcdef";
  std::string text;
  for (std::uint32_t word : state)
    for (int shift = 28; shift >= 0; shift -= 4) text += digits[word >> shift & 0xf];
  return text;
}

std::string sha256_of_file(const std::string &path)
{
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  if (!file || !(content << file.rdbuf())) throw FileError("file '" + path + "' cannot be read or is empty");
  return sha256(content.str());
}

}    // namespace dpgen
