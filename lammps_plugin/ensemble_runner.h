// Evaluates a core ensemble on the atoms of a LAMMPS run: views of atoms and neighbours, forces of ghosts summed over
// ranks. A pair style dpgen and the fixes on top of it share one.
#ifndef DPGEN_ENSEMBLE_RUNNER_H
#define DPGEN_ENSEMBLE_RUNNER_H

#include "ensemble.h"
#include "pointers.h"
#include "units.h"

#include <memory>
#include <string>
#include <vector>

namespace LAMMPS_NS {

class Fix;
class NeighList;

class EnsembleRunner : protected Pointers {
 public:
  /// `types[t - 1]` is the element of LAMMPS type t, "NULL" for atoms that the models do not see. Throws
  /// dpgen::InputError, which names `keyword`, for an element that the models do not know.
  EnsembleRunner(LAMMPS *lmp, std::shared_ptr<dpgen::Ensemble> ensemble, const std::vector<std::string> &types,
                 const std::string &keyword = "keyword types");

  const dpgen::Ensemble &ensemble() const { return *ensemble_; }
  const std::shared_ptr<dpgen::Ensemble> &shared_ensemble() const { return ensemble_; }
  const std::vector<std::string> &types() const { return elements_; }
  int n_models() const { return static_cast<int>(predictions_.size()); }
  /// True if the models see atoms of this LAMMPS type.
  bool sees(int lammps_type) const { return model_types_[lammps_type] >= 0; }
  /// Other models from now on, for the same elements. Throws dpgen::InputError.
  void replace(std::shared_ptr<dpgen::Ensemble> ensemble);

  /// The full neighbor list that all evaluations use.
  void use_list(NeighList *list) { list_ = list; }
  NeighList *list() const { return list_; }

  // Evaluations return the error message of this rank, or "".

  std::string evaluate_all(dpgen::PerAtom *per_atom = nullptr);
  /// Model `model` (from 0) alone.
  std::string evaluate_one(int model, dpgen::PerAtom *per_atom = nullptr);
  /// All models but the first, whose forces on local atoms and ghosts are given.
  std::string evaluate_others(const std::vector<double> &forces_of_first);

  /// Wall time that the models beside one took in the last evaluation of all, about.
  double seconds_of_others() const { return seconds_ * (n_models() - 1) / n_models(); }
  /// True if the last evaluation was one of all models and of the very atoms, positions and box that are there now.
  bool holds_all() const;
  /// What model `model` said in the last evaluation that it took part in; ghosts' forces as they fell on this rank
  /// until sum_ghost_forces().
  const dpgen::Prediction &prediction(int model) const { return predictions_[model]; }
  /// True if model `model` took part in the last evaluation and ghosts' forces have not been summed up since.
  bool is_fresh(int model) const { return fresh_ && (held_ == all || held_ == model); }

  /// Adds the ghosts' forces of all models to their owners, once per evaluation; calls back the fix's
  /// pack_reverse_comm. Collective.
  void sum_ghost_forces(Fix *fix);
  int pack_reverse(int n, int first, double *buffer) const;
  void unpack_reverse(int n, const int *list, const double *buffer);

  /// Forces (eV/Å) of the local atoms, one pointer per model.
  std::vector<const double *> forces() const;
  /// This rank's part of the virials, eV.
  std::vector<dpgen::Virial> virials() const;

  double bytes() const;

 private:
  static constexpr int none = -2, all = -1;
  static constexpr bigint never = -2;

  template <typename Act> std::string evaluate(int models, Act act);
  void view_atoms();
  void forget();
  dpgen::AtomsView atoms_view() const;
  dpgen::NeighborView neighbor_view(int first, int last);
  void complete_list();
  void map_types(const dpgen::Ensemble &ensemble);

  std::shared_ptr<dpgen::Ensemble> ensemble_;
  std::vector<std::string> elements_;
  std::string keyword_;
  Units units_;
  NeighList *list_ = nullptr;
  std::vector<int> model_types_;      // by LAMMPS type, from 1
  std::vector<bigint> last_steps_;    // of the last evaluation, by model
  int held_ = none;                   // what the last evaluation has evaluated: all, none or one model
  bool fresh_ = false;                // ghosts' forces are not summed up yet

  double seconds_ = 0.0;    // of the last evaluation

  std::vector<int> all_atoms_, n_neighbors_;
  std::vector<int *> neighbors_;

  std::vector<double> positions_;
  std::vector<int> types_;
  double cell_[9] = {};
  std::vector<dpgen::Prediction> predictions_;
};

}    // namespace LAMMPS_NS

#endif
