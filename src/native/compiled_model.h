// Models in the form that the inner loops take: embedding nets as splines, matrices packed, numbers in the precision
// asked for.
#ifndef DPGEN_NATIVE_COMPILED_MODEL_H
#define DPGEN_NATIVE_COMPILED_MODEL_H

#include "native/buffer.h"
#include "native/low_rank.h"
#include "native/model.h"
#include "native/spline.h"

#include <functional>

namespace dpgen::native {

/// A matrix [n_rows][n_columns] for Kernels::multiply.
template <typename Real> struct Matrix {
  int n_rows = 0, n_columns = 0;
  Buffer<Real> data{};

  Matrix() = default;
  Matrix(int n_rows, int n_columns, const std::function<double(int, int)> &entry);
};

template <typename Real> struct CompiledLayer {
  int n_in = 0, n_out = 0;
  Activation activation = Activation::linear;
  int copies = 0;
  Matrix<Real> forward{}, back{};    ///< [n_out][n_in] and [n_in][n_out]
  Buffer<Real> bias{}, idt{};
};

/// How the descriptor of one model and centre type is formed, and the layer that takes it.
///
/// Sums on the spline grid become four rows of `width` numbers, and these the products of numbers a and c, summed over
/// the four rows. Either the numbers are the channels of the embedding net, a is an axis neuron and c any channel; or
/// they are few directions in which all channels lie, and the products are those of all pairs, each once. What takes
/// the channels from the directions, and the sum over products of channels, is then part of the first layer of the
/// fitting net, and the descriptor itself is never formed.
template <typename Real> struct CompiledForm {
  int width = 0;
  Products products{};
  Matrix<Real> spline{}, spline_back{};    ///< [width][row] and [row][width]
  Matrix<Real> forward{}, back{};          ///< of the first layer
};

/// What one model does with the atoms of one type.
template <typename Real> struct CompiledCentre {
  double average = 0.0, deviation = 1.0;        ///< of s
  double factor = 0.0, factor_xyz = 0.0;        ///< 1 / (deviation * sum of sel), of s and of directions
  CompiledForm<Real> full{};                    ///< exact; near neighbours need it
  CompiledForm<Real> reduced{};                 ///< width 0: not worth while
  std::vector<CompiledLayer<Real>> layers{};    ///< the first without its matrices
  Buffer<Real> last{};                          ///< weights of the last layer, which has one output
  double shift = 0.0;                           ///< eV
};

/// In which directions the channels of the embedding nets lie: [model][type of the centre].
using EnsembleDirections = std::vector<std::vector<Directions>>;

/// All models of an ensemble on one grid.
template <typename Real> struct CompiledEnsemble {
  SplineGrid grid{};
  int row = 0;      ///< length of a row on the grid: each neighbour type has n_basis numbers
  int width = 0;    ///< of the embedding nets
  std::vector<std::vector<CompiledCentre<Real>>> models{};    ///< [model][type of the centre]
  std::vector<Model> exact{};                                 ///< as they were trained, for what lies beyond the grid

  /// The models must agree in all but their weights.
  /// `rank_tolerance`: see Directions::rank(); 0: never reduced, and `directions` are not looked at.
  CompiledEnsemble(const std::vector<Model> &models, const SplineGrid &grid, const EnsembleDirections &directions,
                   double rank_tolerance);
};

/// Where the grid of an ensemble ends (1/Å): atoms nearer than that are rare. Not beyond the fine grids of tables.
double grid_end(const std::vector<Model> &models);

/// How many steps grids may have, by rising number.
extern const std::vector<int> grid_steps;

/// The coarsest grid on which all embedding nets are right to `tolerance` (relative to their largest value and slope).
///
/// Throws ModelError where there is none.
SplineGrid choose_grid(const std::vector<Model> &models, double tolerance);

EnsembleDirections find_directions(const std::vector<Model> &models);

}    // namespace dpgen::native

#endif
