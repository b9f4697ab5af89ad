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

// `input` says which input of the trained layer (or -1) ours is.
template <typename Real>
CompiledLayer<Real> compile_layer(const Layer &layer, int n_in, const std::function<int(int)> &input)
{
  CompiledLayer<Real> compiled;
  compiled.n_in = n_in;
  compiled.n_out = layer.n_out;
  compiled.activation = layer.activation;
  compiled.copies = layer.copies();
  const auto weight = [&](int in, int out) {
    const int trained = input(in);
    return trained < 0 ? 0.0 : layer.weights[static_cast<std::size_t>(trained) * layer.n_out + out];
  };
  compiled.forward = Packed<Real>(n_in, layer.n_out, weight);
  compiled.back = Packed<Real>(layer.n_out, n_in, [&](int out, int in) { return weight(in, out); });
  compiled.bias = row_of<Real>(layer.bias);
  compiled.idt = row_of<Real>(layer.idt);
  return compiled;
}

// The trained descriptor has entry c * axis + a, ours a * padded(width) + c.
template <typename Real> void compile_fitting(const Model &model, int centre, CompiledCentre<Real> &compiled)
{
  const Net &net = model.fittings[centre];
  const int width = model.width(), stride = padded<Real>(width), axis = model.axis;
  const auto of_descriptor = [=](int in) { return in % stride < width ? in % stride * axis + in / stride : -1; };
  const auto same = [](int in) { return in; };
  for (std::size_t l = 0; l < net.size(); ++l) {
    const bool first = l == 0;
    if (first && net[l].copies() > 0)
      throw ModelError("a fitting net whose first layer is as wide as the descriptor is not covered");
    compiled.layers.push_back(compile_layer<Real>(net[l], first ? axis * stride : net[l].n_in,
                                                  first ? std::function<int(int)>(of_descriptor) : same));
  }
  const CompiledLayer<Real> &last = compiled.layers.back();
  compiled.last.assign(padded<Real>(last.n_in), Real(0));
  for (int in = 0; in < last.n_in; ++in) {
    const int trained = net.size() == 1 ? of_descriptor(in) : in;
    if (trained >= 0) compiled.last[in] = static_cast<Real>(net.back().weights[trained]);
  }
  compiled.shift = model.energy_shifts[centre];
}

template <typename Real>
void compile_embedding(const Model &model, int centre, const SplineGrid &grid, CompiledCentre<Real> &compiled)
{
  const int width = model.width(), block = padded<Real>(grid.n_basis), row = block * model.n_types();
  compiled.average = model.averages[centre][0];
  compiled.deviation = model.deviations[centre][0];
  compiled.factor = 1.0 / (model.deviations[centre][0] * model.sel_sum());
  compiled.factor_xyz = 1.0 / (model.deviations[centre][1] * model.sel_sum());
  std::vector<std::vector<double>> coefficients;
  std::vector<double> slopes;
  for (int neighbor = 0; neighbor < model.n_types(); ++neighbor)
    coefficients.push_back(fit_spline(grid, width, of_s(model, centre, neighbor, slopes)));
  const auto entry = [&](int k, int c) {
    return k % block < grid.n_basis ? coefficients[k / block][static_cast<std::size_t>(k % block) * width + c] : 0.0;
  };
  compiled.spline = Packed<Real>(row, width, entry);
  compiled.spline_back = Packed<Real>(width, row, [&](int c, int k) { return entry(k, c); });
}

}    // namespace

template <typename Real>
CompiledEnsemble<Real>::CompiledEnsemble(const std::vector<Model> &trained, const SplineGrid &the_grid) :
    grid(the_grid), row(padded<Real>(grid.n_basis) * trained.front().n_types()), width(trained.front().width()),
    axis(trained.front().axis), exact(trained)
{
  for (const Model &model : exact) {
    models.emplace_back(model.n_types());
    for (int centre = 0; centre < model.n_types(); ++centre) {
      compile_embedding(model, centre, grid, models.back()[centre]);
      compile_fitting(model, centre, models.back()[centre]);
    }
  }
}

template struct Packed<double>;
template struct Packed<float>;
template struct CompiledEnsemble<double>;
template struct CompiledEnsemble<float>;

}    // namespace dpgen::native
