// An ensemble: models trained together that predict energy, forces and virial of the same atoms.
#ifndef DPGEN_ENSEMBLE_H
#define DPGEN_ENSEMBLE_H

#include "deviation.h"

#include <memory>
#include <string>
#include <vector>

namespace dpgen {

/// Local and ghost atoms of one MPI rank.
struct AtomsView {
  int n_local = 0;
  int n_ghost = 0;
  const double *positions = nullptr;    ///< (n_local + n_ghost) * 3, Å, relative to the corner of the cell
  const int *types = nullptr;      ///< index into type_map(), local atoms first; negative: the models do not see it
  const double *cell = nullptr;    ///< 9, Å, rows are cell vectors
};

/// Full neighbour list of the local atoms, as LAMMPS builds it; indices may point to ghosts.
struct NeighborView {
  int n_atoms = 0;
  int *atoms = nullptr;
  int *n_neighbors = nullptr;
  int **neighbors = nullptr;
  int mask = 0x3FFFFFFF;    ///< bits of a neighbour that hold its index
  bool is_new = true;       ///< false only if every model saw this very list in its last evaluation
};

/// What one model predicts.
struct Prediction {
  double energy = 0.0;           ///< eV, of the local atoms
  std::vector<double> forces;    ///< eV/Å, local atoms first, then what falls on the ghosts
  Virial virial{};               ///< eV, of the local atoms' energy
};

/// What single atoms contribute to the prediction of one model, or of the mean of all that were evaluated.
struct PerAtom {
  static constexpr int mean = -1;

  int model = 0;                     ///< asked for: which model (from 0), or `mean`
  bool wants_virials = false;        ///< asked for: virials too, not only energies
  std::vector<double> energies{};    ///< eV, of the local atoms
  std::vector<double> virials{};     ///< eV, 9 per atom, local atoms first; those of ghosts still have to be summed up
};

/// Interface of all ensembles. Not thread-safe. Throws ModelError.
class Ensemble : public std::enable_shared_from_this<Ensemble> {
 public:
  virtual ~Ensemble() = default;

  virtual int n_models() const = 0;
  virtual double cutoff() const = 0;                               ///< Å, the same for all models
  virtual const std::vector<std::string> &type_map() const = 0;    ///< elements, the same for all models

  /// Evaluates model `model` (from 0) on the atoms of one rank; the ghosts' forces still have to be summed up.
  /// `per_atom` may be null; its `model` is not looked at here.
  virtual void evaluate(int model, const AtomsView &atoms, const NeighborView &list, Prediction &out,
                        PerAtom *per_atom = nullptr) = 0;

  /// Evaluates model `model` on a whole frame without a neighbour list; `cell` (9 numbers) may be null: not periodic.
  virtual void evaluate_frame(int model, int n_atoms, const double *positions, const int *types, const double *cell,
                              Prediction &out) = 0;

  /// Evaluates the first `n_models` models on the atoms of one rank, which may cost less than one by one. `out` gets
  /// that size; its vectors are used again.
  virtual void evaluate_all(const AtomsView &atoms, const NeighborView &list, int n_models,
                            std::vector<Prediction> &out, PerAtom *per_atom = nullptr);

  /// The same on a whole frame.
  virtual void evaluate_frame_all(int n_models, int n_atoms, const double *positions, const int *types,
                                  const double *cell, std::vector<Prediction> &out);

  /// How many threads evaluate() and its kin may use, 1 at first; DeePMD-kit goes by its own environment variables.
  virtual void set_threads(int n_threads) { static_cast<void>(n_threads); }

  /// True if all models together cost hardly more than one, so that leaving one out is not worth it.
  virtual bool evaluates_together() const { return false; }

  /// How far forces may be from DeePMD-kit's (eV/Å): 0 where it evaluates the models itself.
  virtual double tolerance() const { return 0.0; }

  /// Multiplications with addition that the last evaluation took, of what is counted; 0 where nobody counts.
  virtual double multiply_adds() const { return 0.0; }

  /// Which code evaluates the models and why, for the log: one line without line end.
  virtual std::string kernel() const = 0;

  /// Files of the models, in order.
  const std::vector<std::string> &paths() const { return paths_; }
  /// SHA-256 of the files, in order, hexadecimal.
  const std::vector<std::string> &hashes() const { return hashes_; }
  /// Index of an element in type_map(), or -1.
  int type_index(const std::string &element) const;

 protected:
  Ensemble() = default;
  explicit Ensemble(std::vector<std::string> paths);

  std::vector<std::string> paths_;
  std::vector<std::string> hashes_;
};

/// What evaluates Deep Potentials.
enum class Kernel {
  automatic,    ///< the native kernel where it covers the models and passed its test, else DeePMD-kit
  native,       ///< the native kernel; ModelError where it cannot be used
  deepmd        ///< DeePMD-kit's C API
};

/// Arithmetic of the native kernel.
enum class Precision { fp64, fp32 };

/// How and where the models run and where DeePMD-kit is looked for.
struct EnsembleOptions {
  int device = 0;                              ///< GPU of this rank, ignored without one
  std::vector<std::string> library_hints{};    ///< paths of libdeepmd_c.so to try before the system's
  Kernel kernel = Kernel::deepmd;
  Precision precision = Precision::fp64;
  double tolerance = 1e-6;    ///< eV/Å: what the native kernel's splines and reduced channels may change in forces
  bool self_test = true;      ///< hold the native kernel beside DeePMD-kit at load; false: somebody has done so already
};

/// Loads an ensemble: files that begin with "dpgen-analytic" are analytic potentials, all others go to DeePMD-kit.
///
/// Throws ModelError for fewer than `min_models` files, a file that cannot be read or is no model, and models whose
/// type maps or cut-offs differ.
std::unique_ptr<Ensemble> load_ensemble(const std::vector<std::string> &paths, const EnsembleOptions &options = {},
                                        int min_models = 2);

}    // namespace dpgen

#endif
