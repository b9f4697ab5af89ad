#include "native/block.h"

#include <algorithm>

namespace dpgen::native {

namespace {

// The distance at which s reaches the end of the grid.
double near_limit(const SplineGrid &grid, const Model &model)
{
  // s falls with r and is 1 / r below the smooth end of the cut-off.
  double low = 0.0, high = model.cutoff;
  for (int step = 0; step < 60; ++step) {
    const double r = 0.5 * (low + high),
                 u = std::max(0.0, (r - model.cutoff_smooth) / (model.cutoff - model.cutoff_smooth));
    const double w = u * u * u * (u * (15.0 - 6.0 * u) - 10.0) + 1.0;
    (w > grid.end * r ? low : high) = r;
  }
  return high;
}

}    // namespace

template <typename Real> Block<Real>::Block(const CompiledEnsemble<Real> &compiled, const Model &any, int max_rows) :
    compiled_(compiled), kernels_(kernels<Real>()),
    neighborhood_(any.cutoff, any.cutoff_smooth, near_limit(compiled.grid, any), any.sel), sel_(any.sel)
{
  for (int k = 0; k < spline_order; ++k) basis_at_0_[k] = static_cast<Real>(polynomials.power[0][k]);
  const std::size_t n = max_rows, row = compiled.row;
  moments_.resize(n * n_moments * row);
  moment_slopes_.resize(n * n_moments * row);
  rows_.resize(n * 4 * row);
  row_slopes_.resize(n * 4 * row);
  four_.resize(n * 4 * padded<Real>(compiled.width));
  four_slopes_.resize(n * 4 * padded<Real>(compiled.width));
  energies_.resize(n);
}

template <typename Real>
void Block<Real>::take(int type, const int *centres, int n, const AtomsView &atoms, const NeighborView &list)
{
  type_ = type;
  n_rows_ = n;
  neighborhood_.clear();
  for (int k = 0; k < n; ++k) neighborhood_.add(centres[k], atoms, list);
  neighborhood_.finish();
  sum_moments();
}

template <typename Real> void Block<Real>::sum_moments()
{
  const SplineGrid &grid = compiled_.grid;
  const int n_types = neighborhood_.n_types(), block = compiled_.row / n_types;
  std::fill_n(moments_.begin(), static_cast<std::size_t>(n_rows_) * n_moments * compiled_.row, Real(0));
  for (int row = 0; row < n_rows_; ++row)
    for (int type = 0; type < n_types; ++type) {
      Real *moments = &moments_[static_cast<std::size_t>(row) * n_moments * compiled_.row + type * block];
      const NeighborRange &range = neighborhood_.range(row, type);
      // Each empty slot is a neighbour with s = 0.
      for (int k = 0; k < spline_order; ++k)
        moments[compiled_.row + k] += static_cast<Real>(sel_[type] - range.n_all) * basis_at_0_[k];
      if (range.n > 0)
        kernels_.scatter(static_cast<Real>(1.0 / grid.step), grid.n_intervals(), neighborhood_.neighbors(range),
                         moments, compiled_.row);
    }
}

template <typename Real> void Block<Real>::run(int model)
{
  const CompiledCentre<Real> &centre = compiled_.models[model][type_];
  const bool reduced = centre.reduced.width > 0 && neighborhood_.near().empty();
  const CompiledForm<Real> &form = reduced ? centre.reduced : centre.full;
  const int row = compiled_.row;
  for (int i = 0; i < n_rows_; ++i)
    kernels_.normalise(row, static_cast<Real>(centre.average), static_cast<Real>(centre.factor),
                       static_cast<Real>(centre.factor_xyz), &moments_[static_cast<std::size_t>(i) * n_moments * row],
                       &rows_[static_cast<std::size_t>(i) * 4 * row]);
  kernels_.multiply(4 * n_rows_, form.spline.n_columns, row, rows_.data(), row, form.spline.data.data(), four_.data(),
                    form.stride, false);
  add_near(centre, model);
  const std::size_t size = form.size;
  Real *descriptor = room(descriptor_, n_rows_ * size);
  for (int i = 0; i < n_rows_; ++i)
    kernels_.descriptor(form.products, form.stride, &four_[static_cast<std::size_t>(i) * 4 * form.stride],
                        descriptor + i * size);
  fit(centre, form);
  fit_back(centre, form);
  descriptors_back(centre, form);
}

// What near neighbours add to the four rows, from the exact net.
template <typename Real> void Block<Real>::add_near(const CompiledCentre<Real> &centre, int model)
{
  const std::vector<NearNeighbor> &all = neighborhood_.near();
  const int width = compiled_.width, stride = centre.full.stride;
  near_value_.resize(all.size() * width);
  near_derivative_.resize(all.size() * width);
  for (std::size_t k = 0; k < all.size(); ++k) {
    const NearNeighbor &near = all[k];
    double *value = &near_value_[k * width];
    evaluate_embedding(compiled_.exact[model].embedding(type_, near.type), (near.s - centre.average) / centre.deviation,
                       value, &near_derivative_[k * width]);
    const double row[4] = {(near.s - centre.average) * centre.factor, near.s * near.direction[0] * centre.factor_xyz,
                           near.s * near.direction[1] * centre.factor_xyz,
                           near.s * near.direction[2] * centre.factor_xyz};
    Real *four = &four_[static_cast<std::size_t>(near.row) * 4 * stride];
    for (int q = 0; q < 4; ++q)
      for (int c = 0; c < width; ++c) four[q * stride + c] += static_cast<Real>(row[q] * value[c]);
  }
}

template <typename Real> void Block<Real>::slopes_of_near(const CompiledCentre<Real> &centre)
{
  const std::vector<NearNeighbor> &all = neighborhood_.near();
  const int width = compiled_.width, stride = centre.full.stride;
  near_slopes_.resize(all.size());
  for (std::size_t k = 0; k < all.size(); ++k) {
    const NearNeighbor &near = all[k];
    const Real *slopes = &four_slopes_[static_cast<std::size_t>(near.row) * 4 * stride];
    const double *value = &near_value_[k * width], *derivative = &near_derivative_[k * width];
    double of_value[4] = {}, of_derivative[4] = {};
    for (int q = 0; q < 4; ++q)
      for (int c = 0; c < width; ++c) {
        of_value[q] += static_cast<double>(slopes[q * stride + c]) * value[c];
        of_derivative[q] += static_cast<double>(slopes[q * stride + c]) * derivative[c];
      }
    const double *u = near.direction, *v = of_value + 1, *dv = of_derivative + 1;
    const double along = v[0] * u[0] + v[1] * u[1] + v[2] * u[2];
    const double along_derivative = dv[0] * u[0] + dv[1] * u[1] + dv[2] * u[2];
    const double by_s = centre.factor * of_value[0] + centre.factor_xyz * along +
        ((near.s - centre.average) * centre.factor * of_derivative[0] + near.s * centre.factor_xyz * along_derivative) /
            centre.deviation;
    for (int d = 0; d < 3; ++d)
      near_slopes_[k][d] = by_s * near.ds_dr * u[d] + near.s * centre.factor_xyz * (v[d] - along * u[d]) / near.r;
  }
}

template <typename Real> void Block<Real>::fit(const CompiledCentre<Real> &centre, const CompiledForm<Real> &form)
{
  const std::size_t n_layers = centre.layers.size();
  outputs_.resize(n_layers);
  slopes_.resize(n_layers);
  const Real *x = descriptor_.data();
  int n_in = form.products.size(), stride_in = form.size;
  for (std::size_t l = 0; l < n_layers; ++l) {
    const CompiledLayer<Real> &layer = centre.layers[l];
    const int n_out = padded<Real>(layer.n_out);
    LayerTask<Real> task;
    task.n_rows = n_rows_;
    task.n_in = layer.n_in;
    task.n_out = layer.n_out;
    task.activation = static_cast<int>(layer.activation);
    task.copies = layer.copies;
    task.bias = layer.bias.data();
    task.idt = layer.idt.data();
    task.x = x;
    task.z = room(outputs_[l], static_cast<std::size_t>(n_rows_) * n_out);
    task.slope = room(slopes_[l], static_cast<std::size_t>(n_rows_) * n_out);
    kernels_.multiply(n_rows_, n_out, n_in, x, stride_in, (l == 0 ? form.forward : layer.forward).data.data(), task.z,
                      n_out, false);
    kernels_.layer(task);
    x = task.z;
    n_in = layer.n_out;
    stride_in = n_out;
  }
  for (int i = 0; i < n_rows_; ++i) energies_[i] = x[static_cast<std::size_t>(i) * stride_in];
}

// From the energies back to the descriptor's slopes, which take its place.
template <typename Real> void Block<Real>::fit_back(const CompiledCentre<Real> &centre, const CompiledForm<Real> &form)
{
  int n = static_cast<int>(centre.last.size());
  Real *slope = room(slope_, static_cast<std::size_t>(n_rows_) * n);
  for (int i = 0; i < n_rows_; ++i)
    std::copy(centre.last.begin(), centre.last.end(), slope + static_cast<std::size_t>(i) * n);
  for (std::size_t l = centre.layers.size() - 2; l > 0; --l) {
    const CompiledLayer<Real> &layer = centre.layers[l];
    const int n_in = padded<Real>(layer.n_in);
    const std::size_t size_in = static_cast<std::size_t>(n_rows_) * n_in;
    Real *next = room(next_slope_, size_in);
    // What skips the layer, before the slope is turned into that of the layer's argument.
    if (layer.copies > 0) std::fill_n(next, size_in, Real(0));
    for (int i = 0; i < n_rows_; ++i)
      for (int copy = 0; copy < layer.copies; ++copy)
        for (int c = 0; c < layer.n_in; ++c)
          next[static_cast<std::size_t>(i) * n_in + c] +=
              slope[static_cast<std::size_t>(i) * n + copy * layer.n_in + c];
    kernels_.scale(n_rows_ * n, slopes_[l].data(), slope);
    kernels_.multiply(n_rows_, n_in, layer.n_out, slope, n, layer.back.data.data(), next, n_in, layer.copies > 0);
    n = n_in;
    slope_.swap(next_slope_);
    slope = slope_.data();
  }
  kernels_.scale(n_rows_ * n, slopes_[0].data(), slope);
  kernels_.multiply(n_rows_, form.size, centre.layers[0].n_out, slope, n, form.back.data.data(), descriptor_.data(),
                    form.size, false);
}

template <typename Real>
void Block<Real>::descriptors_back(const CompiledCentre<Real> &centre, const CompiledForm<Real> &form)
{
  const int row = compiled_.row;
  const std::size_t four = 4 * static_cast<std::size_t>(form.stride), size = form.size;
  for (int i = 0; i < n_rows_; ++i)
    kernels_.descriptor_back(form.products, form.stride, &four_[i * four], &descriptor_[i * size],
                             &four_slopes_[i * four]);
  slopes_of_near(centre);
  kernels_.multiply(4 * n_rows_, row, form.width, four_slopes_.data(), form.stride, form.spline_back.data.data(),
                    row_slopes_.data(), row, false);
  for (int i = 0; i < n_rows_; ++i)
    kernels_.normalise_back(row, static_cast<Real>(centre.average), static_cast<Real>(centre.factor),
                            static_cast<Real>(centre.factor_xyz), &row_slopes_[static_cast<std::size_t>(i) * 4 * row],
                            &moment_slopes_[static_cast<std::size_t>(i) * n_moments * row]);
}

template class Block<double>;
template class Block<float>;

}    // namespace dpgen::native
