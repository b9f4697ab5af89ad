#include "native/compiled_model.h"

#include "errors.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace dpgen::native {

namespace {

// Nearer than the shortest distance of the data atoms come rarely; where that is not known, few come nearer than this.
constexpr double usual_shortest = 1.8;    // Å
constexpr double reserve = 0.9;

// An embedding net as a function of s = switch(r) / r.
std::function<void(double, double *)> of_s(const Model &model, int centre, int neighbor, std::vector<double> &slopes)
{
  const Embedding &net = model.embedding(centre, neighbor);
  const double average = model.averages[centre][0], deviation = model.deviations[centre][0];
  slopes.resize(model.width());
  return [&net, average, deviation, &slopes](double s, double *value) {
    evaluate_embedding(net, (s - average) / deviation, value, slopes.data());
  };
}

std::vector<double> spline_of(const Model &model, int centre, int neighbor, const SplineGrid &grid)
{
  std::vector<double> slopes;
  return fit_spline(grid, model.width(), of_s(model, centre, neighbor, slopes),
                    model.embedding(centre, neighbor).net.empty());
}

// The largest error of a spline's value and slope, each relative to the largest that there is.
double spline_error(const Model &model, int centre, int neighbor, const SplineGrid &grid)
{
  const int width = model.width();
  std::vector<double> slope, net_value(width), value(width), derivative(width);
  const auto net = of_s(model, centre, neighbor, slope);
  const std::vector<double> coefficients = spline_of(model, centre, neighbor, grid);
  const double deviation = model.deviations[centre][0];
  double largest = 0.0, steepest = 0.0, error = 0.0, slope_error = 0.0;
  const int n_points = 5 * grid.n_intervals();
  for (int k = 0; k < n_points; ++k) {
    const double s = grid.end * (k + 0.5) / n_points;
    net(s, net_value.data());
    evaluate_spline(grid, coefficients, width, s, value.data(), derivative.data());
    for (int c = 0; c < width; ++c) {
      largest = std::max(largest, std::abs(net_value[c]));
      steepest = std::max(steepest, std::abs(slope[c] / deviation));
      error = std::max(error, std::abs(net_value[c] - value[c]));
      slope_error = std::max(slope_error, std::abs(slope[c] / deviation - derivative[c]));
    }
  }
  const double relative = std::max(error / (largest + 1e-300), slope_error / (steepest + 1e-300));
  return largest + steepest > 0.0 ? relative : 0.0;
}

}    // namespace

const std::vector<int> grid_steps{10, 13, 17, 21, 25, 29, 33, 41, 49, 57, 65, 81, 97, 129, 161, 193, 257, 385};

double grid_end(const std::vector<Model> &models)
{
  double shortest = 0.0;
  for (const Model &model : models) shortest = std::max(shortest, model.shortest);
  if (shortest <= 0.0) shortest = usual_shortest / reserve;
  shortest = std::min(shortest, models.front().cutoff);
  double end = 1.0 / (reserve * shortest);
  for (const Model &model : models)
    for (const Embedding &embedding : model.embeddings)
      for (int centre = 0; centre < model.n_types() && embedding.net.empty(); ++centre)
        end = std::min(end, model.averages[centre][0] + model.deviations[centre][0] * embedding.table.upper);
  return end;
}

SplineGrid choose_grid(const std::vector<Model> &models, double tolerance)
{
  const double end = grid_end(models);
  double error = 0.0;
  for (int n_intervals : grid_steps) {
    const SplineGrid grid(end, n_intervals);
    error = 0.0;
    for (const Model &model : models)
      for (int centre = 0; centre < model.n_types(); ++centre)
        for (int neighbor = 0; neighbor < model.n_types() && error <= tolerance; ++neighbor)
          error = std::max(error, spline_error(model, centre, neighbor, grid));
    if (error <= tolerance) return grid;
  }
  throw ModelError("no spline of less than 400 steps gives the embedding nets to " + std::to_string(tolerance));
}

template <typename Real> Matrix<Real>::Matrix(int rows, int columns, const std::function<double(int, int)> &entry) :
    n_rows(rows), n_columns(columns), data(static_cast<std::size_t>(rows) * columns)
{
  Real *to = data.data();
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c) *to++ = static_cast<Real>(entry(r, c));
}

namespace {

template <typename Real> Buffer<Real> row_of(const std::vector<double> &values)
{
  return {values.begin(), values.end()};
}

template <typename Real> CompiledLayer<Real> compile_layer(const Layer &layer, bool with_matrices)
{
  CompiledLayer<Real> compiled;
  compiled.n_in = layer.n_in;
  compiled.n_out = layer.n_out;
  compiled.activation = layer.activation;
  compiled.copies = layer.copies();
  compiled.bias = row_of<Real>(layer.bias);
  compiled.idt = row_of<Real>(layer.idt);
  if (!with_matrices) return compiled;
  const auto weight = [&](int in, int out) { return layer.weights[static_cast<std::size_t>(in) * layer.n_out + out]; };
  compiled.forward = Matrix<Real>(layer.n_out, layer.n_in, [&](int out, int in) { return weight(in, out); });
  compiled.back = Matrix<Real>(layer.n_in, layer.n_out, weight);
  return compiled;
}

template <typename Real> void compile_fitting(const Model &model, int centre, CompiledCentre<Real> &compiled)
{
  const Net &net = model.fittings[centre];
  if (net.size() < 2) throw ModelError("a fitting net without hidden layers is not covered");
  if (net.front().copies() > 0)
    throw ModelError("a fitting net whose first layer is as wide as the descriptor is not covered");
  for (std::size_t l = 0; l < net.size(); ++l) compiled.layers.push_back(compile_layer<Real>(net[l], l > 0));
  std::vector<double> last = net.back().weights;
  for (double &weight : last) weight *= net.back().idt[0];
  compiled.last = row_of<Real>(last);
  compiled.shift = model.energy_shifts[centre];
}

// Coefficients of the splines [k][channel] in blocks of n_basis rows, one per neighbour type.
std::vector<double> spline_matrix(const Model &model, int centre, const SplineGrid &grid)
{
  std::vector<double> matrix;
  for (int neighbor = 0; neighbor < model.n_types(); ++neighbor) {
    const std::vector<double> part = spline_of(model, centre, neighbor, grid);
    matrix.insert(matrix.end(), part.begin(), part.end());
  }
  return matrix;
}

// `splines` is [k][width]; weight(a, c, out) belongs to the product of a and c.
template <typename Real> void fill_form(const std::vector<double> &splines, int n_out,
                                        const std::function<double(int, int, int)> &weight, CompiledForm<Real> &form)
{
  const int width = form.width, row = static_cast<int>(splines.size()) / width;
  const auto spline = [&](int k, int c) { return splines[static_cast<std::size_t>(k) * width + c]; };
  form.spline = Matrix<Real>(width, row, [&](int c, int k) { return spline(k, c); });
  form.spline_back = Matrix<Real>(row, width, spline);
  std::vector<std::array<int, 2>> places;
  for (int a = 0; a < form.products.n_rows; ++a)
    for (int c = form.products.first(a); c < form.products.n_columns; ++c) places.push_back({a, c});
  const auto entry = [&](int in, int out) { return weight(places[in][0], places[in][1], out); };
  form.forward = Matrix<Real>(n_out, form.products.size(), [&](int out, int in) { return entry(in, out); });
  form.back = Matrix<Real>(form.products.size(), n_out, entry);
}

template <typename Real>
void compile_full(const Model &model, int centre, const std::vector<double> &splines, CompiledForm<Real> &form)
{
  const Layer &first = model.fittings[centre].front();
  const int axis = model.axis;
  form.width = model.width();
  form.products = {axis, form.width, false};
  fill_form<Real>(
      splines, first.n_out,
      [&](int a, int c, int out) { return first.weights[static_cast<std::size_t>(c * axis + a) * first.n_out + out]; },
      form);
}

// Values and slopes of all embedding nets of a centre on the grid; slopes count as much as they change the value within
// a fraction of the grid.
std::vector<double> samples_of(const Model &model, int centre, double grid_end)
{
  constexpr int n_points = 150;
  constexpr double fraction = 0.05;
  const int width = model.width();
  const double deviation = model.deviations[centre][0];
  std::vector<double> samples, value(width), slopes;
  for (int neighbor = 0; neighbor < model.n_types(); ++neighbor) {
    const auto net = of_s(model, centre, neighbor, slopes);
    for (int k = 0; k <= n_points; ++k) {
      net(grid_end * k / n_points, value.data());
      samples.insert(samples.end(), value.begin(), value.end());
      for (double slope : slopes) samples.push_back(fraction * grid_end * slope / deviation);
    }
  }
  return samples;
}

// What an atom costs from the grid to the second layer of the fitting net.
double multiplications(int row, int width, const Products &products, int n_out)
{
  return 9.0 * row * width + products.size() * (2.0 * n_out + 12.0);
}

// weights[p][q][out] of the first layer: of the product of directions p and q, summed over the channels that they stand
// for.
std::vector<double> weights_of_directions(const Layer &first, int axis, const Directions &low, int rank)
{
  const std::size_t n_out = first.n_out;
  std::vector<double> half(static_cast<std::size_t>(rank) * axis * n_out, 0.0),
      weights(static_cast<std::size_t>(rank) * rank * n_out, 0.0);
  for (int p = 0; p < rank; ++p)
    for (int c = 0; c < low.width; ++c)
      for (std::size_t k = 0; k < axis * n_out; ++k)
        half[p * axis * n_out + k] += low(c, p) * first.weights[c * axis * n_out + k];
  for (int p = 0; p < rank; ++p)
    for (int q = 0; q < rank; ++q)
      for (int a = 0; a < axis; ++a)
        for (std::size_t out = 0; out < n_out; ++out)
          weights[(static_cast<std::size_t>(p) * rank + q) * n_out + out] +=
              low(a, q) * half[(p * axis + a) * n_out + out];
  return weights;
}

template <typename Real> void compile_reduced(const Model &model, int centre, const Directions &low, int rank,
                                              const std::vector<double> &splines, CompiledCentre<Real> &compiled)
{
  const Layer &first = model.fittings[centre].front();
  const int width = model.width(), row = static_cast<int>(splines.size()) / width;
  const Products products{rank, rank, true};
  const double full = multiplications(row, width, compiled.full.products, first.n_out);
  if (multiplications(row, rank, products, first.n_out) > 0.95 * full) return;
  CompiledForm<Real> &form = compiled.reduced;
  form.width = rank;
  form.products = products;
  std::vector<double> reduced(static_cast<std::size_t>(row) * rank, 0.0);
  for (int k = 0; k < row; ++k)
    for (int c = 0; c < width; ++c)
      for (int r = 0; r < rank; ++r)
        reduced[static_cast<std::size_t>(k) * rank + r] += splines[static_cast<std::size_t>(k) * width + c] * low(c, r);
  const std::vector<double> weights = weights_of_directions(first, model.axis, low, rank);
  const auto weight = [&](int p, int q, int out) {
    const double one = weights[(static_cast<std::size_t>(p) * rank + q) * first.n_out + out];
    return p == q ? one : one + weights[(static_cast<std::size_t>(q) * rank + p) * first.n_out + out];
  };
  fill_form<Real>(reduced, first.n_out, weight, form);
}

}    // namespace

EnsembleDirections find_directions(const std::vector<Model> &models)
{
  const double end = grid_end(models);
  EnsembleDirections directions;
  for (const Model &model : models) {
    directions.emplace_back();
    for (int centre = 0; centre < model.n_types(); ++centre)
      directions.back().push_back(find_directions(samples_of(model, centre, end), model.width()));
  }
  return directions;
}

template <typename Real>
CompiledEnsemble<Real>::CompiledEnsemble(const std::vector<Model> &trained, const SplineGrid &the_grid,
                                         const EnsembleDirections &directions, double rank_tolerance) :
    grid(the_grid), row(grid.n_basis * trained.front().n_types()), width(trained.front().width()), exact(trained)
{
  for (std::size_t m = 0; m < exact.size(); ++m) {
    const Model &model = exact[m];
    models.emplace_back(model.n_types());
    for (int centre = 0; centre < model.n_types(); ++centre) {
      CompiledCentre<Real> &compiled = models.back()[centre];
      compiled.average = model.averages[centre][0];
      compiled.deviation = model.deviations[centre][0];
      compiled.factor = 1.0 / (model.deviations[centre][0] * model.sel_sum());
      compiled.factor_xyz = 1.0 / (model.deviations[centre][1] * model.sel_sum());
      compile_fitting(model, centre, compiled);
      const std::vector<double> splines = spline_matrix(model, centre, grid);
      compile_full(model, centre, splines, compiled.full);
      if (rank_tolerance > 0.0) {
        const Directions &low = directions[m][centre];
        compile_reduced(model, centre, low, low.rank(rank_tolerance), splines, compiled);
      }
    }
  }
}

template struct Matrix<double>;
template struct Matrix<float>;
template struct CompiledEnsemble<double>;
template struct CompiledEnsemble<float>;

}    // namespace dpgen::native
