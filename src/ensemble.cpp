#include "ensemble.h"

#include "analytic_ensemble.h"
#include "deepmd_ensemble.h"
#include "errors.h"
#include "native/native_ensemble.h"
#include "sha256.h"

#include <fstream>

namespace dpgen {

Ensemble::Ensemble(std::vector<std::string> paths) : paths_(std::move(paths))
{
  for (const std::string &path : paths_) hashes_.push_back(sha256_of_file(path));
}

int Ensemble::type_index(const std::string &element) const
{
  const std::vector<std::string> &elements = type_map();
  for (std::size_t i = 0; i < elements.size(); ++i)
    if (elements[i] == element) return static_cast<int>(i);
  return -1;
}

namespace {

// Adds the per-atom figures of one of `n_models` models to those of their mean.
void add_mean(const PerAtom &one, int n_models, PerAtom &mean)
{
  mean.energies.resize(one.energies.size());
  mean.virials.resize(one.virials.size());
  for (std::size_t k = 0; k < one.energies.size(); ++k) mean.energies[k] += one.energies[k] / n_models;
  for (std::size_t k = 0; k < one.virials.size(); ++k) mean.virials[k] += one.virials[k] / n_models;
}

// The native kernel after it has shown on a frame that it agrees with DeePMD-kit, or DeePMD-kit with the reason why
// not.
std::unique_ptr<Ensemble> load_deep_potentials(const std::vector<std::string> &paths, const EnsembleOptions &options)
{
  if (options.kernel == Kernel::deepmd) return std::make_unique<DeepmdEnsemble>(paths, options);
  std::string reason;
  std::unique_ptr<native::NativeEnsemble> own;
  try {
    own = std::make_unique<native::NativeEnsemble>(paths, options);
  } catch (const ModelError &error) {
    if (options.kernel == Kernel::native) throw;
    reason = error.what();
  }
  if (own && !options.self_test) return own;
  auto reference = std::make_unique<DeepmdEnsemble>(paths, options);
  if (own) {
    if (own->type_map() != reference->type_map()) reason = "the converted models have another type map";
    else reason = native::judge(native::compare_on_test_frame(*own, *reference), own->tolerance());
    if (!reason.empty() && own->type_map() == reference->type_map()) {
      own = std::make_unique<native::NativeEnsemble>(paths, options, false);
      reason = native::judge(native::compare_on_test_frame(*own, *reference), own->tolerance());
    }
    if (reason.empty()) return own;
    if (options.kernel == Kernel::native) throw ModelError("the native kernel cannot be used: " + reason);
  }
  reference->explain(reason);
  return reference;
}

}    // namespace

void Ensemble::evaluate_all(const AtomsView &atoms, const NeighborView &list, int n_models,
                            std::vector<Prediction> &out, PerAtom *per_atom)
{
  out.resize(n_models);
  const bool wants_mean = per_atom && per_atom->model == PerAtom::mean;
  PerAtom one;
  if (wants_mean) {
    one.wants_virials = per_atom->wants_virials;
    per_atom->energies.clear();
    per_atom->virials.clear();
  }
  for (int m = 0; m < n_models; ++m) {
    PerAtom *of_this = wants_mean ? &one : per_atom && per_atom->model == m ? per_atom : nullptr;
    evaluate(m, atoms, list, out[m], of_this);
    if (wants_mean) add_mean(one, n_models, *per_atom);
  }
}

void Ensemble::evaluate_frame_all(int n_models, int n_atoms, const double *positions, const int *types,
                                  const double *cell, std::vector<Prediction> &out)
{
  out.resize(n_models);
  for (int m = 0; m < n_models; ++m) evaluate_frame(m, n_atoms, positions, types, cell, out[m]);
}

std::unique_ptr<Ensemble> load_ensemble(const std::vector<std::string> &paths, const EnsembleOptions &options,
                                        int min_models)
{
  if (static_cast<int>(paths.size()) < min_models)
    throw ModelError("an ensemble needs at least " + std::to_string(min_models) + " models, got " +
                     std::to_string(paths.size()));
  int n_analytic = 0;
  for (const std::string &path : paths) {
    if (!std::ifstream(path)) throw ModelError("model file '" + path + "' cannot be read");
    if (AnalyticEnsemble::recognises(path)) ++n_analytic;
  }
  if (n_analytic == 0) return load_deep_potentials(paths, options);
  if (n_analytic == static_cast<int>(paths.size())) return std::make_unique<AnalyticEnsemble>(paths);
  throw ModelError("analytic and DeePMD models cannot be mixed in one ensemble");
}

}    // namespace dpgen
