#include "native/evaluator.h"

#include "errors.h"
#include "native/block.h"

#include <algorithm>

namespace dpgen::native {

namespace {

constexpr int block_size = 32;    // atoms whose matrices are multiplied together

/// DeePMD's choice: what the pair gives to the virial is the neighbour's.
void add_pair_virial(const double *delta, const double *force, double weight, double *virial)
{
  for (int a = 0; a < 3; ++a)
    for (int b = 0; b < 3; ++b) virial[3 * a + b] += weight * delta[a] * force[b];
}

template <typename Real> class BlockEvaluator : public Evaluator {
 public:
  BlockEvaluator(const std::vector<Model> &models, double tolerance, double rank_tolerance) :
      sel_(models.front().sel), compiled_(models, choose_grid(models, tolerance), rank_tolerance),
      block_(compiled_, models.front(), block_size)
  {
  }

  void evaluate(const AtomsView &atoms, const NeighborView &list, const std::vector<int> &models,
                const std::vector<Prediction *> &out, PerAtom *per_atom) override
  {
    start(atoms, out, per_atom);
    sort_by_type(atoms, list);
    for (int type = 0; type < static_cast<int>(by_type_.size()); ++type)
      for (std::size_t first = 0; first < by_type_[type].size(); first += block_size) {
        const int n = static_cast<int>(std::min<std::size_t>(block_size, by_type_[type].size() - first));
        centres_.assign(&by_type_[type][first], &by_type_[type][first] + n);
        block_.take(type, centres_, atoms, list);
        for (std::size_t k = 0; k < models.size(); ++k) {
          block_.run(models[k]);
          add_energies(type, models[k], *out[k], per_atom, static_cast<int>(models.size()));
          add_forces(*out[k], wants(per_atom, models[k], models.size()) && per_atom->wants_virials ? per_atom : nullptr,
                     per_atom && per_atom->model == PerAtom::mean ? 1.0 / static_cast<double>(models.size()) : 1.0);
        }
      }
    for (Prediction *prediction : out) add_virial(atoms, *prediction);
  }

  std::string description() const override
  {
    return std::string(sizeof(Real) == 8 ? "double" : "single") + " precision, " + kernels<Real>().name + ", " +
        std::to_string(compiled_.grid.n_intervals()) + " spline steps up to s = " + std::to_string(compiled_.grid.end) +
        "/Å" + rank();
  }

 private:
  static bool wants(const PerAtom *per_atom, int model, std::size_t)
  {
    return per_atom && (per_atom->model == model || per_atom->model == PerAtom::mean);
  }

  std::string rank() const
  {
    int least = 0, most = 0;
    for (const auto &model : compiled_.models)
      for (const auto &centre : model) {
        least = least == 0 ? centre.reduced.width : std::min(least, centre.reduced.width);
        most = std::max(most, centre.reduced.width);
      }
    return most == 0 ? ", full descriptor" : ", rank " + std::to_string(least) + " to " + std::to_string(most);
  }

  void start(const AtomsView &atoms, const std::vector<Prediction *> &out, PerAtom *per_atom)
  {
    const std::size_t n_all = static_cast<std::size_t>(atoms.n_local + atoms.n_ghost);
    for (Prediction *prediction : out) {
      prediction->energy = 0.0;
      prediction->virial.fill(0.0);
      prediction->forces.assign(3 * n_all, 0.0);
    }
    if (!per_atom) return;
    per_atom->energies.assign(atoms.n_local, 0.0);
    per_atom->virials.assign(per_atom->wants_virials ? 9 * n_all : 0, 0.0);
  }

  void sort_by_type(const AtomsView &atoms, const NeighborView &list)
  {
    by_type_.resize(sel_.size());
    for (auto &atoms_of_type : by_type_) atoms_of_type.clear();
    for (int k = 0; k < list.n_atoms; ++k)
      if (const int type = atoms.types[list.atoms[k]]; type >= 0) by_type_[type].push_back(list.atoms[k]);
  }

  void add_energies(int type, int model, Prediction &out, PerAtom *per_atom, int n_models)
  {
    const double shift = compiled_.models[model][type].shift;
    const double weight = per_atom && per_atom->model == PerAtom::mean ? 1.0 / n_models : 1.0;
    for (std::size_t row = 0; row < centres_.size(); ++row) {
      const double energy = shift + static_cast<double>(block_.energy(static_cast<int>(row)));
      out.energy += energy;
      if (wants(per_atom, model, n_models)) per_atom->energies[centres_[row]] += weight * energy;
    }
  }

  void add_forces(Prediction &out, PerAtom *per_atom, double weight)
  {
    block_.for_each_pair([&](int row, int j, const double *delta, const double *slope) {
      double *of_centre = &out.forces[3 * static_cast<std::size_t>(centres_[row])];
      double *of_neighbor = &out.forces[3 * static_cast<std::size_t>(j)];
      for (int d = 0; d < 3; ++d) {
        of_centre[d] += slope[d];
        of_neighbor[d] -= slope[d];
      }
      if (per_atom) add_pair_virial(delta, slope, -weight, &per_atom->virials[9 * static_cast<std::size_t>(j)]);
    });
  }

  // Forces of local atoms and ghosts add up to 0, so that any origin does.
  static void add_virial(const AtomsView &atoms, Prediction &out)
  {
    for (std::size_t i = 0; i < out.forces.size(); i += 3)
      add_pair_virial(atoms.positions + i, &out.forces[i], 1.0, out.virial.data());
  }

  std::vector<int> sel_;
  CompiledEnsemble<Real> compiled_;
  Block<Real> block_;
  std::vector<std::vector<int>> by_type_;
  std::vector<int> centres_;
};

void check_alike(const std::vector<Model> &models)
{
  const Model &first = models.front();
  for (const Model &model : models)
    if (model.type_map != first.type_map || model.cutoff != first.cutoff || model.sel != first.sel ||
        model.cutoff_smooth != first.cutoff_smooth || model.axis != first.axis || model.width() != first.width())
      throw ModelError("the models differ in type map, cut-offs, sel or size of the embedding net");
}

}    // namespace

std::unique_ptr<Evaluator> make_evaluator(const std::vector<Model> &models, Precision precision, double tolerance,
                                          double rank_tolerance)
{
  check_alike(models);
  if (precision == Precision::fp32) return std::make_unique<BlockEvaluator<float>>(models, tolerance, rank_tolerance);
  return std::make_unique<BlockEvaluator<double>>(models, tolerance, rank_tolerance);
}

}    // namespace dpgen::native
