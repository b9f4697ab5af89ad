// pair_style dpgen: molecular dynamics driven by one model of an ensemble, or by their mean, whose spread is at hand
// for fix dpgen. See docs/pair_dpgen.md.
#ifndef LMP_PAIR_DPGEN_H
#define LMP_PAIR_DPGEN_H

#include "pair.h"

#include <memory>
#include <string>
#include <vector>

namespace dpgen {
class Ensemble;
class LookPlan;
}    // namespace dpgen

namespace LAMMPS_NS {

class EnsembleRunner;

class PairDpgen : public Pair {
 public:
  explicit PairDpgen(class LAMMPS *);
  ~PairDpgen() override;

  void compute(int, int) override;
  void settings(int, char **) override;
  void coeff(int, char **) override;
  void init_style() override;
  void init_list(int, class NeighList *) override;
  double init_one(int, int) override;
  void write_restart(FILE *) override;
  void read_restart(FILE *) override;
  void write_restart_settings(FILE *) override;
  void read_restart_settings(FILE *) override;
  void *extract(const char *, int &) override;
  double memory_usage() override;

  // For fix dpgen and the learning run; all of them are called on all ranks.

  /// The pair styles dpgen of this LAMMPS, alone or in a hybrid one.
  static std::vector<PairDpgen *> all_in(class LAMMPS *);
  /// Evaluates the models for this pair style; null before pair_coeff. A fix that shares it needs no models of its own.
  const std::shared_ptr<EnsembleRunner> &runner() const;
  /// True if what it evaluates is what models with these hashes say of all atoms of these elements ("NULL": not seen).
  bool serves(const std::vector<std::string> &hashes, const std::vector<std::string> &types) const;
  /// From now to the next init() all models are evaluated at the steps of this plan, as long as it lives.
  void add_plan(const std::shared_ptr<const dpgen::LookPlan> &plan);
  /// Opens the models at the same paths again where their content has changed, for all that share them.
  void reload_models();

 private:
  struct State;    // hides the core from LAMMPS' headers
  std::unique_ptr<State> state_;

  void allocate();
  void set_models(const std::vector<std::string> &words);
  void set_types(const std::vector<std::string> &elements);
  std::shared_ptr<dpgen::Ensemble> open_models() const;
  void load_restarted();
  void say_kernel() const;
  bool wants_all() const;
  void add_forces();
  void add_energy_and_virial();
  void add_per_atom();
};

}    // namespace LAMMPS_NS

#endif
