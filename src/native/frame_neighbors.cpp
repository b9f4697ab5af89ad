#include "native/frame_neighbors.h"

#include "errors.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace dpgen::native {

namespace {

// Rows of the result, times a position, give the place along each cell vector, 0 to 1.
std::array<double, 9> inverse_of(const double *cell)
{
  std::array<double, 9> inverse;
  for (int d = 0; d < 3; ++d) {
    const double *a = cell + 3 * ((d + 1) % 3), *b = cell + 3 * ((d + 2) % 3);
    const double normal[3] = {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
    const double volume = normal[0] * cell[3 * d] + normal[1] * cell[3 * d + 1] + normal[2] * cell[3 * d + 2];
    if (!(std::abs(volume) > 0.0)) throw ModelError("the cell of the frame has no volume");
    for (int k = 0; k < 3; ++k) inverse[3 * d + k] = normal[k] / volume;
  }
  return inverse;
}

double place(const double *inverse, int d, const double *x)
{
  return inverse[3 * d] * x[0] + inverse[3 * d + 1] * x[1] + inverse[3 * d + 2] * x[2];
}

constexpr double max_images = 1e7;

}    // namespace

FrameNeighbors::FrameNeighbors(int n_atoms, const double *positions, const int *types, const double *cell,
                               double cutoff) :
    n_atoms_(n_atoms), positions_(positions, positions + 3 * static_cast<std::size_t>(n_atoms)),
    types_(types, types + n_atoms)
{
  if (cell) {
    const std::array<double, 9> inverse = inverse_of(cell);
    wrap(cell, inverse.data());
    add_images(cell, inverse.data(), cutoff);
  }
  find_pairs(cutoff);
}

void FrameNeighbors::wrap(const double *cell, const double *inverse)
{
  for (int i = 0; i < n_atoms_; ++i) {
    double *x = &positions_[3 * static_cast<std::size_t>(i)];
    const double shifts[3] = {std::floor(place(inverse, 0, x)), std::floor(place(inverse, 1, x)),
                              std::floor(place(inverse, 2, x))};
    for (int d = 0; d < 3; ++d)
      for (int k = 0; k < 3; ++k) x[k] -= shifts[d] * cell[3 * d + k];
  }
}

void FrameNeighbors::add_images(const double *cell, const double *inverse, double cutoff)
{
  double reach[3], images = n_atoms_;    // of the cut-off along each cell vector, in cells
  int range[3];
  for (int d = 0; d < 3; ++d) {
    const double *row = inverse + 3 * d;
    reach[d] = cutoff * std::sqrt(row[0] * row[0] + row[1] * row[1] + row[2] * row[2]) + 1e-9;
    images *= 2.0 * reach[d] + 1.0;
    range[d] = static_cast<int>(std::ceil(std::min(reach[d], 1e6)));
  }
  if (!(images < max_images)) throw ModelError("the cell is too small for the cut-off: it needs too many images");
  for (int a = -range[0]; a <= range[0]; ++a)
    for (int b = -range[1]; b <= range[1]; ++b)
      for (int c = -range[2]; c <= range[2]; ++c) {
        if (a == 0 && b == 0 && c == 0) continue;
        const int shift[3] = {a, b, c};
        for (int i = 0; i < n_atoms_; ++i) {
          double x[3];
          bool needed = true;
          for (int k = 0; k < 3; ++k)
            x[k] = positions_[3 * static_cast<std::size_t>(i) + k] + a * cell[k] + b * cell[3 + k] + c * cell[6 + k];
          for (int d = 0; d < 3; ++d) {
            const double at = place(inverse, d, &positions_[3 * static_cast<std::size_t>(i)]) + shift[d];
            needed = needed && at >= -reach[d] && at <= 1.0 + reach[d];
          }
          if (!needed) continue;
          positions_.insert(positions_.end(), x, x + 3);
          types_.push_back(types_[i]);
          owners_.push_back(i);
        }
      }
}

void FrameNeighbors::find_pairs(double cutoff)
{
  const std::size_t n_all = types_.size();
  double low[3] = {}, high[3] = {};
  int bins[3];
  for (int d = 0; d < 3; ++d) {
    low[d] = high[d] = n_all > 0 ? positions_[d] : 0.0;
    for (std::size_t i = 0; i < n_all; ++i) {
      low[d] = std::min(low[d], positions_[3 * i + d]);
      high[d] = std::max(high[d], positions_[3 * i + d]);
    }
    const double n = (high[d] - low[d]) / cutoff;
    bins[d] = n >= 1.0 ? static_cast<int>(std::min(n, 100.0)) : 1;
  }
  const auto bin_of = [&](std::size_t i, int d) {
    const double at = (positions_[3 * i + d] - low[d]) / (high[d] - low[d] + 1e-300) * bins[d];
    return at > 0.0 ? std::min(static_cast<int>(std::min(at, 1e6)), bins[d] - 1) : 0;
  };
  std::vector<std::vector<int>> members(static_cast<std::size_t>(bins[0]) * bins[1] * bins[2]);
  for (std::size_t i = 0; i < n_all; ++i)
    members[(static_cast<std::size_t>(bin_of(i, 0)) * bins[1] + bin_of(i, 1)) * bins[2] + bin_of(i, 2)].push_back(
        static_cast<int>(i));

  const double limit = cutoff * cutoff;
  std::vector<std::size_t> starts;
  for (int i = 0; i < n_atoms_; ++i) {
    starts.push_back(neighbors_.size());
    const double *x = &positions_[3 * static_cast<std::size_t>(i)];
    int from[3], to[3];
    for (int d = 0; d < 3; ++d) {
      from[d] = std::max(0, bin_of(i, d) - 1);
      to[d] = std::min(bins[d] - 1, bin_of(i, d) + 1);
    }
    for (int a = from[0]; a <= to[0]; ++a)
      for (int b = from[1]; b <= to[1]; ++b)
        for (int c = from[2]; c <= to[2]; ++c)
          for (int j : members[(static_cast<std::size_t>(a) * bins[1] + b) * bins[2] + c]) {
            const double *y = &positions_[3 * static_cast<std::size_t>(j)];
            const double r2 =
                (x[0] - y[0]) * (x[0] - y[0]) + (x[1] - y[1]) * (x[1] - y[1]) + (x[2] - y[2]) * (x[2] - y[2]);
            if (j != i && !(r2 >= limit)) neighbors_.push_back(j);
          }
    counts_.push_back(static_cast<int>(neighbors_.size() - starts.back()));
  }
  indices_.resize(n_atoms_);
  std::iota(indices_.begin(), indices_.end(), 0);
  for (std::size_t start : starts) pointers_.push_back(neighbors_.data() + start);
}

AtomsView FrameNeighbors::atoms() const
{
  return {n_atoms_, static_cast<int>(owners_.size()), positions_.data(), types_.data(), nullptr};
}

NeighborView FrameNeighbors::list()
{
  return {n_atoms_, indices_.data(), counts_.data(), pointers_.data(), 0x3FFFFFFF, true};
}

void FrameNeighbors::fold(std::vector<double> &forces) const
{
  for (std::size_t g = 0; g < owners_.size(); ++g)
    for (int d = 0; d < 3; ++d) forces[3 * static_cast<std::size_t>(owners_[g]) + d] += forces[3 * (n_atoms_ + g) + d];
  forces.resize(3 * static_cast<std::size_t>(n_atoms_));
}

}    // namespace dpgen::native
