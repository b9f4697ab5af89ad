#include "native/compiled_model.h"
#include "native/evaluator.h"
#include "native/frame_neighbors.h"
#include "native/low_rank.h"
#include "native/simd.h"

#include "errors.h"
#include "test.h"

#include <algorithm>
#include <numeric>
#include <random>

using namespace dpgen;
using namespace dpgen::native;

namespace {

Layer random_layer(std::mt19937 &random, int n_in, int n_out, Activation activation)
{
  std::normal_distribution<double> normal;
  Layer layer;
  layer.n_in = n_in;
  layer.n_out = n_out;
  layer.activation = activation;
  layer.resnet = activation != Activation::linear;
  for (int k = 0; k < n_in * n_out; ++k) layer.weights.push_back(normal(random) / std::sqrt(n_in));
  for (int k = 0; k < n_out; ++k) {
    layer.bias.push_back(0.5 * normal(random));
    layer.idt.push_back(0.7);
  }
  return layer;
}

// Two elements, two-sided; wide enough that channels are reduced, or not.
Model random_model(unsigned seed, int width, Activation activation = Activation::tanh)
{
  std::mt19937 random(seed);
  Model model;
  model.type_map = {"Al", "Mg"};
  model.cutoff = 5.0;
  model.cutoff_smooth = 1.0;
  model.sel = {30, 20};
  model.axis = std::max(6, width / 4);
  model.averages.assign(2, {0.05, 0.0, 0.0, 0.0});
  model.deviations.assign(2, {0.1, 0.06, 0.06, 0.06});
  model.energy_shifts = {-3.0, -1.5};
  for (int k = 0; k < 4; ++k)
    model.embeddings.push_back(
        {{random_layer(random, 1, width / 2, activation), random_layer(random, width / 2, width, activation)}, {}});
  for (int k = 0; k < 2; ++k) {
    Net net{random_layer(random, width * model.axis, 10, activation), random_layer(random, 10, 20, activation),
            random_layer(random, 20, 20, activation), random_layer(random, 20, 1, Activation::linear)};
    net.front().resnet = false;
    model.fittings.push_back(net);
  }
  return model;
}

struct Frame {
  std::vector<double> positions{}, cell{7.0, 0.0, 0.0, 0.8, 7.5, 0.0, -0.5, 1.0, 8.0};
  std::vector<int> types{};

  explicit Frame(int n)
  {
    std::mt19937 random(5);
    std::uniform_real_distribution<double> uniform;
    while (static_cast<int>(types.size()) < n) {
      const double at[3] = {7.0 * uniform(random), 7.5 * uniform(random), 8.0 * uniform(random)};
      bool free = true;
      for (std::size_t i = 0; i < types.size(); ++i)
        for (int image = 0; image < 27; ++image) {
          double delta[3];
          for (int d = 0; d < 3; ++d)
            delta[d] = at[d] - positions[3 * i + d] + (image % 3 - 1) * cell[d] + (image / 3 % 3 - 1) * cell[3 + d] +
                (image / 9 - 1) * cell[6 + d];
          free = free && std::hypot(delta[0], delta[1], delta[2]) > 1.9;
        }
      if (!free) continue;
      positions.insert(positions.end(), at, at + 3);
      types.push_back(static_cast<int>(2 * uniform(random)));
    }
  }
};

std::vector<Prediction> evaluate(Evaluator &evaluator, const Frame &frame, const std::vector<int> &models)
{
  FrameNeighbors neighbors(static_cast<int>(frame.types.size()), frame.positions.data(), frame.types.data(),
                           frame.cell.data(), 5.0);
  std::vector<Prediction> out(models.size());
  std::vector<Prediction *> pointers;
  for (Prediction &prediction : out) pointers.push_back(&prediction);
  evaluator.evaluate(neighbors.atoms(), neighbors.list(), models, pointers, nullptr);
  for (Prediction &prediction : out) neighbors.fold(prediction.forces);
  return out;
}

double energy(Evaluator &evaluator, const Frame &frame)
{
  return evaluate(evaluator, frame, {0})[0].energy;
}

void check_derivatives(const Model &model)
{
  const auto evaluator = make_evaluator({model}, Precision::fp64, 1e-9, 1e-10);
  Frame frame(24);
  const Prediction at = evaluate(*evaluator, frame, {0})[0];
  constexpr double step = 1e-4;
  for (int k = 0; k < 72; k += 5) {
    Frame moved = frame;
    moved.positions[k] += step;
    const double up = energy(*evaluator, moved);
    moved.positions[k] -= 2 * step;
    CHECK_NEAR(at.forces[k], -(up - energy(*evaluator, moved)) / (2 * step), 2e-7);
  }
  for (int a = 0; a < 3; ++a)
    for (int b = 0; b < 3; ++b) {
      double energies[2];
      for (int sign : {0, 1}) {
        Frame strained = frame;
        for (auto *vectors : {&strained.positions, &strained.cell})
          for (std::size_t i = 0; i < vectors->size(); i += 3)
            (*vectors)[i + b] += (sign ? -step : step) * (*vectors)[i + a];
        energies[sign] = energy(*evaluator, strained);
      }
      CHECK_NEAR(at.virial[3 * a + b], -(energies[0] - energies[1]) / (2 * step), 2e-6);
    }
}

double largest_difference(const Prediction &one, const Prediction &other)
{
  double difference = 0.0;
  for (std::size_t k = 0; k < one.forces.size(); ++k)
    difference = std::max(difference, std::abs(one.forces[k] - other.forces[k]));
  return difference;
}

// What 'dp compress' makes of a net: polynomials of degree 5 with its values, slopes and curvatures at the steps' ends.
Table table_of(const Embedding &net)
{
  Table table;
  table.width = net.width();
  table.lower = -1.0;
  table.upper = 6.0;
  table.end = 12.0;
  table.step = 0.01;
  table.coarse_step = 0.1;
  const auto at = [&](double x) {    // values, slopes, curvatures
    std::vector<double> all(3 * table.width), up(2 * table.width), down(2 * table.width);
    evaluate_embedding(net, x, &all[0], &all[table.width]);
    evaluate_embedding(net, x + 1e-5, &up[0], &up[table.width]);
    evaluate_embedding(net, x - 1e-5, &down[0], &down[table.width]);
    for (int c = 0; c < table.width; ++c)
      all[2 * table.width + c] = (up[table.width + c] - down[table.width + c]) / 2e-5;
    return all;
  };
  for (int k = 0; k < 700 + 60; ++k) {
    const double h = k < 700 ? table.step : table.coarse_step;
    const double x = k < 700 ? table.lower + k * h : table.upper + (k - 700) * h;
    const std::vector<double> left = at(x), right = at(x + h);
    for (int c = 0, w = table.width; c < w; ++c) {
      const double rise = right[c] - left[c], d0 = left[w + c], d1 = right[w + c], c0 = left[2 * w + c],
                   c1 = right[2 * w + c];
      const double coefficients[6] = {left[c],
                                      d0,
                                      0.5 * c0,
                                      (20 * rise - (8 * d1 + 12 * d0) * h - (3 * c0 - c1) * h * h) / (2 * h * h * h),
                                      (-30 * rise + (14 * d1 + 16 * d0) * h + (3 * c0 - 2 * c1) * h * h) /
                                          (2 * h * h * h * h),
                                      (12 * rise - 6 * (d1 + d0) * h + (c1 - c0) * h * h) / (2 * h * h * h * h * h)};
      table.coefficients.insert(table.coefficients.end(), coefficients, coefficients + 6);
    }
  }
  table.n_steps = 760;
  return table;
}

}    // namespace

TEST(native_kernel, "forces and virial are the derivatives of the energy, whatever the activation function")
{
  for (Activation activation : {Activation::tanh, Activation::gelu, Activation::sigmoid, Activation::silu})
    check_derivatives(random_model(1, 12, activation));
}

TEST(native_kernel, "reduced channels give the forces of the full descriptor")
{
  const Model model = random_model(2, 96);
  const auto full = make_evaluator({model}, Precision::fp64, 1e-9, 0.0),
             reduced = make_evaluator({model}, Precision::fp64, 1e-9, 1e-9);
  CHECK(full->description().find("full descriptor") != std::string::npos);
  CHECK(reduced->description().find("rank") != std::string::npos);
  const Frame frame(24);
  const Prediction one = evaluate(*full, frame, {0})[0], other = evaluate(*reduced, frame, {0})[0];
  CHECK_NEAR(largest_difference(one, other), 0.0, 1e-8);
  CHECK(largest_difference(one, other) > 0.0);
  CHECK_NEAR(one.energy, other.energy, 1e-8);
  check_derivatives(model);
}

TEST(native_kernel, "tables of compressed models give the forces of the nets that they were made from")
{
  const Model model = random_model(1, 12);
  Model compressed = model;
  for (Embedding &embedding : compressed.embeddings) embedding = {{}, table_of(embedding)};
  // The first frame has no near neighbours; in the second a pair is beyond the grid.
  Frame frame(24);
  for (double shift : {0.0, 1.2}) {
    frame.positions[0] += shift;
    const auto exact = make_evaluator({model}, Precision::fp64, 1e-9, 0.0),
               table = make_evaluator({compressed}, Precision::fp64, 1e-6, 0.0);
    const Prediction one = evaluate(*exact, frame, {0})[0], other = evaluate(*table, frame, {0})[0];
    CHECK_NEAR(largest_difference(one, other), 0.0, 1e-5);
    CHECK_NEAR(one.energy, other.energy, 1e-5);
  }
}

TEST(native_kernel, "single precision is near double precision")
{
  const Model model = random_model(3, 32);
  const auto fp64 = make_evaluator({model}, Precision::fp64, 1e-9, 1e-9),
             fp32 = make_evaluator({model}, Precision::fp32, 1e-6, 1e-6);
  const Frame frame(24);
  CHECK_NEAR(largest_difference(evaluate(*fp64, frame, {0})[0], evaluate(*fp32, frame, {0})[0]), 0.0, 1e-5);
}

TEST(native_kernel, "models are the same together and alone, in any order")
{
  const auto evaluator =
      make_evaluator({random_model(4, 12), random_model(5, 12), random_model(6, 12)}, Precision::fp64, 1e-9, 1e-9);
  const Frame frame(24);
  const std::vector<Prediction> all = evaluate(*evaluator, frame, {0, 1, 2});
  for (int m : {2, 0, 1}) {
    const Prediction alone = evaluate(*evaluator, frame, {m})[0];
    CHECK(alone.forces == all[m].forces);
    CHECK(alone.energy == all[m].energy);
  }
}

TEST(native_kernel, "threads change nothing but rounding")
{
  const auto evaluator = make_evaluator({random_model(4, 12), random_model(5, 12)}, Precision::fp64, 1e-9, 1e-9);
  const Frame frame(24);
  const std::vector<Prediction> serial = evaluate(*evaluator, frame, {0, 1});
  for (int n_threads : {2, 3, 50}) {
    evaluator->set_threads(n_threads);
    const std::vector<Prediction> threaded = evaluate(*evaluator, frame, {0, 1});
    for (int m : {0, 1}) {
      CHECK_NEAR(largest_difference(serial[m], threaded[m]), 0.0, 1e-12);
      CHECK_NEAR(threaded[m].energy, serial[m].energy, 1e-11);
    }
  }
}

TEST(native_kernel, "what single atoms contribute adds up, and the mean is the mean")
{
  const auto evaluator = make_evaluator({random_model(4, 12), random_model(5, 12)}, Precision::fp64, 1e-9, 1e-9);
  const Frame frame(24);
  FrameNeighbors neighbors(24, frame.positions.data(), frame.types.data(), frame.cell.data(), 5.0);
  std::vector<Prediction> out(2);
  const std::vector<Prediction *> pointers{&out[0], &out[1]};
  for (int model : {0, 1, PerAtom::mean}) {
    PerAtom per_atom;
    per_atom.model = model;
    per_atom.wants_virials = true;
    evaluator->evaluate(neighbors.atoms(), neighbors.list(), {0, 1}, pointers, &per_atom);
    const double total = model >= 0 ? out[model].energy : 0.5 * (out[0].energy + out[1].energy);
    CHECK_NEAR(std::accumulate(per_atom.energies.begin(), per_atom.energies.end(), 0.0), total, 1e-10);
    for (int c = 0; c < 9; ++c) {
      double sum = 0.0;
      for (std::size_t k = c; k < per_atom.virials.size(); k += 9) sum += per_atom.virials[k];
      CHECK_NEAR(sum, model >= 0 ? out[model].virial[c] : 0.5 * (out[0].virial[c] + out[1].virial[c]), 1e-10);
    }
  }
}

TEST(native_kernel, "the energy is smooth where neighbours leave the grid, the cut-off and each other")
{
  const auto evaluator = make_evaluator({random_model(7, 12)}, Precision::fp64, 1e-9, 1e-9);
  const double cell[9] = {30.0, 0.0, 0.0, 0.0, 30.0, 0.0, 0.0, 0.0, 30.0};
  Frame pair(0);
  pair.cell.assign(cell, cell + 9);
  pair.types = {0, 1};
  for (double r : {0.3, 1.0, 1.799999, 1.800001, 3.0, 4.9999}) {
    const double step = 1e-5 * std::min(1.0, r);
    double energies[2], slope = 0.0;
    for (int sign : {0, 1}) {
      pair.positions = {1.0, 2.0, 3.0, 1.0, 2.0, 3.0 + r + (sign ? -step : step)};
      energies[sign] = energy(*evaluator, pair);
    }
    pair.positions[5] = 3.0 + r;
    slope = -evaluate(*evaluator, pair, {0})[0].forces[5];
    CHECK_NEAR(slope, (energies[0] - energies[1]) / (2 * step), 1e-5 * (1.0 + std::abs(slope)));
  }
  pair.positions[5] = 9.0;
  const Prediction apart = evaluate(*evaluator, pair, {0})[0];
  CHECK(*std::max_element(apart.forces.begin(), apart.forces.end()) == 0.0);
}

TEST(native_kernel, "positions that are not numbers are seen in the forces")
{
  const auto evaluator = make_evaluator({random_model(7, 12)}, Precision::fp64, 1e-9, 1e-9);
  Frame frame(24);
  frame.positions[30] = std::nan("");
  const Prediction out = evaluate(*evaluator, frame, {0})[0];
  CHECK(!std::isfinite(out.forces[30]));
}

TEST(native_kernel, "all instruction sets multiply alike")
{
  std::mt19937 random(9);
  std::normal_distribution<double> normal;
  constexpr int n_rows = 13, n_inner = 203, n_columns = 56;
  Buffer<double> a(n_rows * n_inner), b(n_inner * n_columns), c(n_rows * n_columns);
  for (auto *matrix : {&a, &b})
    for (double &value : *matrix) value = normal(random);
  kernels<double>().multiply(n_rows, n_columns, n_inner, a.data(), n_inner, b.data(), n_columns, c.data(), n_columns,
                             false);
  for (int i = 0; i < n_rows; ++i)
    for (int column = 0; column < n_columns; ++column) {
      double sum = 0.0;
      for (int k = 0; k < n_inner; ++k) sum += a[i * n_inner + k] * b[k * n_columns + column];
      CHECK_NEAR(c[i * n_columns + column], sum, 1e-11);
    }
}

TEST(native_kernel, "a low rank is found")
{
  std::vector<double> samples;
  for (int k = 0; k < 50; ++k)
    for (int c = 0; c < 8; ++c)
      samples.push_back(std::cos(0.1 * k) * (c + 1) + (k % 7) * (c % 3) + 1e-12 * std::sin(k * c));
  const Directions low = find_directions(samples, 8);
  CHECK(low.rank(1e-9) == 2);
  for (int p = 0; p < 2; ++p)
    for (int q = 0; q < 2; ++q) {
      double product = 0.0;
      for (int c = 0; c < 8; ++c) product += low(c, p) * low(c, q);
      CHECK_NEAR(product, p == q ? 1.0 : 0.0, 1e-13);
    }
}

TEST(native_kernel, "a net that no spline gives is refused")
{
  Model model = random_model(8, 12);
  for (double &weight : model.embeddings[0].net[0].weights) weight *= 1e4;
  CHECK_THROWS(make_evaluator({model}, Precision::fp64, 1e-9, 1e-9), ModelError, "spline");
}
