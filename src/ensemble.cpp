#include "ensemble.h"

#include "analytic_ensemble.h"
#include "deepmd_ensemble.h"
#include "errors.h"
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
  if (n_analytic == 0) return std::make_unique<DeepmdEnsemble>(paths, options);
  if (n_analytic == static_cast<int>(paths.size())) return std::make_unique<AnalyticEnsemble>(paths);
  throw ModelError("analytic and DeePMD models cannot be mixed in one ensemble");
}

}    // namespace dpgen
