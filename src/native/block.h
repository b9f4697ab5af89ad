// A block of atoms of one type: from neighbours to energies, and back to the forces.
#ifndef DPGEN_NATIVE_BLOCK_H
#define DPGEN_NATIVE_BLOCK_H

#include "native/compiled_model.h"
#include "native/neighborhood.h"

namespace dpgen::native {

/// Models whose forces are summed up together. Each has a slot; their number is 1, 2 or 4, and slots may be empty.
struct ModelGroup {
  std::vector<int> models{};
  int n_slots() const { return models.size() > 2 ? 4 : static_cast<int>(models.size()); }
};

template <typename Real> class Block {
 public:
  /// What a neighbour adds to the forces on the centre: four numbers per slot, the first of which means nothing.
  using Visit = std::function<void(int neighbor, const double *delta, const Real *pair)>;

  /// `any` is one of the models: they share cut-offs and sel. Keeps a reference to `compiled`.
  Block(const CompiledEnsemble<Real> &compiled, const Model &any, int max_rows);

  /// Gathers the neighbours of `n` atoms of type `type` and sums up their moments, for all models.
  void take(int type, const int *centres, int n, const AtomsView &atoms, const NeighborView &list);
  /// Evaluates the models of a group on what was taken.
  void run(const ModelGroup &group);

  /// Energy (eV) of an atom without the shift of its type.
  Real energy(int slot, int row) const { return energies_[static_cast<std::size_t>(slot) * n_columns_ + row]; }
  /// Adds the group's forces (eV/Å) to [atom][slot][4]; calls `visit` for all pairs, unless it is null.
  void add_forces(const ModelGroup &group, Real *forces, const Visit *visit);

  double multiply_adds = 0.0;    ///< multiplications with addition so far

 private:
  void sum_moments();
  double cost(const CompiledCentre<Real> &centre, const CompiledForm<Real> &form) const;
  void run_model(int model, int slot, int n_slots);
  void add_near(const CompiledCentre<Real> &centre, int model);
  void slopes_of_near(const CompiledCentre<Real> &centre, int slot);
  void fit(const CompiledCentre<Real> &centre, const CompiledForm<Real> &form, int slot);
  void fit_back(const CompiledCentre<Real> &centre, const CompiledForm<Real> &form);
  void add_forces_of(int row, const Real *rows, GatherTask<Real> task, int n_slots, const Visit *visit);
  void add_near_forces(const ModelGroup &group, Real *forces, const Visit *visit);

  const CompiledEnsemble<Real> &compiled_;
  const Kernels<Real> &kernels_;
  Neighborhood<Real> neighborhood_;
  std::vector<int> sel_;
  Real basis_at_0_[spline_order];
  int type_ = 0, n_rows_ = 0, n_columns_ = 0, n_pairs_ = 0;
  const int *centres_ = nullptr;

  Buffer<Real> moments_, columns_, five_, four_, four_slopes_, descriptor_, energies_;
  std::vector<Buffer<Real>> outputs_, slopes_;    // by layer of the fitting net
  Buffer<Real> slope_, next_slope_;
  Buffer<Real> moment_slopes_, rows_, pairs_;            // [row on the grid][slot][4][column], and turned round
  std::vector<double> near_value_, near_derivative_;     // [near neighbour][width]
  std::vector<std::array<double, 3>> near_slopes_[4];    // by slot
};

}    // namespace dpgen::native

#endif
