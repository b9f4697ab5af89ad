#include "joined_ensemble.h"

#include "errors.h"

#include <cmath>

namespace dpgen {

JoinedEnsemble::JoinedEnsemble(const std::vector<std::shared_ptr<Ensemble>> &parts)
{
  if (parts.empty()) throw ModelError("an ensemble needs at least one part");
  for (const std::shared_ptr<Ensemble> &part : parts) {
    const std::string &name = part->paths().front(), &first = parts.front()->paths().front();
    if (part->type_map() != parts.front()->type_map())
      throw ModelError("model file '" + name + "' has another type map than '" + first +
                       "'; train all on one type_map");
    if (std::abs(part->cutoff() - parts.front()->cutoff()) > 1e-10)
      throw ModelError("model file '" + name + "' has another cut-off than '" + first +
                       "'; an ensemble needs one cut-off");
    for (int index = 0; index < part->n_models(); ++index) {
      models_.push_back({part, index});
      paths_.push_back(part->paths()[index]);
      hashes_.push_back(part->hashes()[index]);
    }
  }
}

void JoinedEnsemble::evaluate(int model, const AtomsView &atoms, const NeighborView &list, Prediction &out,
                              PerAtom *per_atom)
{
  const Model &one = models_.at(model);
  one.part->evaluate(one.index, atoms, list, out, per_atom);
}

void JoinedEnsemble::evaluate_frame(int model, int n_atoms, const double *positions, const int *types,
                                    const double *cell, Prediction &out)
{
  const Model &one = models_.at(model);
  one.part->evaluate_frame(one.index, n_atoms, positions, types, cell, out);
}

}    // namespace dpgen
