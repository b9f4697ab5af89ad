// Ensembles that were loaded one by one, used as one.
#ifndef DPGEN_JOINED_ENSEMBLE_H
#define DPGEN_JOINED_ENSEMBLE_H

#include "ensemble.h"

#include <algorithm>

namespace dpgen {

/// All models of several ensembles, in order. They are not loaded again: whoever else holds a part shares its models.
class JoinedEnsemble : public Ensemble {
 public:
  /// Throws ModelError where type maps or cut-offs differ.
  explicit JoinedEnsemble(const std::vector<std::shared_ptr<Ensemble>> &parts);

  int n_models() const override { return static_cast<int>(models_.size()); }
  double cutoff() const override { return models_.front().part->cutoff(); }
  const std::vector<std::string> &type_map() const override { return models_.front().part->type_map(); }
  void evaluate(int model, const AtomsView &atoms, const NeighborView &list, Prediction &out,
                PerAtom *per_atom = nullptr) override;
  void evaluate_frame(int model, int n_atoms, const double *positions, const int *types, const double *cell,
                      Prediction &out) override;
  void set_threads(int n_threads) override
  {
    for (const Model &model : models_) model.part->set_threads(n_threads);
  }
  double tolerance() const override
  {
    double largest = 0.0;
    for (const Model &model : models_) largest = std::max(largest, model.part->tolerance());
    return largest;
  }
  std::string kernel() const override { return models_.front().part->kernel(); }

 private:
  struct Model {
    std::shared_ptr<Ensemble> part;
    int index = 0;    ///< in its part
  };

  std::vector<Model> models_;
};

}    // namespace dpgen

#endif
