#include "native/compiled_model.h"

#include "errors.h"
#include "native/low_rank.h"

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
  const Net &net = model.embedding(centre, neighbor);
  const double average = model.averages[centre][0], deviation = model.deviations[centre][0];
  slopes.resize(model.width());
  return [&net, average, deviation, &slopes](double s, double *value) {
    evaluate_embedding(net, (s - average) / deviation, value, slopes.data());
  };
}

double grid_end(const std::vector<Model> &models)
{
  double shortest = 0.0;
  for (const Model &model : models) shortest = std::max(shortest, model.shortest);
  if (shortest <= 0.0) shortest = usual_shortest / reserve;
  shortest = std::min(shortest, models.front().cutoff);
  return 1.0 / (reserve * shortest);
}

// The largest error of a spline's value and slope, each relative to the largest that there is.
double spline_error(const Model &model, int centre, int neighbor, const SplineGrid &grid)
{
  const int width = model.width();
  std::vector<double> slope, net_value(width), value(width), derivative(width);
  const auto net = of_s(model, centre, neighbor, slope);
  const std::vector<double> coefficients = fit_spline(grid, width, net);
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

SplineGrid choose_grid(const std::vector<Model> &models, double tolerance)
{
  const double end = grid_end(models);
  double error = 0.0;
  for (int n_intervals : {17, 25, 33, 41, 49, 57, 65, 81, 97, 129, 161, 193, 257, 385}) {
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

template <typename Real>
Packed<Real>::Packed(int the_inner, int the_columns, const std::function<double(int, int)> &entry) :
    n_inner(the_inner), n_columns(padded<Real>(the_columns)), data(static_cast<std::size_t>(n_inner) * n_columns)
{
  const int panel = kernels<Real>().panel;
  Real *to = data.data();
  for (int first = 0; first < n_columns; first += panel)
    for (int k = 0; k < n_inner; ++k)
      for (int c = first; c < std::min(n_columns, first + panel); ++c)
        *to++ = static_cast<Real>(c < the_columns ? entry(k, c) : 0.0);
}

namespace {

template <typename Real> Buffer<Real> row_of(const std::vector<double> &values)
{
  Buffer<Real> row(padded<Real>(static_cast<int>(values.size())), Real(0));
  std::copy(values.begin(), values.end(), row.begin());
  return row;
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
  compiled.forward = Packed<Real>(layer.n_in, layer.n_out, weight);
  compiled.back = Packed<Real>(layer.n_out, layer.n_in, [&](int out, int in) { return weight(in, out); });
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

// Coefficients of the splines [k][channel] in blocks of padded(n_basis) rows, one per neighbour type.
template <typename Real> std::vector<double> spline_matrix(const Model &model, int centre, const SplineGrid &grid)
{
  const int width = model.width(), block = padded<Real>(grid.n_basis);
  std::vector<double> matrix(static_cast<std::size_t>(block) * model.n_types() * width, 0.0), slopes;
  for (int neighbor = 0; neighbor < model.n_types(); ++neighbor) {
    const std::vector<double> part = fit_spline(grid, width, of_s(model, centre, neighbor, slopes));
    std::copy(part.begin(), part.end(), matrix.begin() + static_cast<std::ptrdiff_t>(neighbor) * block * width);
  }
  return matrix;
}

template <typename Real> void pack_form(const std::function<double(int, int)> &spline,
                                        const std::function<double(int, int, int)> &weight, int row, int n_out,
                                        CompiledForm<Real> &form)
{
  form.stride = padded<Real>(form.width);
  form.size = padded<Real>(form.products.size());
  form.spline = Packed<Real>(row, form.width, spline);
  form.spline_back = Packed<Real>(form.width, row, [&](int c, int k) { return spline(k, c); });
  std::vector<std::array<int, 2>> places;
  for (int a = 0; a < form.products.n_rows; ++a)
    for (int c = form.products.first(a); c < form.products.n_columns; ++c) places.push_back({a, c});
  const auto entry = [&](int in, int out) {
    const auto [a, c] = places[in];
    return c < form.width ? weight(a, c, out) : 0.0;
  };
  form.forward = Packed<Real>(form.products.size(), n_out, entry);
  form.back = Packed<Real>(n_out, form.products.size(), [&](int out, int in) { return entry(in, out); });
}

template <typename Real>
void compile_full(const Model &model, int centre, const std::vector<double> &splines, CompiledForm<Real> &form)
{
  const Layer &first = model.fittings[centre].front();
  const int axis = model.axis;
  form.width = model.width();
  form.products = {axis, padded<Real>(form.width), false};
  pack_form<Real>(
      [&](int k, int c) { return splines[static_cast<std::size_t>(k) * form.width + c]; },
      [&](int a, int c, int out) { return first.weights[static_cast<std::size_t>(c * axis + a) * first.n_out + out]; },
      static_cast<int>(splines.size()) / form.width, first.n_out, form);
}

// Values and slopes of all embedding nets of a centre on the grid; slopes count as much as they change the value within
// a fraction of the grid.
std::vector<double> samples_of(const Model &model, int centre, const SplineGrid &grid)
{
  constexpr int n_points = 150;
  constexpr double fraction = 0.05;
  const int width = model.width();
  const double deviation = model.deviations[centre][0];
  std::vector<double> samples, value(width), slopes;
  for (int neighbor = 0; neighbor < model.n_types(); ++neighbor) {
    const auto net = of_s(model, centre, neighbor, slopes);
    for (int k = 0; k <= n_points; ++k) {
      net(grid.end * k / n_points, value.data());
      samples.insert(samples.end(), value.begin(), value.end());
      for (double slope : slopes) samples.push_back(fraction * grid.end * slope / deviation);
    }
  }
  return samples;
}

// What an atom costs from the grid to the second layer of the fitting net.
double multiplications(int row, int width, const ProductRows &products, int n_out)
{
  return 4.0 * row * padded<double>(width) + static_cast<double>(products.size()) * n_out;
}

template <typename Real> void compile_reduced(const Model &model, int centre, const SplineGrid &grid,
                                              const std::vector<double> &splines, double tolerance,
                                              CompiledCentre<Real> &compiled)
{
  const Layer &first = model.fittings[centre].front();
  const int width = model.width(), axis = model.axis, row = static_cast<int>(splines.size()) / width;
  const LowRank low = find_low_rank(samples_of(model, centre, grid), width, tolerance);
  const ProductRows products{low.rank, padded<double>(low.rank), true};
  const double full = multiplications(row, width, compiled.full.products, first.n_out);
  if (multiplications(row, low.rank, products, first.n_out) > 0.95 * full) return;
  CompiledForm<Real> &form = compiled.reduced;
  form.width = low.rank;
  form.products = products;
  std::vector<double> spline(static_cast<std::size_t>(row) * low.rank, 0.0);
  for (int k = 0; k < row; ++k)
    for (int c = 0; c < width; ++c)
      for (int r = 0; r < low.rank; ++r)
        spline[static_cast<std::size_t>(k) * low.rank + r] +=
            splines[static_cast<std::size_t>(k) * width + c] * low(c, r);

  // weights[p][q][out]: of the product of directions p and q, summed over the channels that they stand for.
  const std::size_t n_out = first.n_out;
  std::vector<double> half(static_cast<std::size_t>(low.rank) * axis * n_out, 0.0),
      weights(static_cast<std::size_t>(low.rank) * low.rank * n_out, 0.0);
  for (int p = 0; p < low.rank; ++p)
    for (int c = 0; c < width; ++c)
      for (std::size_t k = 0; k < axis * n_out; ++k)
        half[p * axis * n_out + k] += low(c, p) * first.weights[c * axis * n_out + k];
  for (int p = 0; p < low.rank; ++p)
    for (int q = 0; q < low.rank; ++q)
      for (int a = 0; a < axis; ++a)
        for (std::size_t out = 0; out < n_out; ++out)
          weights[(static_cast<std::size_t>(p) * low.rank + q) * n_out + out] +=
              low(a, q) * half[(p * axis + a) * n_out + out];
  const auto weight = [&](int a, int c, int out) {
    if (c < a) return 0.0;    // the product of c and a stands elsewhere
    const double one = weights[(static_cast<std::size_t>(a) * low.rank + c) * n_out + out];
    return a == c ? one : one + weights[(static_cast<std::size_t>(c) * low.rank + a) * n_out + out];
  };
  pack_form<Real>([&](int k, int r) { return spline[static_cast<std::size_t>(k) * low.rank + r]; }, weight, row,
                  first.n_out, form);
}

}    // namespace

template <typename Real> CompiledEnsemble<Real>::CompiledEnsemble(const std::vector<Model> &trained,
                                                                  const SplineGrid &the_grid, double rank_tolerance) :
    grid(the_grid), row(padded<Real>(grid.n_basis) * trained.front().n_types()), width(trained.front().width()),
    exact(trained)
{
  for (const Model &model : exact) {
    models.emplace_back(model.n_types());
    for (int centre = 0; centre < model.n_types(); ++centre) {
      CompiledCentre<Real> &compiled = models.back()[centre];
      compiled.average = model.averages[centre][0];
      compiled.deviation = model.deviations[centre][0];
      compiled.factor = 1.0 / (model.deviations[centre][0] * model.sel_sum());
      compiled.factor_xyz = 1.0 / (model.deviations[centre][1] * model.sel_sum());
      compile_fitting(model, centre, compiled);
      const std::vector<double> splines = spline_matrix<Real>(model, centre, grid);
      compile_full(model, centre, splines, compiled.full);
      if (rank_tolerance > 0.0) compile_reduced(model, centre, grid, splines, rank_tolerance, compiled);
    }
  }
}

template struct Packed<double>;
template struct Packed<float>;
template struct CompiledEnsemble<double>;
template struct CompiledEnsemble<float>;

}    // namespace dpgen::native
