#include "native/model.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace dpgen::native {

int Model::sel_sum() const
{
  return std::accumulate(sel.begin(), sel.end(), 0);
}

std::array<double, 2> activate(Activation activation, double x)
{
  constexpr double root = 0.79788456080286535588, cubic = 0.044715;    // sqrt(2/pi)
  switch (activation) {
    case Activation::tanh: {
      const double t = std::tanh(x);
      return {t, 1.0 - t * t};
    }
    case Activation::gelu: {
      const double t = std::tanh(root * (x + cubic * x * x * x));
      return {0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * root * (1.0 + 3.0 * cubic * x * x)};
    }
    case Activation::sigmoid: {
      const double t = std::tanh(0.5 * x);
      return {0.5 + 0.5 * t, 0.25 * (1.0 - t * t)};
    }
    case Activation::silu: {
      const double s = 0.5 + 0.5 * std::tanh(0.5 * x);
      return {x * s, s + x * s * (1.0 - s)};
    }
    case Activation::linear: break;
  }
  return {x, 1.0};
}

namespace {

// Beyond its ends DeePMD-kit takes a table as constant.
void evaluate_table(const Table &table, double x, double *value, double *derivative)
{
  int row = 0;
  double at = 0.0;
  if (x >= table.end) {
    row = table.n_fine() + table.n_coarse() - 1;
  } else if (x >= table.upper) {
    const int k = static_cast<int>((x - table.upper) / table.coarse_step);
    row = table.n_fine() + k;
    at = x - table.upper - k * table.coarse_step;
  } else if (x >= table.lower) {
    row = static_cast<int>((x - table.lower) / table.step);
    at = x - table.lower - row * table.step;
  }
  row = std::clamp(row, 0, table.n_steps - 1);
  const double *a = &table.coefficients[6 * static_cast<std::size_t>(row) * table.width];
  for (int c = 0; c < table.width; ++c, a += 6) {
    value[c] = a[0] + (a[1] + (a[2] + (a[3] + (a[4] + a[5] * at) * at) * at) * at) * at;
    derivative[c] = a[1] + (2.0 * a[2] + (3.0 * a[3] + (4.0 * a[4] + 5.0 * a[5] * at) * at) * at) * at;
  }
}

void evaluate_net(const Net &net, double x, double *value, double *derivative)
{
  std::vector<double> y{x}, dy{1.0}, z, dz;
  for (const Layer &layer : net) {
    z = layer.bias;
    dz.assign(layer.n_out, 0.0);
    for (int i = 0; i < layer.n_in; ++i)
      for (int o = 0; o < layer.n_out; ++o) {
        z[o] += y[i] * layer.weights[i * layer.n_out + o];
        dz[o] += dy[i] * layer.weights[i * layer.n_out + o];
      }
    for (int o = 0; o < layer.n_out; ++o) {
      const auto [a, slope] = activate(layer.activation, z[o]);
      z[o] = a * layer.idt[o];
      dz[o] *= slope * layer.idt[o];
    }
    for (int o = 0; o < layer.copies() * layer.n_in; ++o) {
      z[o] += y[o % layer.n_in];
      dz[o] += dy[o % layer.n_in];
    }
    y.swap(z);
    dy.swap(dz);
  }
  std::copy(y.begin(), y.end(), value);
  std::copy(dy.begin(), dy.end(), derivative);
}

}    // namespace

void evaluate_embedding(const Embedding &embedding, double x, double *value, double *derivative)
{
  if (embedding.net.empty()) evaluate_table(embedding.table, x, value, derivative);
  else evaluate_net(embedding.net, x, value, derivative);
}

}    // namespace dpgen::native
