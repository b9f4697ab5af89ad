#include "deviation.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace dpgen {

void force_spread(const std::vector<const double *> &forces, std::size_t n_atoms, double relative, double *spread)
{
  const double n_models = static_cast<double>(forces.size());
  for (std::size_t i = 0; i < n_atoms; ++i) {
    double mean[3] = {0.0, 0.0, 0.0};
    for (const double *f : forces)
      for (int d = 0; d < 3; ++d) mean[d] += f[3 * i + d];
    for (double &m : mean) m /= n_models;
    double square = 0.0;
    for (const double *f : forces)
      for (int d = 0; d < 3; ++d) square += (f[3 * i + d] - mean[d]) * (f[3 * i + d] - mean[d]);
    spread[i] = std::sqrt(square / n_models);
    if (relative >= 0.0) spread[i] /= std::sqrt(mean[0] * mean[0] + mean[1] * mean[1] + mean[2] * mean[2]) + relative;
  }
}

SpreadSummary::SpreadSummary() : min(std::numeric_limits<double>::max()) {}

void SpreadSummary::add(double spread)
{
  ++count;
  if (!std::isfinite(spread)) {
    ++not_finite;
    return;
  }
  max = std::max(max, spread);
  min = std::min(min, spread);
  sum += spread;
}

void SpreadSummary::finish(Deviation &deviation) const
{
  if (not_finite > 0) {
    deviation.max_f = deviation.min_f = deviation.avg_f = std::numeric_limits<double>::quiet_NaN();
  } else if (count == 0) {
    deviation.max_f = deviation.min_f = deviation.avg_f = 0.0;
  } else {
    deviation.max_f = max;
    deviation.min_f = min;
    deviation.avg_f = sum / static_cast<double>(count);
  }
}

void virial_deviation(const std::vector<Virial> &virials, double n_atoms, double relative, Deviation &deviation)
{
  const double n_models = static_cast<double>(virials.size());
  double max = 0.0, min = std::numeric_limits<double>::max(), square_sum = 0.0;
  for (int c = 0; c < 9; ++c) {
    double mean = 0.0, square = 0.0;
    for (const Virial &v : virials) mean += v[c] / n_atoms;
    mean /= n_models;
    for (const Virial &v : virials) square += (v[c] / n_atoms - mean) * (v[c] / n_atoms - mean);
    double spread = std::sqrt(square / n_models);
    if (relative >= 0.0) spread /= std::abs(mean) + relative;
    if (!std::isfinite(spread)) {
      deviation.max_v = deviation.min_v = deviation.avg_v = std::numeric_limits<double>::quiet_NaN();
      return;
    }
    max = std::max(max, spread);
    min = std::min(min, spread);
    square_sum += spread * spread;
  }
  deviation.max_v = max;
  deviation.min_v = min;
  deviation.avg_v = std::sqrt(square_sum / 9.0);
}

}    // namespace dpgen
