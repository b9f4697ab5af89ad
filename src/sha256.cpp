#include "sha256.h"

#include "errors.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <sstream>

#if defined(__x86_64__) && defined(__GNUC__)
#define DPGEN_SHA_INSTRUCTIONS
#include <cpuid.h>
#include <immintrin.h>
#endif

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

using Absorb = void (*)(const unsigned char *block, std::array<std::uint32_t, 8> &state, const Constants &k);

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

#ifdef DPGEN_SHA_INSTRUCTIONS

// The same with the processor's own instructions, several times as fast: model files are hashed while MD waits. They
// keep the state as the two halves a, b, e, f and c, d, g, h, the first letter in the highest place.
__attribute__((target("sha,sse4.1"))) void absorb_fast(const unsigned char *block, std::array<std::uint32_t, 8> &state,
                                                       const Constants &k)
{
  const auto [a, b, c, d, e, f, g, h] = state;
  const __m128i abef = _mm_set_epi32(a, b, e, f), cdgh = _mm_set_epi32(c, d, g, h);
  const __m128i big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
  __m128i w[4];
  for (int i = 0; i < 4; ++i)
    w[i] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i *>(block + 16 * i)), big_endian);

  __m128i high = abef, low = cdgh;
  for (int i = 0; i < 16; ++i) {    // four rounds each
    const __m128i sum = _mm_add_epi32(w[0], _mm_loadu_si128(reinterpret_cast<const __m128i *>(&k.round[4 * i])));
    low = _mm_sha256rnds2_epu32(low, high, sum);
    high = _mm_sha256rnds2_epu32(high, low, _mm_shuffle_epi32(sum, 0x0e));
    const __m128i next = _mm_add_epi32(_mm_sha256msg1_epu32(w[0], w[1]), _mm_alignr_epi8(w[3], w[2], 4));
    const __m128i newest = _mm_sha256msg2_epu32(next, w[3]);
    for (int j = 0; j < 3; ++j) w[j] = w[j + 1];
    w[3] = newest;
  }
  high = _mm_add_epi32(high, abef);
  low = _mm_add_epi32(low, cdgh);
  std::array<std::uint32_t, 4> feba, hgdc;
  _mm_storeu_si128(reinterpret_cast<__m128i *>(feba.data()), high);
  _mm_storeu_si128(reinterpret_cast<__m128i *>(hgdc.data()), low);
  state = {feba[3], feba[2], hgdc[3], hgdc[2], feba[1], feba[0], hgdc[1], hgdc[0]};
}

bool has_sha_instructions()
{
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & (1u << 29))) return false;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_SSE4_1) && (c & bit_SSSE3);
}

Absorb fastest_absorb()
{
  return has_sha_instructions() ? absorb_fast : absorb;
}

#else

Absorb fastest_absorb()
{
  return absorb;
}

#endif

}    // namespace

std::string sha256(const std::string &data)
{
  static const Constants constants;
  static const Absorb absorb_block = fastest_absorb();
  std::string padded = data + '\x80';
  while (padded.size() % 64 != 56) padded += '\0';
  const std::uint64_t bits = 8ull * data.size();
  for (int shift = 56; shift >= 0; shift -= 8) padded += static_cast<char>(bits >> shift & 0xff);

  std::array<std::uint32_t, 8> state = constants.start;
  for (std::size_t i = 0; i < padded.size(); i += 64)
    absorb_block(reinterpret_cast<const unsigned char *>(padded.data()) + i, state, constants);

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
