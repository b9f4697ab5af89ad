#include "native/neighborhood.h"

#include <algorithm>
#include <cmath>

namespace dpgen::native {

template <typename Real>
Neighborhood<Real>::Neighborhood(double cutoff, double cutoff_smooth, double near, std::vector<int> sel) :
    cutoff_(cutoff), cutoff_smooth_(cutoff_smooth), near_squared_(near * near), sel_(std::move(sel)),
    candidates_(sel_.size())
{
}

template <typename Real> void Neighborhood<Real>::clear()
{
  n_ = 0;
  ranges_.clear();
  near_.clear();
}

template <typename Real> void Neighborhood<Real>::add(int i, const AtomsView &atoms, const NeighborView &list)
{
  for (auto &candidates : candidates_) candidates.clear();
  const double *x = atoms.positions + 3 * static_cast<std::size_t>(i);
  const double cutoff_squared = cutoff_ * cutoff_;
  for (int k = 0; k < list.n_neighbors[i]; ++k) {
    const int j = list.neighbors[i][k] & list.mask, type = atoms.types[j];
    const double *y = atoms.positions + 3 * static_cast<std::size_t>(j);
    const double dx = y[0] - x[0], dy = y[1] - x[1], dz = y[2] - x[2], r2 = dx * dx + dy * dy + dz * dz;
    if (r2 >= cutoff_squared || type < 0) continue;
    // Positions that are not numbers count as nearest of all, and are seen in the forces.
    candidates_[type].push_back({{dx, dy, dz}, r2 == r2 ? r2 : 0.0, j});
  }
  const int row = n_rows();
  for (int type = 0; type < n_types(); ++type) {
    std::vector<Candidate> &candidates = candidates_[type];
    if (static_cast<int>(candidates.size()) > sel_[type]) keep_nearest(candidates, sel_[type]);
    NeighborRange range{n_, 0, static_cast<int>(candidates.size())};
    if (atoms_.size() < n_ + candidates.size()) {
      const std::size_t size = 2 * (n_ + candidates.size());
      atoms_.resize(size);
      for (auto &axis : direction_) axis.resize(size);
    }
    for (const Candidate &candidate : candidates) {
      if (candidate.r2 < near_squared_) {
        add_near(row, type, candidate);
        continue;
      }
      for (int d = 0; d < 3; ++d) direction_[d][n_] = static_cast<Real>(candidate.delta[d]);
      atoms_[n_++] = candidate.atom;
    }
    range.n = n_ - range.first;
    ranges_.push_back(range);
  }
}

template <typename Real> void Neighborhood<Real>::keep_nearest(std::vector<Candidate> &candidates, int n) const
{
  const auto nearer = [](const Candidate &one, const Candidate &other) {
    return one.r2 < other.r2 || (one.r2 == other.r2 && one.atom < other.atom);
  };
  std::nth_element(candidates.begin(), candidates.begin() + n, candidates.end(), nearer);
  candidates.resize(n);
}

template <typename Real> void Neighborhood<Real>::add_near(int row, int type, const Candidate &candidate)
{
  NearNeighbor near;
  near.row = row;
  near.atom = candidate.atom;
  near.type = type;
  near.r = std::sqrt(candidate.r2);
  for (int d = 0; d < 3; ++d) near.direction[d] = candidate.delta[d] / near.r;
  const double width = 1.0 / (cutoff_ - cutoff_smooth_), u = std::max(0.0, (near.r - cutoff_smooth_) * width);
  const double w = u * u * u * (u * (15.0 - 6.0 * u) - 10.0) + 1.0, dw = -30.0 * u * u * (1.0 - u) * (1.0 - u) * width;
  near.s = w / near.r;
  near.ds_dr = (dw - near.s) / near.r;
  near_.push_back(near);
}

template <typename Real> void Neighborhood<Real>::finish()
{
  room(s_, n_);
  room(ds_dr_, n_);
  room(inverse_r_, n_);
  room(basis_, 8 * static_cast<std::size_t>(n_));
  room(basis_slope_, 8 * static_cast<std::size_t>(n_));
  room(first_, n_);
  if (n_ == 0) return;
  kernels<Real>().geometry(static_cast<Real>(cutoff_), static_cast<Real>(cutoff_smooth_), neighbors({0, n_, n_}));
}

template <typename Real> Neighbors<Real> Neighborhood<Real>::neighbors(const NeighborRange &range)
{
  Neighbors<Real> view;
  view.n = range.n;
  if (range.n == 0) return view;
  const int first = range.first;
  view.s = &s_[first];
  view.ds_dr = &ds_dr_[first];
  view.inverse_r = &inverse_r_[first];
  for (int d = 0; d < 3; ++d) view.direction[d] = &direction_[d][first];
  view.first = &first_[first];
  view.basis = &basis_[8 * static_cast<std::size_t>(first)];
  view.basis_slope = &basis_slope_[8 * static_cast<std::size_t>(first)];
  return view;
}

template class Neighborhood<double>;
template class Neighborhood<float>;

}    // namespace dpgen::native
