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
  const std::size_t n = padded<Real>(max_rows), row = compiled.row, width = compiled.width;
  moments_.resize(n * moment_row * row);
  columns_.resize(n * n_moments * row);
  five_.resize(n * n_moments * width);
  four_.resize(n * 4 * width);
  four_slopes_.resize(n * 4 * width);
  moment_slopes_.resize(n * (16 * row + 4));
  rows_.resize(8 * (16 * row + 4));
  energies_.resize(4 * n);
}

template <typename Real>
void Block<Real>::take(int type, const int *centres, int n, const AtomsView &atoms, const NeighborView &list)
{
  type_ = type;
  n_rows_ = n;
  n_columns_ = padded<Real>(n);
  centres_ = centres;
  neighborhood_.clear();
  for (int k = 0; k < n; ++k) neighborhood_.add(centres[k], atoms, list);
  neighborhood_.finish();
  sum_moments();
}

template <typename Real> void Block<Real>::sum_moments()
{
  const SplineGrid &grid = compiled_.grid;
  const std::size_t of_type = static_cast<std::size_t>(grid.n_basis) * moment_row;
  const std::size_t of_atom = static_cast<std::size_t>(compiled_.row) * moment_row;
  std::fill_n(moments_.begin(), static_cast<std::size_t>(n_columns_) * of_atom, Real(0));
  n_pairs_ = 0;
  for (int row = 0; row < n_rows_; ++row)
    for (int type = 0; type < neighborhood_.n_types(); ++type) {
      Real *moments = &moments_[row * of_atom + type * of_type];
      const NeighborRange &range = neighborhood_.range(row, type);
      // Each empty slot is a neighbour with s = 0.
      for (int k = 0; k < spline_order; ++k)
        moments[k * moment_row + 1] += static_cast<Real>(sel_[type] - range.n_all) * basis_at_0_[k];
      n_pairs_ += range.n;
      if (range.n > 0)
        kernels_.scatter(static_cast<Real>(1.0 / grid.step), grid.n_intervals(), neighborhood_.neighbors(range),
                         moments);
    }
  // Two polynomials of degree 7 for eight functions, and their sums.
  multiply_adds += (14.0 + n_moments) * spline_order * n_pairs_;
  kernels_.moments_to_columns(compiled_.row, n_columns_, moments_.data(), columns_.data());
}

template <typename Real> void Block<Real>::run(const ModelGroup &group)
{
  for (std::size_t slot = 0; slot < group.models.size(); ++slot)
    run_model(group.models[slot], static_cast<int>(slot), group.n_slots());
}

// Per atom: to the directions and back, their products, and the fitting net.
template <typename Real>
double Block<Real>::cost(const CompiledCentre<Real> &centre, const CompiledForm<Real> &form) const
{
  double sum = 9.0 * compiled_.row * form.width + form.products.size() * (12.0 + 2.0 * centre.layers[0].n_out);
  for (std::size_t l = 1; l < centre.layers.size(); ++l) sum += 2.0 * centre.layers[l].n_in * centre.layers[l].n_out;
  return sum;
}

template <typename Real> void Block<Real>::run_model(int model, int slot, int n_slots)
{
  const CompiledCentre<Real> &centre = compiled_.models[model][type_];
  const bool reduced = centre.reduced.width > 0 && neighborhood_.near().empty();
  const CompiledForm<Real> &form = reduced ? centre.reduced : centre.full;
  const int row = compiled_.row, n = n_columns_;
  multiply_adds += n_rows_ * cost(centre, form) + 8.0 * spline_order * n_pairs_;
  const Real factor = static_cast<Real>(centre.factor), factor_xyz = static_cast<Real>(centre.factor_xyz);
  kernels_.multiply(form.width, n_moments * n, row, form.spline.data.data(), row, columns_.data(), n_moments * n,
                    five_.data(), n_moments * n, false);
  kernels_.normalise(form.width, n, static_cast<Real>(centre.average), factor, factor_xyz, five_.data(), four_.data());
  add_near(centre, model);
  kernels_.descriptor(form.products, n, four_.data(),
                      room(descriptor_, static_cast<std::size_t>(form.products.size()) * n));
  fit(centre, form, slot);
  fit_back(centre, form);
  kernels_.descriptor_back(form.products, n, four_.data(), descriptor_.data(), four_slopes_.data());
  slopes_of_near(centre, slot);
  kernels_.normalise_back(form.width, n, factor, factor_xyz, four_slopes_.data());
  kernels_.multiply(row, 4 * n, form.width, form.spline_back.data.data(), form.width, four_slopes_.data(), 4 * n,
                    &moment_slopes_[static_cast<std::size_t>(slot) * 4 * n], n_slots * 4 * n, false);
}

// What near neighbours add to the four rows, from the exact net.
template <typename Real> void Block<Real>::add_near(const CompiledCentre<Real> &centre, int model)
{
  const std::vector<NearNeighbor> &all = neighborhood_.near();
  const int width = compiled_.width;
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
    for (int c = 0; c < width; ++c)
      for (int q = 0; q < 4; ++q)
        four_[static_cast<std::size_t>(4 * c + q) * n_columns_ + near.row] += static_cast<Real>(row[q] * value[c]);
  }
}

template <typename Real> void Block<Real>::slopes_of_near(const CompiledCentre<Real> &centre, int slot)
{
  const std::vector<NearNeighbor> &all = neighborhood_.near();
  const int width = compiled_.width;
  near_slopes_[slot].resize(all.size());
  for (std::size_t k = 0; k < all.size(); ++k) {
    const NearNeighbor &near = all[k];
    const double *value = &near_value_[k * width], *derivative = &near_derivative_[k * width];
    double of_value[4] = {}, of_derivative[4] = {};
    for (int c = 0; c < width; ++c)
      for (int q = 0; q < 4; ++q) {
        const double slope = four_slopes_[static_cast<std::size_t>(4 * c + q) * n_columns_ + near.row];
        of_value[q] += slope * value[c];
        of_derivative[q] += slope * derivative[c];
      }
    const double *u = near.direction, *v = of_value + 1, *dv = of_derivative + 1;
    const double along = v[0] * u[0] + v[1] * u[1] + v[2] * u[2];
    const double along_derivative = dv[0] * u[0] + dv[1] * u[1] + dv[2] * u[2];
    const double by_s = centre.factor * of_value[0] + centre.factor_xyz * along +
        ((near.s - centre.average) * centre.factor * of_derivative[0] + near.s * centre.factor_xyz * along_derivative) /
            centre.deviation;
    for (int d = 0; d < 3; ++d)
      near_slopes_[slot][k][d] = by_s * near.ds_dr * u[d] + near.s * centre.factor_xyz * (v[d] - along * u[d]) / near.r;
  }
}

template <typename Real>
void Block<Real>::fit(const CompiledCentre<Real> &centre, const CompiledForm<Real> &form, int slot)
{
  const std::size_t n_layers = centre.layers.size();
  outputs_.resize(n_layers);
  slopes_.resize(n_layers);
  const Real *x = descriptor_.data();
  int n_in = form.products.size();
  for (std::size_t l = 0; l < n_layers; ++l) {
    const CompiledLayer<Real> &layer = centre.layers[l];
    const std::size_t size = static_cast<std::size_t>(layer.n_out) * n_columns_;
    LayerTask<Real> task;
    task.n_columns = n_columns_;
    task.n_in = n_in;
    task.n_out = layer.n_out;
    task.activation = static_cast<int>(layer.activation);
    task.copies = layer.copies;
    task.bias = layer.bias.data();
    task.idt = layer.idt.data();
    task.x = x;
    task.z = room(outputs_[l], size);
    task.slope = room(slopes_[l], size);
    kernels_.multiply(layer.n_out, n_columns_, n_in, (l == 0 ? form.forward : layer.forward).data.data(), n_in, x,
                      n_columns_, task.z, n_columns_, false);
    kernels_.layer(task);
    x = task.z;
    n_in = layer.n_out;
  }
  std::copy_n(x, n_columns_, &energies_[static_cast<std::size_t>(slot) * n_columns_]);
}

// From the energies back to the descriptor's slopes, which take its place.
template <typename Real> void Block<Real>::fit_back(const CompiledCentre<Real> &centre, const CompiledForm<Real> &form)
{
  std::size_t n = centre.last.size();
  Real *slope = room(slope_, n * n_columns_);
  for (std::size_t c = 0; c < n; ++c) std::fill_n(slope + c * n_columns_, n_columns_, centre.last[c]);
  for (std::size_t l = centre.layers.size() - 2; l > 0; --l) {
    const CompiledLayer<Real> &layer = centre.layers[l];
    const std::size_t size_in = static_cast<std::size_t>(layer.n_in) * n_columns_;
    Real *next = room(next_slope_, size_in);
    // What skips the layer, before the slope is turned into that of the layer's argument.
    if (layer.copies > 0) std::copy_n(slope, size_in, next);
    for (std::size_t k = 0; layer.copies > 1 && k < size_in; ++k) next[k] += slope[size_in + k];
    kernels_.scale(n * n_columns_, slopes_[l].data(), slope);
    kernels_.multiply(layer.n_in, n_columns_, layer.n_out, layer.back.data.data(), layer.n_out, slope, n_columns_, next,
                      n_columns_, layer.copies > 0);
    n = layer.n_in;
    slope_.swap(next_slope_);
    slope = slope_.data();
  }
  kernels_.scale(n * n_columns_, slopes_[0].data(), slope);
  kernels_.multiply(form.products.size(), n_columns_, centre.layers[0].n_out, form.back.data.data(),
                    centre.layers[0].n_out, slope, n_columns_, descriptor_.data(), n_columns_, false);
}

template <typename Real> void Block<Real>::add_forces(const ModelGroup &group, Real *forces, const Visit *visit)
{
  const int n_slots = group.n_slots(), n = (compiled_.row * 4 * n_slots + 7) / 8 * 8;
  Real average[16] = {};
  for (std::size_t slot = 0; slot < group.models.size(); ++slot)
    average[4 * slot] = static_cast<Real>(compiled_.models[group.models[slot]][type_].average);
  GatherTask<Real> task;
  task.average = average;
  task.forces = forces;
  for (int row = 0; row < n_rows_; ++row) {
    if (row % 8 == 0) kernels_.columns_to_rows(n, n_columns_, &moment_slopes_[row], rows_.data());
    add_forces_of(row, &rows_[static_cast<std::size_t>(row % 8) * n], task, n_slots, visit);
  }
  add_near_forces(group, forces, visit);
}

template <typename Real>
void Block<Real>::add_forces_of(int row, const Real *rows, GatherTask<Real> task, int n_slots, const Visit *visit)
{
  const int stride = 4 * n_slots;
  Real centre[16] = {};
  task.centre = centre;
  for (int type = 0; type < neighborhood_.n_types(); ++type, rows += compiled_.grid.n_basis * stride) {
    const NeighborRange &range = neighborhood_.range(row, type);
    if (range.n == 0) continue;
    const Neighbors<Real> list = neighborhood_.neighbors(range);
    task.rows = rows;
    if (visit) task.pairs = room(pairs_, static_cast<std::size_t>(list.n) * stride);
    kernels_.gather(n_slots, list, task);
    for (int k = 0; visit && k < list.n; ++k) {
      const double r = 1.0 / static_cast<double>(list.inverse_r[k]);
      const Real *u = list.direction + 4 * k;
      const double delta[3] = {r * u[1], r * u[2], r * u[3]};
      (*visit)(list.atoms[k], delta, task.pairs + k * stride);
    }
  }
  Real *force = task.forces + static_cast<std::size_t>(stride) * centres_[row];
  for (int k = 0; k < stride; ++k) force[k] += centre[k];
}

template <typename Real> void Block<Real>::add_near_forces(const ModelGroup &group, Real *forces, const Visit *visit)
{
  const std::vector<NearNeighbor> &all = neighborhood_.near();
  const std::size_t stride = 4 * static_cast<std::size_t>(group.n_slots());
  for (std::size_t k = 0; k < all.size(); ++k) {
    const NearNeighbor &near = all[k];
    Real pair[16] = {};
    for (std::size_t slot = 0; slot < group.models.size(); ++slot)
      for (int d = 0; d < 3; ++d) pair[4 * slot + d + 1] = static_cast<Real>(near_slopes_[slot][k][d]);
    Real *of_centre = forces + stride * centres_[near.row], *of_neighbor = forces + stride * near.atom;
    for (std::size_t c = 0; c < stride; ++c) {
      of_centre[c] += pair[c];
      of_neighbor[c] -= pair[c];
    }
    const double delta[3] = {near.r * near.direction[0], near.r * near.direction[1], near.r * near.direction[2]};
    if (visit) (*visit)(near.atom, delta, pair);
  }
}

template class Block<double>;
template class Block<float>;

}    // namespace dpgen::native
