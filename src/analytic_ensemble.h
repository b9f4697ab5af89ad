// Ensemble of soft pair potentials with forces in closed form: the slow reference that defines what is right.
//
// A model file is text: first line "dpgen-analytic", then "key value ..." lines:
//   type_map Al Mg ...   cutoff (Å)   epsilon (eV)
//   nan_below r          forces are NaN where a pair is closer than r (Å): what a broken model gives
//   throw_below r        evaluation throws where a pair is closer than r (Å): what a failing backend does
// The pair energy is epsilon * (1 - (r/cutoff)^2)^3, the same for all types.
#ifndef DPGEN_ANALYTIC_ENSEMBLE_H
#define DPGEN_ANALYTIC_ENSEMBLE_H

#include "ensemble.h"

namespace dpgen {

class AnalyticEnsemble : public Ensemble {
 public:
  explicit AnalyticEnsemble(const std::vector<std::string> &paths);

  /// True if the file begins with the word "dpgen-analytic".
  static bool recognises(const std::string &path);

  int n_models() const override { return static_cast<int>(potentials_.size()); }
  double cutoff() const override { return potentials_.front().cutoff; }
  const std::vector<std::string> &type_map() const override { return potentials_.front().type_map; }
  void evaluate(int model, const AtomsView &atoms, const NeighborView &list, Prediction &out,
                PerAtom *per_atom = nullptr) override;
  void evaluate_frame(int model, int n_atoms, const double *positions, const int *types, const double *cell,
                      Prediction &out) override;
  std::string kernel() const override { return "analytic potentials"; }

 private:
  struct Potential {
    std::vector<std::string> type_map{};
    double cutoff = 0.0;
    double epsilon = 0.0;
    double nan_below = 0.0;
    double throw_below = 0.0;
  };

  static Potential read(const std::string &path);
  void add_half_pair(int model, const double *delta, double *force_i, double *force_j, Prediction &out) const;

  std::vector<Potential> potentials_;
};

}    // namespace dpgen

#endif
