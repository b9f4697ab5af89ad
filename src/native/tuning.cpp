#include "native/tuning.h"

#include "errors.h"
#include "native/frame_neighbors.h"
#include "native/test_frame.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace dpgen::native {

namespace {

// With the first of these forces are right to some 1e-9 eV/Å. Tables of compressed models are not as smooth as that.
constexpr double finest_splines[] = {1e-8, 1e-7, 1e-6}, coarsest_spline = 1e-5;
constexpr double rank_tolerances[] = {1e-5, 3e-6, 1e-6, 3e-7, 1e-7, 3e-8, 1e-8, 3e-9, 1e-9};
// Test frames are few; what an error may be on them is less than what is promised.
constexpr double share_of_spline = 0.1, share_of_all = 0.25;

using Forces = std::vector<std::vector<double>>;

// Crystals from dense to stretched. Where the shortest distance of the data is known they are as dense as that allows,
// unless it is that of a molecule's bond, at which no crystal can be.
std::vector<TestFrame> frames_for(const std::vector<Model> &models)
{
  double shortest = 0.0;
  for (const Model &model : models) shortest = std::max(shortest, model.shortest);
  if (shortest <= 0.0) shortest = 2.2;
  shortest = std::max(shortest, 1.6);
  std::vector<TestFrame> frames;
  for (double factor : {1.15, 1.3, 1.5}) frames.push_back(test_frame(models.front().n_types(), factor * shortest));
  return frames;
}

Forces forces_of(Evaluator &evaluator, const std::vector<TestFrame> &frames, const std::vector<Model> &models)
{
  std::vector<int> numbers(models.size());
  std::iota(numbers.begin(), numbers.end(), 0);
  std::vector<Prediction> predictions(models.size());
  std::vector<Prediction *> pointers;
  for (Prediction &prediction : predictions) pointers.push_back(&prediction);
  Forces forces;
  for (const TestFrame &frame : frames) {
    FrameNeighbors neighbors(frame.n_atoms(), frame.positions.data(), frame.types.data(), frame.cell.data(),
                             models.front().cutoff);
    evaluator.evaluate(neighbors.atoms(), neighbors.list(), numbers, pointers, nullptr);
    for (Prediction &prediction : predictions) {
      neighbors.fold(prediction.forces);
      forces.push_back(prediction.forces);
    }
  }
  return forces;
}

double difference(const Forces &one, const Forces &other)
{
  double largest = 0.0;
  for (std::size_t k = 0; k < one.size(); ++k)
    for (std::size_t c = 0; c < one[k].size(); ++c) largest = std::max(largest, std::abs(one[k][c] - other[k][c]));
  return largest;
}

int finest_steps(const std::vector<Model> &models)
{
  for (double tolerance : finest_splines) try {
      return choose_grid(models, tolerance).n_intervals();
    } catch (const ModelError &) {    // the next is easier
    }
  return choose_grid(models, coarsest_spline).n_intervals();
}

}    // namespace

Reduction find_reduction(const EvaluatorSource &source, double tolerance)
{
  const std::vector<TestFrame> frames = frames_for(source.models);
  const Reduction finest{finest_steps(source.models), 0.0};
  if (tolerance == 0.0) return finest;
  const Forces exact = forces_of(*source.make(Precision::fp64, finest), frames, source.models);
  const auto error = [&](const Reduction &reduction) {
    return difference(exact, forces_of(*source.make(Precision::fp64, reduction), frames, source.models));
  };
  Reduction reduction = finest;
  for (int n_intervals : grid_steps) {
    if (n_intervals >= finest.n_intervals) break;
    if (!(error({n_intervals, 0.0}) <= share_of_spline * tolerance)) continue;
    reduction.n_intervals = n_intervals;
    break;
  }
  for (double rank_tolerance : rank_tolerances)
    if (error({reduction.n_intervals, rank_tolerance}) <= share_of_all * tolerance) {
      reduction.rank_tolerance = rank_tolerance;
      break;
    }
  return reduction;
}

}    // namespace dpgen::native
