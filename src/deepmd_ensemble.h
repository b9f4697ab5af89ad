// Ensemble of Deep Potentials, evaluated by DeePMD-kit's C API (any backend that it was installed with).
#ifndef DPGEN_DEEPMD_ENSEMBLE_H
#define DPGEN_DEEPMD_ENSEMBLE_H

#include "ensemble.h"

namespace dpgen {

class DeepmdEnsemble : public Ensemble {
 public:
  /// Throws ModelError: not a model, other type maps or cut-offs, or a model that needs frame or atomic parameters.
  DeepmdEnsemble(const std::vector<std::string> &paths, const EnsembleOptions &options);
  ~DeepmdEnsemble() override;

  int n_models() const override;
  double cutoff() const override;
  const std::vector<std::string> &type_map() const override;
  void evaluate(int model, const AtomsView &atoms, const NeighborView &list, Prediction &out,
                PerAtom *per_atom = nullptr) override;
  void evaluate_frame(int model, int n_atoms, const double *positions, const int *types, const double *cell,
                      Prediction &out) override;
  std::string kernel() const override;
  /// Says in kernel() why nothing faster is used.
  void explain(const std::string &reason) { reason_ = reason; }

 private:
  struct Models;    // hides the C API's types
  std::unique_ptr<Models> models_;
  std::string reason_;
};

}    // namespace dpgen

#endif
