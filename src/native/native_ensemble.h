// Ensemble of DeepPot-SE models, evaluated together by this package's own kernel.
#ifndef DPGEN_NATIVE_NATIVE_ENSEMBLE_H
#define DPGEN_NATIVE_NATIVE_ENSEMBLE_H

#include "ensemble.h"

namespace dpgen::native {

class Evaluator;

class NativeEnsemble : public Ensemble {
 public:
  /// Takes the models' weights from their converted models. Throws ModelError where one is not there, the models
  /// differ in more than their weights, or use something that the kernel does not cover. Without `reduced`
  /// nothing is left out for options.tolerance, which is slower.
  NativeEnsemble(const std::vector<std::string> &paths, const EnsembleOptions &options, bool reduced = true);
  ~NativeEnsemble() override;

  int n_models() const override { return static_cast<int>(paths_.size()); }
  double cutoff() const override { return cutoff_; }
  const std::vector<std::string> &type_map() const override { return type_map_; }
  void evaluate(int model, const AtomsView &atoms, const NeighborView &list, Prediction &out,
                PerAtom *per_atom = nullptr) override;
  void evaluate_frame(int model, int n_atoms, const double *positions, const int *types, const double *cell,
                      Prediction &out) override;
  void evaluate_all(const AtomsView &atoms, const NeighborView &list, int n_models, std::vector<Prediction> &out,
                    PerAtom *per_atom = nullptr) override;
  void evaluate_frame_all(int n_models, int n_atoms, const double *positions, const int *types, const double *cell,
                          std::vector<Prediction> &out) override;
  void set_threads(int n_threads) override;
  bool evaluates_together() const override { return true; }
  std::string kernel() const override;
  double tolerance() const override { return tolerance_; }
  double multiply_adds() const override;

 private:
  void evaluate_frame_of(const std::vector<int> &models, int n_atoms, const double *positions, const int *types,
                         const double *cell, const std::vector<Prediction *> &out);

  double cutoff_ = 0.0, tolerance_ = 0.0;
  std::vector<std::string> type_map_;
  std::unique_ptr<Evaluator> evaluator_;
};

/// How far two ensembles are apart on some atoms.
struct Agreement {
  double force = 0.0;     ///< eV/Å, largest component
  double energy = 0.0;    ///< eV/atom
  double virial = 0.0;    ///< eV/atom, largest component
};

/// Evaluates both on a crystal of all their elements with atoms moved at random, always the same one.
Agreement compare_on_test_frame(Ensemble &one, Ensemble &other);

/// Empty if forces agree to `tolerance` (eV/Å), and energies and virials as well as that, else what is wrong.
std::string judge(const Agreement &agreement, double tolerance);

}    // namespace dpgen::native

#endif
