#include "native/native_ensemble.h"

#include "errors.h"
#include "native/evaluator.h"
#include "native/frame_neighbors.h"
#include "native/model_file.h"

#include <numeric>

namespace dpgen::native {

namespace {

// Relative error of the splines' values and slopes, and of the directions that channels are reduced to. What it changes
// in forces stays below 1e-8 and some 1e-6 eV/Å.
constexpr double tolerance_double = 1e-8, tolerance_single = 1e-6;
constexpr double rank_tolerance_double = 1e-9, rank_tolerance_single = 2e-8;

std::vector<int> first_numbers(int n)
{
  std::vector<int> numbers(n);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

std::vector<Prediction *> pointers(std::vector<Prediction> &predictions)
{
  std::vector<Prediction *> list;
  for (Prediction &prediction : predictions) list.push_back(&prediction);
  return list;
}

}    // namespace

NativeEnsemble::NativeEnsemble(const std::vector<std::string> &paths, Precision precision, bool reduced) :
    Ensemble(paths), precision_(precision)
{
  std::vector<Model> models;
  for (std::size_t k = 0; k < paths_.size(); ++k)
    models.push_back(read_model(converted_model_path(paths_[k], hashes_[k])));
  cutoff_ = models.front().cutoff;
  type_map_ = models.front().type_map;
  const bool fp64 = precision == Precision::fp64;
  evaluator_ = make_evaluator(models, precision, fp64 ? tolerance_double : tolerance_single,
                              !reduced   ? 0.0
                                  : fp64 ? rank_tolerance_double
                                         : rank_tolerance_single);
}

NativeEnsemble::~NativeEnsemble() = default;

void NativeEnsemble::set_threads(int n_threads)
{
  evaluator_->set_threads(n_threads);
}

std::string NativeEnsemble::kernel() const
{
  return "native kernel (" + evaluator_->description() + ")";
}

void NativeEnsemble::evaluate(int model, const AtomsView &atoms, const NeighborView &list, Prediction &out,
                              PerAtom *per_atom)
{
  PerAtom of_model;
  if (per_atom) of_model.wants_virials = per_atom->wants_virials;
  of_model.model = model;
  evaluator_->evaluate(atoms, list, {model}, {&out}, per_atom ? &of_model : nullptr);
  if (!per_atom) return;
  per_atom->energies.swap(of_model.energies);
  per_atom->virials.swap(of_model.virials);
}

void NativeEnsemble::evaluate_all(const AtomsView &atoms, const NeighborView &list, int n_models,
                                  std::vector<Prediction> &out, PerAtom *per_atom)
{
  out.resize(n_models);
  evaluator_->evaluate(atoms, list, first_numbers(n_models), pointers(out), per_atom);
}

void NativeEnsemble::evaluate_frame(int model, int n_atoms, const double *positions, const int *types,
                                    const double *cell, Prediction &out)
{
  evaluate_frame_of({model}, n_atoms, positions, types, cell, {&out});
}

void NativeEnsemble::evaluate_frame_all(int n_models, int n_atoms, const double *positions, const int *types,
                                        const double *cell, std::vector<Prediction> &out)
{
  out.resize(n_models);
  evaluate_frame_of(first_numbers(n_models), n_atoms, positions, types, cell, pointers(out));
}

void NativeEnsemble::evaluate_frame_of(const std::vector<int> &models, int n_atoms, const double *positions,
                                       const int *types, const double *cell, const std::vector<Prediction *> &out)
{
  FrameNeighbors frame(n_atoms, positions, types, cell, cutoff_);
  evaluator_->evaluate(frame.atoms(), frame.list(), models, out, nullptr);
  for (Prediction *prediction : out) frame.fold(prediction->forces);
}

}    // namespace dpgen::native
