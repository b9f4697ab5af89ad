// Few directions in which the outputs of embedding nets lie, to a tolerance.
#ifndef DPGEN_NATIVE_LOW_RANK_H
#define DPGEN_NATIVE_LOW_RANK_H

#include <vector>

namespace dpgen::native {

/// Orthonormal directions in a space of `width` dimensions, by falling importance.
struct Directions {
  int width = 0;
  std::vector<double> vectors{};    ///< [width][width]: one per column
  std::vector<double> values{};     ///< singular values

  double operator()(int channel, int direction) const { return vectors[channel * width + direction]; }
  /// How many singular values are above `tolerance` times the largest.
  int rank(double tolerance) const;
};

/// The singular value decomposition of samples [n][width]: reflections, then one-sided Jacobi rotations.
Directions find_directions(const std::vector<double> &samples, int width);

}    // namespace dpgen::native

#endif
