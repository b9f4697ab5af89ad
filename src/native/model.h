// The weights of a DeepPot-SE (se_e2_a) model, as they were trained.
//
// Zhang, Han, Wang, Saidi, Car, E, NeurIPS 31 (2018), arXiv:1805.09003. What the parts mean in DeePMD-kit is written in
// its dpmodel/descriptor/se_e2_a.py and dpmodel/utils/network.py.
#ifndef DPGEN_NATIVE_MODEL_H
#define DPGEN_NATIVE_MODEL_H

#include <array>
#include <string>
#include <vector>

namespace dpgen::native {

enum class Activation { linear = 0, tanh = 1, gelu = 2, sigmoid = 3, silu = 4 };

/// y = activation(x w + b) * idt, plus x where `resnet` and n_out = n_in, plus (x, x) where n_out = 2 n_in.
struct Layer {
  int n_in = 0, n_out = 0;
  Activation activation = Activation::linear;
  bool resnet = false;
  std::vector<double> weights{};    ///< [n_in][n_out]
  std::vector<double> bias{};       ///< [n_out], zeros where there is none
  std::vector<double> idt{};        ///< [n_out], ones where there is none

  /// How often x is added to the output, side by side: 0, 1 or 2.
  int copies() const { return !resnet ? 0 : n_out == n_in ? 1 : n_out == 2 * n_in ? 2 : 0; }
};

using Net = std::vector<Layer>;

/// An embedding net of a compressed model, as DeePMD-kit's source/lib/src/tabulate.cc has it: polynomials of degree 5
/// on a fine grid, then on a coarse one.
struct Table {
  int width = 0, n_steps = 0;
  double lower = 0.0, upper = 0.0, end = 0.0;    ///< beginnings of the fine and of the coarse grid, end of the latter
  double step = 0.0, coarse_step = 0.0;
  std::vector<double> coefficients{};    ///< [n_steps][width][6]

  /// Steps that the two grids have.
  int n_fine() const { return static_cast<int>((upper - lower) / step); }
  int n_coarse() const { return static_cast<int>((end - upper) / coarse_step); }
};

/// What turns a number into the channels of a neighbour: a net, or a table where there are no layers.
struct Embedding {
  Net net{};
  Table table{};

  int width() const { return net.empty() ? table.width : net.back().n_out; }
};

struct Model {
  std::vector<std::string> type_map{};
  double cutoff = 0.0, cutoff_smooth = 0.0;    ///< Å
  double shortest = 0.0;                       ///< Å, shortest distance in the training data; 0: not known
  std::vector<int> sel{};                      ///< most neighbours, by type
  int axis = 0;
  bool one_side = false;
  std::vector<std::array<double, 4>> averages{}, deviations{};    ///< of the environment matrix, by the centre's type
  std::vector<double> energy_shifts{};                            ///< eV, by type
  std::vector<Embedding> embeddings{};
  std::vector<Net> fittings{};
  bool single = false;    ///< DeePMD-kit evaluates these nets in single precision

  int n_types() const { return static_cast<int>(type_map.size()); }
  int width() const { return embeddings.front().width(); }
  int sel_sum() const;
  /// Embedding net of a neighbour of type `neighbor` at a centre of type `centre`.
  const Embedding &embedding(int centre, int neighbor) const
  {
    return embeddings[one_side ? neighbor : centre + neighbor * n_types()];
  }
};

/// Value and derivative of an embedding net at x; each gets width() numbers.
void evaluate_embedding(const Embedding &embedding, double x, double *value, double *derivative);

/// Value and slope of an activation function.
std::array<double, 2> activate(Activation activation, double x);

}    // namespace dpgen::native

#endif
