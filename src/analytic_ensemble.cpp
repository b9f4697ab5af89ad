#include "analytic_ensemble.h"

#include "errors.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

namespace dpgen {

namespace {

const char *const magic = "dpgen-analytic";

void cross(const double *a, const double *b, double *c)
{
  c[0] = a[1] * b[2] - a[2] * b[1];
  c[1] = a[2] * b[0] - a[0] * b[2];
  c[2] = a[0] * b[1] - a[1] * b[0];
}

double dot(const double *a, const double *b)
{
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

// How many images of the cell reach as far as the cut-off, along each cell vector; atoms may lie outside the cell.
void image_ranges(const double *cell, double reach, int *range)
{
  for (int d = 0; d < 3; ++d) {
    double normal[3];
    cross(cell + 3 * ((d + 1) % 3), cell + 3 * ((d + 2) % 3), normal);
    const double height = std::abs(dot(normal, cell + 3 * d)) / std::sqrt(dot(normal, normal));
    range[d] = static_cast<int>(std::ceil(reach / height));
  }
}

}    // namespace

bool AnalyticEnsemble::recognises(const std::string &path)
{
  std::ifstream file(path);
  std::string word(std::string(magic).size(), '\0');
  file.read(word.data(), static_cast<std::streamsize>(word.size()));
  return file && word == magic;
}

AnalyticEnsemble::Potential AnalyticEnsemble::read(const std::string &path)
{
  Potential potential;
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string key, element;
    if (!(words >> key)) continue;
    if (key == "type_map") {
      while (words >> element) potential.type_map.push_back(element);
      continue;
    }
    double value;
    if (!(words >> value)) throw ModelError("analytic model '" + path + "': key '" + key + "' needs a number");
    if (key == "cutoff") potential.cutoff = value;
    else if (key == "epsilon") potential.epsilon = value;
    else if (key == "nan_below") potential.nan_below = value;
    else if (key == "throw_below") potential.throw_below = value;
    else throw ModelError("analytic model '" + path + "': unknown key '" + key + "'");
  }
  if (potential.type_map.empty() || !(potential.cutoff > 0.0))
    throw ModelError("analytic model '" + path + "' needs a type_map and a cutoff above 0");
  return potential;
}

AnalyticEnsemble::AnalyticEnsemble(const std::vector<std::string> &paths) : Ensemble(paths)
{
  for (const std::string &path : paths) {
    potentials_.push_back(read(path));
    if (potentials_.back().type_map != potentials_.front().type_map)
      throw ModelError("model file '" + path +
                       "' has another type map than the first model; train all on one type_map");
    if (potentials_.back().cutoff != potentials_.front().cutoff)
      throw ModelError("model file '" + path +
                       "' has another cut-off than the first model; an ensemble needs one cut-off");
  }
}

// Adds the half of a pair's energy that belongs to atom i; delta = r_i - r_j (Å).
void AnalyticEnsemble::add_half_pair(int model, const double *delta, double *force_i, double *force_j,
                                     Prediction &out) const
{
  const Potential &p = potentials_[model];
  const double r2 = dot(delta, delta), c2 = p.cutoff * p.cutoff;
  if (r2 >= c2) return;
  const double r = std::sqrt(r2), u = 1.0 - r2 / c2;
  if (r < p.throw_below)
    throw ModelError("model '" + paths_[model] + "': a pair at " + std::to_string(r) + " Å is closer than throw_below");
  out.energy += 0.5 * p.epsilon * u * u * u;
  double slope = 3.0 * p.epsilon * u * u / c2;    // half of -(dV/dr)/r
  if (r < p.nan_below) slope = std::numeric_limits<double>::quiet_NaN();
  for (int a = 0; a < 3; ++a) {
    force_i[a] += slope * delta[a];
    force_j[a] -= slope * delta[a];
    for (int b = 0; b < 3; ++b) out.virial[3 * a + b] += slope * delta[a] * delta[b];
  }
}

void AnalyticEnsemble::evaluate(int model, const AtomsView &atoms, const NeighborView &list, Prediction &out,
                                PerAtom *per_atom)
{
  const std::size_t n_all = static_cast<std::size_t>(atoms.n_local + atoms.n_ghost);
  if (per_atom) {
    per_atom->energies.assign(atoms.n_local, 0.0);
    per_atom->virials.assign(per_atom->wants_virials ? 9 * n_all : 0, 0.0);
  }
  out.energy = 0.0;
  out.virial.fill(0.0);
  out.forces.assign(3 * n_all, 0.0);
  for (int k = 0; k < list.n_atoms; ++k) {
    const int i = list.atoms[k];
    if (atoms.types[i] < 0) continue;
    for (int n = 0; n < list.n_neighbors[i]; ++n) {
      const int j = list.neighbors[i][n] & list.mask;
      if (atoms.types[j] < 0) continue;
      double delta[3];
      for (int d = 0; d < 3; ++d) delta[d] = atoms.positions[3 * i + d] - atoms.positions[3 * j + d];
      const double energy = out.energy;
      const Virial virial = out.virial;
      add_half_pair(model, delta, &out.forces[3 * i], &out.forces[3 * j], out);
      if (!per_atom) continue;
      per_atom->energies[i] += out.energy - energy;
      for (int c = 0; c < 9 && per_atom->wants_virials; ++c)
        per_atom->virials[9 * j + c] += out.virial[c] - virial[c];    // a centre's virial goes to the neighbour
    }
  }
}

void AnalyticEnsemble::evaluate_frame(int model, int n_atoms, const double *positions, const int *types,
                                      const double *cell, Prediction &out)
{
  out.energy = 0.0;
  out.virial.fill(0.0);
  out.forces.assign(3 * static_cast<std::size_t>(n_atoms), 0.0);
  double extent = 0.0;
  for (int k = 0; k < 3 * n_atoms; ++k) extent = std::max(extent, std::abs(positions[k] - positions[k % 3]));
  int range[3] = {0, 0, 0};
  if (cell) image_ranges(cell, cutoff() + 2.0 * std::sqrt(3.0) * extent, range);
  for (int i = 0; i < n_atoms; ++i)
    for (int j = 0; j < n_atoms; ++j)
      for (int a = -range[0]; a <= range[0]; ++a)
        for (int b = -range[1]; b <= range[1]; ++b)
          for (int c = -range[2]; c <= range[2]; ++c) {
            if (types[i] < 0 || types[j] < 0 || (i == j && a == 0 && b == 0 && c == 0)) continue;
            double delta[3];
            for (int d = 0; d < 3; ++d) {
              delta[d] = positions[3 * i + d] - positions[3 * j + d];
              if (cell) delta[d] -= a * cell[d] + b * cell[3 + d] + c * cell[6 + d];
            }
            add_half_pair(model, delta, &out.forces[3 * i], &out.forces[3 * j], out);
          }
}

}    // namespace dpgen
