// Evaluates all models of an ensemble on the atoms of one rank.
//
// Neighbours and geometry are shared. Per centre and neighbour type, sums over neighbours of s, 1 and s x (direction)
// times the basis functions of a spline are formed once; each model then is a small matrix that turns them into the
// descriptor's four rows, and everything from there on is products of matrices over blocks of atoms.
#ifndef DPGEN_NATIVE_EVALUATOR_H
#define DPGEN_NATIVE_EVALUATOR_H

#include "ensemble.h"
#include "native/compiled_model.h"

namespace dpgen::native {

/// One precision. Not thread-safe.
class Evaluator {
 public:
  virtual ~Evaluator() = default;
  /// Evaluates the models numbered in `models`; `out[k]` belongs to `models[k]`. `per_atom` may be null.
  virtual void evaluate(const AtomsView &atoms, const NeighborView &list, const std::vector<int> &models,
                        const std::vector<Prediction *> &out, PerAtom *per_atom) = 0;
  virtual void set_threads(int n_threads) = 0;
  virtual std::string description() const = 0;
  /// Multiplications with addition of the last evaluation: splines, products of matrices and descriptors.
  virtual double multiply_adds() const = 0;
};

/// How models are made to cost less: steps of the splines, and where singular values of their channels are cut off.
struct Reduction {
  int n_intervals = 0;
  double rank_tolerance = 0.0;    ///< 0: all channels
};

/// What is the same for all reductions of some models.
struct EvaluatorSource {
  std::vector<Model> models{};
  EnsembleDirections directions{};

  /// Throws ModelError for models that the kernel does not cover. Without directions all channels have to be kept.
  explicit EvaluatorSource(std::vector<Model> models, bool with_directions = true);
  std::unique_ptr<Evaluator> make(Precision precision, const Reduction &reduction) const;
};

/// `tolerance`: see choose_grid(). Throws ModelError for models that the kernel does not cover.
std::unique_ptr<Evaluator> make_evaluator(const std::vector<Model> &models, Precision precision, double tolerance,
                                          double rank_tolerance);

}    // namespace dpgen::native

#endif
