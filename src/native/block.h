// A block of atoms of one type: from neighbours to energies, and back to the slopes of the energies.
#ifndef DPGEN_NATIVE_BLOCK_H
#define DPGEN_NATIVE_BLOCK_H

#include "native/compiled_model.h"
#include "native/neighborhood.h"

namespace dpgen::native {

template <typename Real> class Block {
 public:
  /// `any` is one of the models: they share cut-offs and sel. Keeps a reference to `compiled`.
  Block(const CompiledEnsemble<Real> &compiled, const Model &any, int max_rows);

  /// Gathers the neighbours of `n` atoms of type `type` and sums up their moments, for all models.
  void take(int type, const int *centres, int n, const AtomsView &atoms, const NeighborView &list);
  /// Evaluates one model on what was taken.
  void run(int model);

  /// Energy (eV) of an atom without the shift of its type.
  Real energy(int row) const { return energies_[row]; }
  /// Calls visit(row, neighbour, displacement in Å, dE/d(displacement) in eV/Å) for all pairs.
  template <typename Visit> void for_each_pair(const Visit &visit);

 private:
  void sum_moments();
  void add_near(const CompiledCentre<Real> &centre, int model);
  void slopes_of_near(const CompiledCentre<Real> &centre);
  void fit(const CompiledCentre<Real> &centre, const CompiledForm<Real> &form);
  void fit_back(const CompiledCentre<Real> &centre, const CompiledForm<Real> &form);
  void descriptors_back(const CompiledCentre<Real> &centre, const CompiledForm<Real> &form);

  const CompiledEnsemble<Real> &compiled_;
  const Kernels<Real> &kernels_;
  Neighborhood<Real> neighborhood_;
  std::vector<int> sel_;
  Real basis_at_0_[spline_order];
  int type_ = 0, n_rows_ = 0;

  Buffer<Real> moments_, rows_, four_, four_slopes_, descriptor_, row_slopes_, moment_slopes_, energies_;
  std::vector<Buffer<Real>> outputs_, slopes_;    // by layer of the fitting net
  Buffer<Real> slope_, next_slope_, pair_slopes_[3];
  std::vector<double> near_value_, near_derivative_;    // [near neighbour][width]
  std::vector<std::array<double, 3>> near_slopes_;
};

template <typename Real> template <typename Visit> void Block<Real>::for_each_pair(const Visit &visit)
{
  const int n_types = neighborhood_.n_types(), block = compiled_.row / n_types;
  for (int row = 0; row < n_rows_; ++row)
    for (int type = 0; type < n_types; ++type) {
      const NeighborRange &range = neighborhood_.range(row, type);
      if (range.n == 0) continue;
      const Neighbors<Real> list = neighborhood_.neighbors(range);
      Real *const out[3] = {room(pair_slopes_[0], list.n), room(pair_slopes_[1], list.n),
                            room(pair_slopes_[2], list.n)};
      kernels_.gather(list, &moment_slopes_[static_cast<std::size_t>(row) * n_moments * compiled_.row + type * block],
                      compiled_.row, out);
      const int *atoms = neighborhood_.atoms(range);
      for (int k = 0; k < list.n; ++k) {
        const double r = 1.0 / static_cast<double>(list.inverse_r[k]);
        const double delta[3] = {r * list.direction[0][k], r * list.direction[1][k], r * list.direction[2][k]};
        const double slope[3] = {out[0][k], out[1][k], out[2][k]};
        visit(row, atoms[k], delta, slope);
      }
    }
  for (std::size_t k = 0; k < near_slopes_.size(); ++k) {
    const NearNeighbor &near = neighborhood_.near()[k];
    const double delta[3] = {near.r * near.direction[0], near.r * near.direction[1], near.r * near.direction[2]};
    visit(near.row, near.atom, delta, near_slopes_[k].data());
  }
}

}    // namespace dpgen::native

#endif
