#include "analytic_ensemble.h"

#include "errors.h"
#include "test.h"

#include <cstdio>
#include <fstream>
#include <numeric>

using dpgen::AnalyticEnsemble;
using dpgen::Prediction;

namespace {

struct ModelFile {
  std::string path;
  ModelFile(std::string name, const std::string &lines) : path(std::move(name))
  {
    std::ofstream(path) << "dpgen-analytic\n" << lines;
  }
  ~ModelFile() { std::remove(path.c_str()); }
};

constexpr int n_atoms = 4;
const double cell[9] = {5.0, 0, 0, 0.7, 5.2, 0, -0.4, 0.6, 4.9};
const std::vector<double> positions{0.1, 0.2, 0.3, 2.4, 0.3, 2.2, 0.2, 2.6, 2.5, 2.7, 2.4, 0.1};
const std::vector<int> types(n_atoms, 0);

Prediction of_frame(AnalyticEnsemble &ensemble, const std::vector<double> &x, const double *h = cell)
{
  Prediction out;
  ensemble.evaluate_frame(0, n_atoms, x.data(), types.data(), h, out);
  return out;
}

// All images within `n` cells as ghosts, and every atom a neighbour of every local one.
struct Images {
  std::vector<double> x;
  std::vector<int> types, owner, atoms, counts;
  std::vector<std::vector<int>> lists;
  std::vector<int *> pointers;

  explicit Images(int n) : x(positions), types(::types), owner{0, 1, 2, 3}
  {
    for (int a = -n; a <= n; ++a)
      for (int b = -n; b <= n; ++b)
        for (int c = -n; c <= n; ++c)
          for (int i = 0; i < n_atoms && (a || b || c); ++i) {
            for (int d = 0; d < 3; ++d)
              x.push_back(positions[3 * i + d] + a * cell[d] + b * cell[3 + d] + c * cell[6 + d]);
            types.push_back(0);
            owner.push_back(i);
          }
    const int n_all = static_cast<int>(owner.size());
    for (int i = 0; i < n_atoms; ++i) {
      atoms.push_back(i);
      lists.emplace_back();
      for (int j = 0; j < n_all; ++j)
        if (j != i) lists.back().push_back(j | 1 << 30);    // LAMMPS keeps special bonds in the upper bits
      counts.push_back(n_all - 1);
    }
    for (auto &list : lists) pointers.push_back(list.data());
  }
};

}    // namespace

TEST(analytic_ensemble, "a pair worked by hand")
{
  const ModelFile file("pair.model", "type_map Al\ncutoff 2.0\nepsilon 3.0\n");
  AnalyticEnsemble ensemble({file.path});
  const double x[] = {0, 0, 0, 1, 0, 0};
  const int two[] = {0, 0};
  Prediction out;
  ensemble.evaluate_frame(0, 2, x, two, nullptr, out);
  // u = 3/4: V = 3 u^3, -dV/dr = 3 * 6 u^2 r / 4
  CHECK_NEAR(out.energy, 3.0 * 27.0 / 64.0, 1e-15);
  CHECK_NEAR(out.forces[0], -3.0 * 6.0 * 9.0 / 16.0 / 4.0, 1e-15);
  CHECK_NEAR(out.forces[3], 3.0 * 6.0 * 9.0 / 16.0 / 4.0, 1e-15);
  CHECK_NEAR(out.virial[0], 3.0 * 6.0 * 9.0 / 16.0 / 4.0, 1e-15);
}

TEST(analytic_ensemble, "forces are the slope of the energy, with a cut-off beyond the cell")
{
  const ModelFile file("slope.model", "type_map Al\ncutoff 6.0\nepsilon 0.8\n");
  AnalyticEnsemble ensemble({file.path});
  const Prediction at = of_frame(ensemble, positions);
  const double h = 1e-5;
  for (int k = 0; k < 3 * n_atoms; ++k) {
    std::vector<double> up = positions, down = positions;
    up[k] += h;
    down[k] -= h;
    const double slope = (of_frame(ensemble, up).energy - of_frame(ensemble, down).energy) / (2 * h);
    CHECK_NEAR(at.forces[k], -slope, 1e-7);
  }
}

TEST(analytic_ensemble, "the virial is minus the slope of the energy in the strain")
{
  const ModelFile file("strain.model", "type_map Al\ncutoff 6.0\nepsilon 0.8\n");
  AnalyticEnsemble ensemble({file.path});
  const auto strained = [&](int a, int b, double e) {
    std::vector<double> x = positions, box(cell, cell + 9);
    for (int i = 0; i < n_atoms; ++i) x[3 * i + b] += e * positions[3 * i + a];
    for (int i = 0; i < 3; ++i) box[3 * i + b] += e * cell[3 * i + a];
    return of_frame(ensemble, x, box.data()).energy;
  };
  const Prediction at = of_frame(ensemble, positions);
  for (int a = 0; a < 3; ++a)
    for (int b = 0; b < 3; ++b)
      CHECK_NEAR(at.virial[3 * a + b], -(strained(a, b, 1e-5) - strained(a, b, -1e-5)) / 2e-5, 1e-6);
}

TEST(analytic_ensemble, "a neighbour list with ghosts gives what the whole frame gives")
{
  const ModelFile file("list.model", "type_map Al\ncutoff 6.0\nepsilon 0.8\n");
  AnalyticEnsemble ensemble({file.path});
  Images images(2);
  const dpgen::AtomsView atoms{n_atoms, static_cast<int>(images.owner.size()) - n_atoms, images.x.data(),
                               images.types.data(), cell};
  const dpgen::NeighborView list{n_atoms, images.atoms.data(), images.counts.data(), images.pointers.data()};
  Prediction out;
  ensemble.evaluate(0, atoms, list, out);
  std::vector<double> summed(3 * n_atoms, 0.0);
  for (std::size_t i = 0; i < images.owner.size(); ++i)
    for (int d = 0; d < 3; ++d) summed[3 * images.owner[i] + d] += out.forces[3 * i + d];
  const Prediction frame = of_frame(ensemble, positions);
  CHECK_NEAR(out.energy, frame.energy, 1e-12);
  for (int k = 0; k < 3 * n_atoms; ++k) CHECK_NEAR(summed[k], frame.forces[k], 1e-12);
  for (int c = 0; c < 9; ++c) CHECK_NEAR(out.virial[c], frame.virial[c], 1e-11);
}

TEST(analytic_ensemble, "atoms outside the cell and atoms that the models do not see")
{
  const ModelFile file("outside.model", "type_map Al\ncutoff 3.0\nepsilon 0.8\n");
  AnalyticEnsemble ensemble({file.path});
  std::vector<double> shifted = positions;
  for (int d = 0; d < 3; ++d) shifted[3 + d] += 3 * cell[d] - 2 * cell[6 + d];
  CHECK_NEAR(of_frame(ensemble, shifted).energy, of_frame(ensemble, positions).energy, 1e-12);
  const std::vector<int> unseen(n_atoms, -1);
  Prediction out;
  ensemble.evaluate_frame(0, n_atoms, positions.data(), unseen.data(), cell, out);
  CHECK(out.energy == 0.0 && std::accumulate(out.forces.begin(), out.forces.end(), 0.0) == 0.0);
}

TEST(analytic_ensemble, "broken models: NaN, and an error that names the file")
{
  const ModelFile sick("sick.model", "type_map Al\ncutoff 3.0\nepsilon 1\nnan_below 3\n");
  const ModelFile bad("bad.model", "type_map Al\ncutoff 3.0\nepsilon 1\nthrow_below 3\n");
  AnalyticEnsemble nan_ensemble({sick.path}), throwing({bad.path});
  CHECK(std::isnan(of_frame(nan_ensemble, positions).forces[0]));
  CHECK_THROWS(of_frame(throwing, positions), dpgen::ModelError, "bad.model");
}

TEST(analytic_ensemble, "an ensemble is at least two readable files with one type map and one cut-off")
{
  const ModelFile one("one.model", "type_map Al Mg\ncutoff 3.0\nepsilon 1\n");
  const ModelFile reach("reach.model", "type_map Al Mg\ncutoff 3.5\nepsilon 1\n");
  const ModelFile map("map.model", "type_map Mg Al\ncutoff 3.0\nepsilon 1\n");
  const ModelFile key("key.model", "type_map Al Mg\ncutoff 3.0\nepsilonn 1\n");
  const ModelFile number("number.model", "type_map Al Mg\ncutoff far\n");
  const ModelFile cut("cut.model", "type_map Al Mg\n");
  const auto load = [&](const std::string &other) { dpgen::load_ensemble({one.path, other}); };
  CHECK_THROWS(dpgen::load_ensemble({one.path}), dpgen::ModelError, "got 1");
  CHECK_THROWS(load("missing.model"), dpgen::ModelError, "missing.model");
  CHECK_THROWS(load(reach.path), dpgen::ModelError, "cut-off");
  CHECK_THROWS(load(map.path), dpgen::ModelError, "type map");
  CHECK_THROWS(load(key.path), dpgen::ModelError, "epsilonn");
  CHECK_THROWS(load(number.path), dpgen::ModelError, "number");
  CHECK_THROWS(load(cut.path), dpgen::ModelError, "cutoff");
  const auto ensemble = dpgen::load_ensemble({one.path, one.path});
  CHECK(ensemble->n_models() == 2 && ensemble->cutoff() == 3.0);
  CHECK(ensemble->type_index("Mg") == 1 && ensemble->type_index("Si") == -1);
  CHECK(ensemble->hashes()[0] == ensemble->hashes()[1] && ensemble->hashes()[0].size() == 64);
}
