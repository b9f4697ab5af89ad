#include "deepmd_ensemble.h"

#include "deepmd_c_api.h"
#include "errors.h"

#include <cmath>
#include <fstream>
#include <sstream>

namespace dpgen {

namespace {

struct Deleter {
  const DeepmdApi *api;
  void operator()(DP_DeepPot *model) const { api->delete_deep_pot(model); }
  void operator()(DP_Nlist *list) const { api->delete_nlist(list); }
};

using ModelPtr = std::unique_ptr<DP_DeepPot, Deleter>;
using ListPtr = std::unique_ptr<DP_Nlist, Deleter>;

std::string take(const DeepmdApi &api, const char *text)
{
  std::string copy = text ? text : "";
  api.delete_char(text);
  return copy;
}

// The C API swallows exceptions and hands out their message here.
void check(const DeepmdApi &api, DP_DeepPot *model, const std::string &what)
{
  const std::string message = take(api, api.check_ok(model));
  if (!message.empty()) throw ModelError(what + ": " + message);
}

std::string content_of(const std::string &path)
{
  // DeePMD-kit opens AOTInductor archives by path only.
  if (path.size() >= 4 && path.compare(path.size() - 4, 4, ".pt2") == 0) return {};
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

std::vector<std::string> words(const std::string &text)
{
  std::istringstream stream(text);
  std::vector<std::string> list;
  for (std::string word; stream >> word;) list.push_back(word);
  return list;
}

}    // namespace

struct DeepmdEnsemble::Models {
  const DeepmdApi &api;
  std::vector<ModelPtr> models{};
  std::vector<bool> list_lost{};    // DeePMD-kit holds one list of atoms per model, the last one
  std::vector<std::string> type_map{};
  double cutoff = 0.0;

  void add(const std::string &path, int device)
  {
    const std::string content = content_of(path);
    ModelPtr model(api.new_deep_pot(path.c_str(), device, content.data(), static_cast<int>(content.size())),
                   Deleter{&api});
    check(api, model.get(), "model file '" + path + "' cannot be loaded by DeePMD-kit");
    if (api.dim_fparam(model.get()) > 0 || api.dim_aparam(model.get()) > 0)
      throw ModelError("model file '" + path + "' needs frame or atomic parameters, which are not supported");
    const std::vector<std::string> elements = words(take(api, api.type_map(model.get())));
    const double model_cutoff = api.cutoff(model.get());
    if (models.empty()) {
      type_map = elements;
      cutoff = model_cutoff;
    } else if (elements != type_map) {
      throw ModelError("model file '" + path +
                       "' has another type map than the first model; train all on one type_map");
    } else if (std::abs(model_cutoff - cutoff) > 1e-10) {
      throw ModelError("model file '" + path + "' has cut-off " + std::to_string(model_cutoff) +
                       " Å, the first model has " + std::to_string(cutoff) + " Å; an ensemble needs one cut-off");
    }
    models.push_back(std::move(model));
    list_lost.push_back(true);
  }
};

DeepmdEnsemble::DeepmdEnsemble(const std::vector<std::string> &paths, const EnsembleOptions &options) :
    Ensemble(paths), models_(new Models{deepmd_api(options.library_hints)})
{
  for (const std::string &path : paths) models_->add(path, options.device);
}

DeepmdEnsemble::~DeepmdEnsemble() = default;

std::string DeepmdEnsemble::kernel() const
{
  return reason_.empty() ? "DeePMD-kit's C API" : "DeePMD-kit's C API, because " + reason_;
}

int DeepmdEnsemble::n_models() const
{
  return static_cast<int>(models_->models.size());
}

double DeepmdEnsemble::cutoff() const
{
  return models_->cutoff;
}

const std::vector<std::string> &DeepmdEnsemble::type_map() const
{
  return models_->type_map;
}

void DeepmdEnsemble::evaluate(int model, const AtomsView &atoms, const NeighborView &list, Prediction &out,
                              PerAtom *per_atom)
{
  const DeepmdApi &api = models_->api;
  DP_DeepPot *deep_pot = models_->models.at(model).get();
  const int n_all = atoms.n_local + atoms.n_ghost;
  out.energy = 0.0;
  out.virial.fill(0.0);
  out.forces.assign(3 * static_cast<std::size_t>(n_all), 0.0);
  double *atom_energy = nullptr, *atom_virial = nullptr;
  if (per_atom) {
    per_atom->energies.assign(n_all, 0.0);
    per_atom->virials.assign(per_atom->wants_virials ? 9 * static_cast<std::size_t>(n_all) : 0, 0.0);
    atom_energy = per_atom->energies.data();
    if (per_atom->wants_virials) atom_virial = per_atom->virials.data();
  }
  if (atoms.n_local == 0) return;    // nothing here has energy, so nothing here makes forces
  const ListPtr nlist(api.new_nlist(list.n_atoms, list.atoms, list.n_neighbors, list.neighbors), Deleter{&api});
  api.set_mask(nlist.get(), list.mask);
  api.compute_nlist(deep_pot, n_all, atoms.positions, atoms.types, atoms.cell, atoms.n_ghost, nlist.get(),
                    list.is_new || models_->list_lost[model] ? 0 : 1, &out.energy, out.forces.data(), out.virial.data(),
                    atom_energy, atom_virial);
  check(api, deep_pot, "model '" + paths_[model] + "'");
  models_->list_lost[model] = false;
  if (per_atom) per_atom->energies.resize(atoms.n_local);
}

void DeepmdEnsemble::evaluate_frame(int model, int n_atoms, const double *positions, const int *types,
                                    const double *cell, Prediction &out)
{
  const DeepmdApi &api = models_->api;
  DP_DeepPot *deep_pot = models_->models.at(model).get();
  out.energy = 0.0;
  out.virial.fill(0.0);
  out.forces.assign(3 * static_cast<std::size_t>(n_atoms), 0.0);
  models_->list_lost[model] = true;
  api.compute(deep_pot, n_atoms, positions, types, cell, &out.energy, out.forces.data(), out.virial.data(), nullptr,
              nullptr);
  check(api, deep_pot, "model '" + paths_[model] + "'");
}

}    // namespace dpgen
