#include "native/model.h"

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

void evaluate_embedding(const Net &net, double x, double *value, double *derivative)
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

}    // namespace dpgen::native
