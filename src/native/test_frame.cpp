#include "native/test_frame.h"

#include <cmath>
#include <cstdint>

namespace dpgen::native {

namespace {

// Numbers between 0 and 1, the same everywhere: the linear congruential generator of Knuth's MMIX.
class Numbers {
 public:
  double next()
  {
    state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<double>(state_ >> 11) / 9007199254740992.0;
  }

 private:
  std::uint64_t state_ = 20181127;
};

}    // namespace

TestFrame test_frame(int n_types, double distance)
{
  constexpr double sites[4][3] = {{0.0, 0.0, 0.0}, {0.5, 0.5, 0.0}, {0.5, 0.0, 0.5}, {0.0, 0.5, 0.5}};
  const double edge = distance * std::sqrt(2.0);
  TestFrame frame;
  Numbers numbers;
  for (int k = 1; k < 32; ++k) {
    const int corner[3] = {k / 4 % 2, k / 8 % 2, k / 16 % 2};
    for (int d = 0; d < 3; ++d)
      frame.positions.push_back(edge * (corner[d] + sites[k % 4][d] + 0.12 * (numbers.next() - 0.5)));
    frame.types.push_back(static_cast<int>(numbers.next() * n_types));
  }
  frame.cell = {2 * edge, 0.0, 0.0, 0.07 * edge, 2 * edge, 0.0, -0.05 * edge, 0.1 * edge, 2 * edge};
  return frame;
}

}    // namespace dpgen::native
