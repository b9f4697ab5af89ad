#include "native/evaluator.h"

#include "errors.h"
#include "native/block.h"

#include <algorithm>

namespace dpgen::native {

namespace {

// Atoms whose matrices are multiplied together: four long vectors.
template <typename Real> constexpr int block_size = static_cast<int>(256 / sizeof(Real));

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

/// What one thread works with.
template <typename Real> struct Worker {
  Block<Real> block;
  std::vector<Buffer<Real>> forces{};    ///< of each group: [atom][slot][4]
  std::vector<double> energies{};        ///< of each model asked for

  Worker(const CompiledEnsemble<Real> &compiled, const Model &any) : block(compiled, any, block_size<Real>) {}
};

/// Models by fours, then what is left.
std::vector<ModelGroup> groups_of(const std::vector<int> &models)
{
  std::vector<ModelGroup> groups;
  for (std::size_t first = 0; first < models.size(); first += 4)
    groups.push_back({{models.begin() + first, models.begin() + std::min(first + 4, models.size())}});
  return groups;
}

template <typename Real> class BlockEvaluator : public Evaluator {
 public:
  BlockEvaluator(const EvaluatorSource &source, const Reduction &reduction) :
      compiled_(source.models, SplineGrid(grid_end(source.models), reduction.n_intervals), source.directions,
                reduction.rank_tolerance),
      by_type_(source.models.front().n_types())
  {
  }

  void evaluate(const AtomsView &atoms, const NeighborView &list, const std::vector<int> &models,
                const std::vector<Prediction *> &out, PerAtom *per_atom) override
  {
    start(atoms, per_atom);
    make_tasks(atoms, list);
    groups_ = groups_of(models);
    // Virials of neighbours would have to be added up too; they are asked for rarely.
    const int most = per_atom && per_atom->wants_virials ? 1 : n_threads_;
    const int n = std::max(1, std::min(most, static_cast<int>(tasks_.size())));
    while (static_cast<int>(workers_.size()) < n)
      workers_.push_back(std::make_unique<Worker<Real>>(compiled_, compiled_.exact.front()));
    const std::size_t n_all = static_cast<std::size_t>(atoms.n_local + atoms.n_ghost);
    for (const auto &worker : workers_) worker->block.multiply_adds = 0.0;
#ifdef _OPENMP
#pragma omp parallel for num_threads(n) schedule(static, 1)
#endif
    for (int w = 0; w < n; ++w) work(w, n, atoms, list, models, n_all, per_atom);
    for (std::size_t k = 0; k < models.size(); ++k) add_up(n, k, atoms, n_all, *out[k]);
  }

  double multiply_adds() const override
  {
    double sum = 0.0;
    for (const auto &worker : workers_) sum += worker->block.multiply_adds;
    return sum;
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

  static void start(const AtomsView &atoms, PerAtom *per_atom)
  {
    if (!per_atom) return;
    const std::size_t n_all = static_cast<std::size_t>(atoms.n_local + atoms.n_ghost);
    per_atom->energies.assign(atoms.n_local, 0.0);
    per_atom->virials.assign(per_atom->wants_virials ? 9 * n_all : 0, 0.0);
  }

  void make_tasks(const AtomsView &atoms, const NeighborView &list)
  {
    for (auto &centres : by_type_) centres.clear();
    for (int k = 0; k < list.n_atoms; ++k)
      if (const int type = atoms.types[list.atoms[k]]; type >= 0) by_type_[type].push_back(list.atoms[k]);
    // Smaller blocks where there would be too few for all threads.
    const int share = (list.n_atoms + n_threads_ - 1) / n_threads_,
              size = std::max(8, std::min(block_size<Real>, share));
    tasks_.clear();
    for (int type = 0; type < static_cast<int>(by_type_.size()); ++type)
      for (int first = 0, n_all = static_cast<int>(by_type_[type].size()); first < n_all; first += size)
        tasks_.push_back({type, std::min(size, n_all - first), &by_type_[type][first]});
  }

  // Every n-th task, from the w-th.
  void work(int w, int n, const AtomsView &atoms, const NeighborView &list, const std::vector<int> &models,
            std::size_t n_all, PerAtom *per_atom)
  {
    Worker<Real> &worker = *workers_[w];
    worker.energies.assign(models.size(), 0.0);
    worker.forces.resize(groups_.size());
    for (std::size_t g = 0; g < groups_.size(); ++g) worker.forces[g].assign(4 * groups_[g].n_slots() * n_all, Real(0));
    const double weight = per_atom && per_atom->model == PerAtom::mean ? 1.0 / static_cast<double>(models.size()) : 1.0;
    for (std::size_t t = w; t < tasks_.size(); t += n) {
      worker.block.take(tasks_[t].type, tasks_[t].centres, tasks_[t].n, atoms, list);
      for (std::size_t g = 0; g < groups_.size(); ++g) {
        worker.block.run(groups_[g]);
        for (std::size_t slot = 0; slot < groups_[g].models.size(); ++slot)
          worker.energies[4 * g + slot] += add_energies(worker.block, tasks_[t], groups_[g], slot, per_atom, weight);
        add_forces(worker, g, per_atom, weight);
      }
    }
  }

  static bool asks_for(const PerAtom *per_atom, int model)
  {
    return per_atom && (per_atom->model == model || per_atom->model == PerAtom::mean);
  }

  double add_energies(const Block<Real> &block, const Task &task, const ModelGroup &group, std::size_t slot,
                      PerAtom *per_atom, double weight)
  {
    const int model = group.models[slot];
    const double shift = compiled_.models[model][task.type].shift;
    double sum = 0.0;
    for (int row = 0; row < task.n; ++row) {
      const double energy = shift + static_cast<double>(block.energy(static_cast<int>(slot), row));
      sum += energy;
      if (asks_for(per_atom, model)) per_atom->energies[task.centres[row]] += weight * energy;
    }
    return sum;
  }

  void add_forces(Worker<Real> &worker, std::size_t g, PerAtom *per_atom, double weight)
  {
    const ModelGroup &group = groups_[g];
    if (!per_atom || !per_atom->wants_virials) return worker.block.add_forces(group, worker.forces[g].data(), nullptr);
    const typename Block<Real>::Visit visit = [&](int neighbor, const double *delta, const Real *pair) {
      for (std::size_t slot = 0; slot < group.models.size(); ++slot)
        if (asks_for(per_atom, group.models[slot])) {
          const double force[3] = {pair[4 * slot + 1], pair[4 * slot + 2], pair[4 * slot + 3]};
          add_pair_virial(delta, force, -weight, &per_atom->virials[9 * static_cast<std::size_t>(neighbor)]);
        }
    };
    worker.block.add_forces(group, worker.forces[g].data(), &visit);
  }

  // What the first `n` workers have found for the model in place k.
  void add_up(int n, std::size_t k, const AtomsView &atoms, std::size_t n_all, Prediction &out) const
  {
    out.energy = 0.0;
    out.virial.fill(0.0);
    out.forces.resize(3 * n_all);
    const std::size_t group = k / 4, stride = 4 * groups_[group].n_slots(), slot = 4 * (k % 4) + 1;
    for (int w = 0; w < n; ++w) {
      out.energy += workers_[w]->energies[k];
      const Real *from = workers_[w]->forces[group].data() + slot;
      double *to = out.forces.data();
      if (w == 0)
        for (std::size_t i = 0; i < n_all; ++i, from += stride, to += 3)
          for (int d = 0; d < 3; ++d) to[d] = from[d];
      else
        for (std::size_t i = 0; i < n_all; ++i, from += stride, to += 3)
          for (int d = 0; d < 3; ++d) to[d] += from[d];
    }
    add_virial(atoms, out);
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
  std::vector<ModelGroup> groups_;
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

EvaluatorSource::EvaluatorSource(std::vector<Model> the_models, bool with_directions) : models(std::move(the_models))
{
  check_alike(models);
  if (with_directions) directions = find_directions(models);
}

std::unique_ptr<Evaluator> EvaluatorSource::make(Precision precision, const Reduction &reduction) const
{
  if (precision == Precision::fp32) return std::make_unique<BlockEvaluator<float>>(*this, reduction);
  return std::make_unique<BlockEvaluator<double>>(*this, reduction);
}

std::unique_ptr<Evaluator> make_evaluator(const std::vector<Model> &models, Precision precision, double tolerance,
                                          double rank_tolerance)
{
  const EvaluatorSource source(models, rank_tolerance > 0.0);
  return source.make(precision, {choose_grid(models, tolerance).n_intervals(), rank_tolerance});
}

}    // namespace dpgen::native
