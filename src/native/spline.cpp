#include "native/spline.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace dpgen::native {

namespace {

// Beyond each end the function is sampled this many steps further: what is unknown there dies away as 0.54^n.
constexpr int margin = 64;

// Number of samples whose polynomial continues a function.
constexpr int n_continued = 9;

// Row `to` of samples from the `n_continued` rows that begin at `from`, by Lagrange's formula.
void continue_samples(std::vector<double> &samples, int width, int from, int to)
{
  for (int c = 0; c < width; ++c) samples[static_cast<std::size_t>(to) * width + c] = 0.0;
  for (int i = 0; i < n_continued; ++i) {
    double weight = 1.0;
    for (int j = 0; j < n_continued; ++j)
      if (j != i) weight *= static_cast<double>(to - from - j) / (i - j);
    for (int c = 0; c < width; ++c)
      samples[static_cast<std::size_t>(to) * width + c] +=
          weight * samples[static_cast<std::size_t>(from + i) * width + c];
  }
}

}    // namespace

std::vector<double> fit_spline(const SplineGrid &grid, int width, const std::function<void(double, double *)> &value,
                               bool within)
{
  // Function k is symmetric about the point k - 3 (in steps), where it and the three on either side are not 0.
  const int n = grid.n_basis + 2 * margin;
  std::vector<double> right(static_cast<std::size_t>(n) * width);
  const int first = within ? margin + 3 : 0, last = within ? first + grid.n_intervals() : n - 1;
  for (int k = first; k <= last; ++k) value((k - margin - 3) * grid.step, &right[static_cast<std::size_t>(k) * width]);
  for (int k = 0; k < first; ++k) continue_samples(right, width, first, k);
  for (int k = last + 1; k < n; ++k) continue_samples(right, width, last + 1 - n_continued, k);

  // Gauss elimination of the symmetric band matrix with entries b(4 + d), d = -3 ... 3.
  std::array<double, 4> band{};
  for (int d = 0; d < 4; ++d) band[d] = polynomials.power[0][3 + d];
  std::vector<std::array<double, 7>> rows(n);
  for (int i = 0; i < n; ++i)
    for (int d = -3; d <= 3; ++d) rows[i][d + 3] = band[std::abs(d)];
  for (int i = 0; i < n; ++i)
    for (int below = 1; below <= 3 && i + below < n; ++below) {
      const double factor = rows[i + below][3 - below] / rows[i][3];
      for (int d = 0; d <= 3; ++d) rows[i + below][3 - below + d] -= factor * rows[i][3 + d];
      for (int c = 0; c < width; ++c)
        right[static_cast<std::size_t>(i + below) * width + c] -=
            factor * right[static_cast<std::size_t>(i) * width + c];
    }
  for (int i = n - 1; i >= 0; --i)
    for (int c = 0; c < width; ++c) {
      double sum = right[static_cast<std::size_t>(i) * width + c];
      for (int d = 1; d <= 3 && i + d < n; ++d)
        sum -= rows[i][3 + d] * right[static_cast<std::size_t>(i + d) * width + c];
      right[static_cast<std::size_t>(i) * width + c] = sum / rows[i][3];
    }
  const auto begin = right.begin() + static_cast<std::ptrdiff_t>(margin) * width;
  return {begin, begin + static_cast<std::ptrdiff_t>(grid.n_basis) * width};
}

void evaluate_spline(const SplineGrid &grid, const std::vector<double> &coefficients, int width, double s,
                     double *value, double *derivative)
{
  const double u = s / grid.step;
  const int first = std::clamp(static_cast<int>(u), 0, grid.n_intervals() - 1);
  const double t = u - first;
  std::fill_n(value, width, 0.0);
  std::fill_n(derivative, width, 0.0);
  for (int k = 0; k < spline_order; ++k) {
    double b = 0.0, slope = 0.0;
    for (int power = spline_order - 1; power >= 0; --power) {
      slope = slope * t + b;
      b = b * t + polynomials.power[power][k];
    }
    const double *row = &coefficients[static_cast<std::size_t>(first + k) * width];
    for (int c = 0; c < width; ++c) {
      value[c] += b * row[c];
      derivative[c] += slope / grid.step * row[c];
    }
  }
}

}    // namespace dpgen::native
