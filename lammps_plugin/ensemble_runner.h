// Evaluates a core ensemble on the atoms of a LAMMPS run: views of atoms and neighbours, forces of ghosts summed over
// ranks.
#ifndef DPGEN_ENSEMBLE_RUNNER_H
#define DPGEN_ENSEMBLE_RUNNER_H

#include "ensemble.h"
#include "pointers.h"
#include "units.h"

#include <cmath>
#include <cstdint>

namespace LAMMPS_NS {

class Fix;
class NeighList;

class EnsembleRunner : protected Pointers {
 public:
  /// `types[t - 1]` is the element of LAMMPS type t, "NULL" for atoms that the models do not see. Throws dpgen::Error.
  EnsembleRunner(LAMMPS *lmp, std::shared_ptr<dpgen::Ensemble> ensemble, const std::vector<std::string> &types);

  const dpgen::Ensemble &ensemble() const { return *ensemble_; }
  /// True if the models see atoms of this LAMMPS type.
  bool sees(int lammps_type) const { return model_types_[lammps_type] >= 0; }

  /// Copies the pair style's forces of this rank (local and ghost) as model 1's prediction, before anyone changes them.
  void capture_pair_forces();
  /// Adds the pair style's forces at another level of r-RESPA to those that were captured.
  void add_pair_forces();
  /// Compares model 1 with the captured forces on all ranks, and uses them from now on if they agree and that is
  /// `allowed`.
  void decide_reuse(bool allowed);
  bool reuses_pair_forces() const { return reuse_; }
  /// Largest difference between the pair style's forces and model 1's at the last decide_reuse(), eV/Å; Inf before any.
  double reuse_difference() const { return reuse_difference_; }
  void forget_reuse() { reuse_ = false; }

  /// Evaluates the first `n_models` models; where `use_captured`, model 1 is taken from the captured forces.
  /// Returns the error message of this rank, or "".
  std::string evaluate(NeighList *list, bool use_captured, int n_models);
  /// Adds the ghosts' forces to their owners; calls back the fix's pack_reverse_comm. Collective.
  void sum_ghost_forces(Fix *fix);
  int pack_reverse(int n, int first, double *buffer) const;
  void unpack_reverse(int n, const int *list, const double *buffer);

  /// Forces (eV/Å) of the local atoms, one pointer per model.
  std::vector<const double *> forces() const;
  /// This rank's part of the virials, eV.
  const std::vector<dpgen::Virial> &virials() const { return virials_; }

  double bytes() const;

 private:
  void view_atoms();
  void virial_from_forces(const std::vector<double> &forces, dpgen::Virial &virial) const;

  std::shared_ptr<dpgen::Ensemble> ensemble_;
  Units units_;
  std::vector<int> model_types_;    // by LAMMPS type, from 1
  bool reuse_ = false;
  double reuse_difference_ = HUGE_VAL;
  static constexpr std::int64_t never = -2;
  std::int64_t last_step_ = never;    // of the last evaluation of all models

  std::vector<double> positions_, captured_;
  std::vector<int> types_;
  double cell_[9] = {};
  std::vector<dpgen::Prediction> predictions_;
  std::vector<dpgen::Virial> virials_;
};

}    // namespace LAMMPS_NS

#endif
