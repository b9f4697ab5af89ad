#include "native/neighborhood.h"

#include <algorithm>
#include <cmath>

namespace dpgen::native {

template <typename Real>
Neighborhood<Real>::Neighborhood(double cutoff, double cutoff_smooth, double near, std::vector<int> sel) :
    cutoff_(cutoff), cutoff_smooth_(cutoff_smooth), near_squared_(near * near), sel_(std::move(sel)),
    candidates_(sel_.size() + 1), n_candidates_(sel_.size() + 1)
{
}

template <typename Real> void Neighborhood<Real>::clear()
{
  n_ = 0;
  ranges_.clear();
  near_.clear();
}

// Without branches, which nothing could foretell: each atom of the list is written, and stays if it is within reach.
template <typename Real>
void Neighborhood<Real>::find_candidates(int i, const AtomsView &atoms, const NeighborView &list)
{
  const int n = list.n_neighbors[i], none = n_types();
  for (auto &candidates : candidates_)
    if (static_cast<int>(candidates.size()) <= n) candidates.resize(2 * static_cast<std::size_t>(n) + 1);
  std::fill(n_candidates_.begin(), n_candidates_.end(), 0);
  const double *x = atoms.positions + 3 * static_cast<std::size_t>(i);
  const double cutoff_squared = cutoff_ * cutoff_;
  const int *neighbors = list.neighbors[i];
  for (int k = 0; k < n; ++k) {
    const int j = neighbors[k] & list.mask, type = atoms.types[j] < 0 ? none : atoms.types[j];
    const double *y = atoms.positions + 3 * static_cast<std::size_t>(j);
    const double dx = y[0] - x[0], dy = y[1] - x[1], dz = y[2] - x[2], r2 = dx * dx + dy * dy + dz * dz;
    candidates_[type][n_candidates_[type]] = {{dx, dy, dz}, r2, j};
    // Positions that are not numbers count as within reach, and are seen in the forces.
    n_candidates_[type] += !(r2 >= cutoff_squared);
  }
}

template <typename Real> void Neighborhood<Real>::add(int i, const AtomsView &atoms, const NeighborView &list)
{
  const auto nearer = [](const Candidate &one, const Candidate &other) {
    // What is not a number comes first.
    if (one.r2 != one.r2 || other.r2 != other.r2) return one.r2 != one.r2 && other.r2 == other.r2;
    return one.r2 < other.r2 || (one.r2 == other.r2 && one.atom < other.atom);
  };
  find_candidates(i, atoms, list);
  const int row = n_rows();
  for (int type = 0; type < n_types(); ++type) {
    std::vector<Candidate> &candidates = candidates_[type];
    int n = n_candidates_[type];
    if (n > sel_[type]) {
      std::nth_element(candidates.begin(), candidates.begin() + sel_[type], candidates.begin() + n, nearer);
      n = sel_[type];
    }
    NeighborRange range{n_, 0, n};
    if (atoms_.size() < static_cast<std::size_t>(n_ + n)) {
      const std::size_t size = 2 * static_cast<std::size_t>(n_ + n);
      atoms_.resize(size);
      for (auto &axis : displacement_) axis.resize(size);
    }
    for (int k = 0; k < n; ++k) {
      const Candidate &candidate = candidates[k];
      if (candidate.r2 < near_squared_) {
        add_near(row, type, candidate);
        continue;
      }
      for (int d = 0; d < 3; ++d) displacement_[d][n_] = static_cast<Real>(candidate.delta[d]);
      atoms_[n_++] = candidate.atom;
    }
    range.n = n_ - range.first;
    ranges_.push_back(range);
  }
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
  const std::size_t n = n_;
  for (Buffer<Real> *buffer : {&s_, &ds_dr_, &inverse_r_}) room(*buffer, n);
  room(direction_, 4 * n);
  for (Buffer<Real> *buffer : {&weights_, &basis_, &basis_slope_}) room(*buffer, 8 * n);
  room(first_, n);
  if (n_ == 0) return;
  kernels<Real>().geometry(static_cast<Real>(cutoff_), static_cast<Real>(cutoff_smooth_), neighbors({0, n_, n_}));
}

template <typename Real> Neighbors<Real> Neighborhood<Real>::neighbors(const NeighborRange &range)
{
  Neighbors<Real> view;
  view.n = range.n;
  if (range.n == 0) return view;
  const std::size_t first = range.first;
  for (int d = 0; d < 3; ++d) view.displacement[d] = &displacement_[d][first];
  view.s = &s_[first];
  view.ds_dr = &ds_dr_[first];
  view.inverse_r = &inverse_r_[first];
  view.direction = &direction_[4 * first];
  view.weights = &weights_[8 * first];
  view.first = &first_[first];
  view.basis = &basis_[8 * first];
  view.basis_slope = &basis_slope_[8 * first];
  view.atoms = &atoms_[first];
  return view;
}

template class Neighborhood<double>;
template class Neighborhood<float>;

}    // namespace dpgen::native
