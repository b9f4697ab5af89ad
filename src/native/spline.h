// Splines of degree 7 on equal steps: how the kernel holds an embedding net, a smooth function of one number.
//
// A net's output is a sum of coefficients times basis functions that are the same for all channels and all models, and
// of which only eight differ from 0 at any point.
#ifndef DPGEN_NATIVE_SPLINE_H
#define DPGEN_NATIVE_SPLINE_H

#include "native/spline_polynomials.h"

#include <functional>
#include <vector>

namespace dpgen::native {

/// n_basis functions on [0, end]; at s, with u = s / step and k = floor(u), those from k to k + 7 differ from 0.
struct SplineGrid {
  double end = 0.0, step = 0.0;
  int n_basis = 0;

  SplineGrid() = default;
  SplineGrid(double the_end, int n_intervals) :
      end(the_end), step(the_end / n_intervals), n_basis(n_intervals + spline_order - 1)
  {
  }
  int n_intervals() const { return n_basis - spline_order + 1; }
};

/// Coefficients [n_basis][width] of the spline that goes through a function: `value(s, out)` writes `width` numbers.
///
/// The function must be smooth somewhat beyond both ends of the grid; with `within`, it is known on the grid alone, and
/// continued by polynomials.
std::vector<double> fit_spline(const SplineGrid &grid, int width, const std::function<void(double, double *)> &value,
                               bool within = false);

/// Values and derivatives of a spline at s, `width` numbers each.
void evaluate_spline(const SplineGrid &grid, const std::vector<double> &coefficients, int width, double s,
                     double *value, double *derivative);

}    // namespace dpgen::native

#endif
