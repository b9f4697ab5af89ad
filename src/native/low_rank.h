// Few directions in which the outputs of embedding nets lie, to a tolerance.
#ifndef DPGEN_NATIVE_LOW_RANK_H
#define DPGEN_NATIVE_LOW_RANK_H

#include <vector>

namespace dpgen::native {

/// Orthonormal directions in a space of `width` dimensions.
struct LowRank {
  int width = 0, rank = 0;
  std::vector<double> directions{};    ///< [width][rank], by falling importance

  double operator()(int channel, int direction) const { return directions[channel * rank + direction]; }
};

/// The singular value decomposition (one-sided Jacobi rotations) of samples [n][width], cut off where singular values
/// fall below `tolerance` times the largest.
LowRank find_low_rank(std::vector<double> samples, int width, double tolerance);

}    // namespace dpgen::native

#endif
