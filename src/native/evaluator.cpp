#include "native/evaluator.h"

#include "errors.h"
#include "native/block.h"

#include <algorithm>

namespace dpgen::native {

namespace {

constexpr int block_size = 32;    // atoms whose matrices are multiplied together

/// DeePMD's choice: what the pair gives to the virial is the neighbour's, and its rows are the components of the force.
void add_pair_virial(const double *delta, const double *force, double weight, double *virial)
{
  for (int a = 0; a < 3; ++a)
    for (int b = 0; b < 3; ++b) virial[3 * a + b] += weight * force[a] * delta[b];
}

/// Atoms of one type whose matrices are multiplied together.
struct Task {
  int type = 0, n = 0;
  const int *centres = nullptr;
};

/// What one thread works with. The first writes where the predictions are, the others into `forces`.
template <typename Real> struct Worker {
  Block<Real> block;
  std::vector<std::vector<double>> forces{};    ///< of each model asked for
  std::vector<double> energies{};

  Worker(const CompiledEnsemble<Real> &compiled, const Model &any) : block(compiled, any, block_size) {}
};

template <typename Real> class BlockEvaluator : public Evaluator {
 public:
  BlockEvaluator(const std::vector<Model> &models, double tolerance, double rank_tolerance) :
      compiled_(models, choose_grid(models, tolerance), rank_tolerance), by_type_(models.front().n_types())
  {
  }

  void evaluate(const AtomsView &atoms, const NeighborView &list, const std::vector<int> &models,
                const std::vector<Prediction *> &out, PerAtom *per_atom) override
  {
    start(atoms, out, per_atom);
    make_tasks(atoms, list);
    // Virials of neighbours would have to be added up too; they are asked for rarely.
    const int most = per_atom && per_atom->wants_virials ? 1 : n_threads_;
    const int n = std::max(1, std::min(most, static_cast<int>(tasks_.size())));
    while (static_cast<int>(workers_.size()) < n)
      workers_.push_back(std::make_unique<Worker<Real>>(compiled_, compiled_.exact.front()));
#ifdef _OPENMP
#pragma omp parallel for num_threads(n) schedule(static, 1)
#endif
    for (int w = 0; w < n; ++w) work(w, n, atoms, list, models, out, per_atom);
    for (std::size_t k = 0; k < models.size(); ++k) {
      for (int w = 0; w < n; ++w) add_up(*workers_[w], k, w > 0, *out[k]);
      add_virial(atoms, *out[k]);
    }
  }

  void set_threads(int n_threads) override { n_threads_ = std::max(1, n_threads); }

  std::string description() const override
  {
    return std::string(sizeof(Real) == 8 ? "double" : "single") + " precision, " + kernels<Real>().name + ", " +
        std::to_string(compiled_.grid.n_intervals()) + " spline steps up to s = " + std::to_string(compiled_.grid.end) +
        "/Å" + rank();
  }

 private:
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

  void make_tasks(const AtomsView &atoms, const NeighborView &list)
  {
    for (auto &centres : by_type_) centres.clear();
    for (int k = 0; k < list.n_atoms; ++k)
      if (const int type = atoms.types[list.atoms[k]]; type >= 0) by_type_[type].push_back(list.atoms[k]);
    // Smaller blocks where there would be too few for all threads.
    const int share = (list.n_atoms + n_threads_ - 1) / n_threads_, size = std::max(8, std::min(block_size, share));
    tasks_.clear();
    for (int type = 0; type < static_cast<int>(by_type_.size()); ++type)
      for (int first = 0, n_all = static_cast<int>(by_type_[type].size()); first < n_all; first += size)
        tasks_.push_back({type, std::min(size, n_all - first), &by_type_[type][first]});
  }

  // Every n-th task, from the w-th.
  void work(int w, int n, const AtomsView &atoms, const NeighborView &list, const std::vector<int> &models,
            const std::vector<Prediction *> &out, PerAtom *per_atom)
  {
    Worker<Real> &worker = *workers_[w];
    worker.energies.assign(models.size(), 0.0);
    worker.forces.resize(models.size());
    for (std::size_t k = 0; k < models.size() && w > 0; ++k) worker.forces[k].assign(out[k]->forces.size(), 0.0);
    const double weight = per_atom && per_atom->model == PerAtom::mean ? 1.0 / static_cast<double>(models.size()) : 1.0;
    for (std::size_t t = w; t < tasks_.size(); t += n) {
      worker.block.take(tasks_[t].type, tasks_[t].centres, tasks_[t].n, atoms, list);
      for (std::size_t k = 0; k < models.size(); ++k) {
        worker.block.run(models[k]);
        const bool asked = per_atom && (per_atom->model == models[k] || per_atom->model == PerAtom::mean);
        worker.energies[k] += add_energies(worker.block, tasks_[t], models[k], asked ? per_atom : nullptr, weight);
        add_forces(worker.block, tasks_[t], w > 0 ? worker.forces[k] : out[k]->forces,
                   asked && per_atom->wants_virials ? per_atom : nullptr, weight);
      }
    }
  }

  double add_energies(const Block<Real> &block, const Task &task, int model, PerAtom *per_atom, double weight)
  {
    const double shift = compiled_.models[model][task.type].shift;
    double sum = 0.0;
    for (int row = 0; row < task.n; ++row) {
      const double energy = shift + static_cast<double>(block.energy(row));
      sum += energy;
      if (per_atom) per_atom->energies[task.centres[row]] += weight * energy;
    }
    return sum;
  }

  static void add_forces(Block<Real> &block, const Task &task, std::vector<double> &forces, PerAtom *per_atom,
                         double weight)
  {
    block.for_each_pair([&](int row, int j, const double *delta, const double *slope) {
      double *of_centre = &forces[3 * static_cast<std::size_t>(task.centres[row])];
      double *of_neighbor = &forces[3 * static_cast<std::size_t>(j)];
      for (int d = 0; d < 3; ++d) {
        of_centre[d] += slope[d];
        of_neighbor[d] -= slope[d];
      }
      if (per_atom) add_pair_virial(delta, slope, -weight, &per_atom->virials[9 * static_cast<std::size_t>(j)]);
    });
  }

  static void add_up(const Worker<Real> &worker, std::size_t k, bool with_forces, Prediction &out)
  {
    out.energy += worker.energies[k];
    for (std::size_t i = 0; with_forces && i < out.forces.size(); ++i) out.forces[i] += worker.forces[k][i];
  }

  // Forces of local atoms and ghosts add up to 0, so that any origin does.
  static void add_virial(const AtomsView &atoms, Prediction &out)
  {
    for (std::size_t i = 0; i < out.forces.size(); i += 3)
      add_pair_virial(atoms.positions + i, &out.forces[i], 1.0, out.virial.data());
  }

  CompiledEnsemble<Real> compiled_;
  std::vector<std::unique_ptr<Worker<Real>>> workers_;    // one for each thread
  int n_threads_ = 1;
  std::vector<std::vector<int>> by_type_;
  std::vector<Task> tasks_;
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
