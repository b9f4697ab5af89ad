// The basis functions of splines of degree 7 on equal steps, as polynomials within a step.
#ifndef DPGEN_NATIVE_SPLINE_POLYNOMIALS_H
#define DPGEN_NATIVE_SPLINE_POLYNOMIALS_H

namespace dpgen::native {

constexpr int spline_order = 8;    ///< basis functions at a point

/// power[p][k]: factor of t^p in function k, at the place t (0 to 1) within a step.
///
/// The truncated-power form of the function is b(x) = sum_j (-1)^j binomial(8, j) (x - j)_+^7 / 7!, 0 < x < 8; function
/// k is b(7 - k + t).
struct SplinePolynomials {
  double power[spline_order][spline_order] = {};

  constexpr SplinePolynomials()
  {
    double binomial[spline_order + 1][spline_order + 1] = {};
    for (int n = 0; n <= spline_order; ++n)
      for (int k = 0; k <= n; ++k)
        binomial[n][k] = k == 0 || k == n ? 1.0 : binomial[n - 1][k - 1] + binomial[n - 1][k];
    for (int k = 0; k < spline_order; ++k)
      for (int p = 0; p < spline_order; ++p)
        for (int j = 0; j < spline_order - k; ++j) {
          double term = (j % 2 ? -1.0 : 1.0) * binomial[8][j] * binomial[7][p] / 5040.0;
          for (int n = p; n < 7; ++n) term *= 7.0 - k - j;
          power[p][k] += term;
        }
  }
};

inline constexpr SplinePolynomials polynomials{};

}    // namespace dpgen::native

#endif
