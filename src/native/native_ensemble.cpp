#include "native/native_ensemble.h"

#include "errors.h"
#include "native/frame_neighbors.h"
#include "native/model_file.h"
#include "native/tuning.h"

#include <algorithm>
#include <numeric>

namespace dpgen::native {

namespace {

// Rounding in single precision, whether it is the kernel's or that of nets that DeePMD-kit evaluates so, changes forces
// by some 1e-6 eV/Å, sometimes by ten times as much; there is no use in being better than that.
constexpr double single_rounding = 4e-6, single_tolerance = 1e-4;
// With all channels and the finest splines forces are right to some 1e-9 eV/Å.
constexpr double finest_tolerance = 1e-7;

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

NativeEnsemble::NativeEnsemble(const std::vector<std::string> &paths, const EnsembleOptions &options, bool reduced) :
    Ensemble(paths)
{
  std::vector<Model> models;
  bool single = options.precision == Precision::fp32;
  for (std::size_t k = 0; k < paths_.size(); ++k) {
    models.push_back(read_model(converted_model_path(paths_[k], hashes_[k])));
    single = single || models.back().single;
  }
  cutoff_ = models.front().cutoff;
  type_map_ = models.front().type_map;
  tolerance_ = std::max(options.tolerance, single ? single_tolerance : finest_tolerance);
  const EvaluatorSource source(std::move(models));
  const double allowed = !reduced ? 0.0 : single ? std::max(options.tolerance, single_rounding) : options.tolerance;
  evaluator_ = source.make(options.precision, find_reduction(source, allowed));
}

NativeEnsemble::~NativeEnsemble() = default;

void NativeEnsemble::set_threads(int n_threads)
{
  evaluator_->set_threads(n_threads);
}

double NativeEnsemble::multiply_adds() const
{
  return evaluator_->multiply_adds();
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
