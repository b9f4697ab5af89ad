// The part of DeePMD-kit's C API that is used, loaded at run time. No other file knows libdeepmd_c.
#ifndef DPGEN_DEEPMD_C_API_H
#define DPGEN_DEEPMD_C_API_H

#include <string>
#include <vector>

extern "C" {
struct DP_DeepPot;
struct DP_Nlist;
}

namespace dpgen {

/// Function table of libdeepmd_c.so (C API version 24 or newer, DeePMD-kit 3).
struct DeepmdApi {
  DP_DeepPot *(*new_deep_pot)(const char *model, int gpu_rank, const char *content, int size);
  void (*delete_deep_pot)(DP_DeepPot *);
  const char *(*check_ok)(DP_DeepPot *);
  double (*cutoff)(DP_DeepPot *);
  int (*n_types)(DP_DeepPot *);
  int (*dim_fparam)(DP_DeepPot *);
  int (*dim_aparam)(DP_DeepPot *);
  const char *(*type_map)(DP_DeepPot *);
  void (*delete_char)(const char *);
  DP_Nlist *(*new_nlist)(int n, int *atoms, int *n_neighbors, int **neighbors);
  void (*set_mask)(DP_Nlist *, int mask);
  void (*delete_nlist)(DP_Nlist *);
  void (*compute_nlist)(DP_DeepPot *, int n_atoms, const double *x, const int *types, const double *cell, int n_ghost,
                        const DP_Nlist *, int ago, double *energy, double *forces, double *virial, double *atom_energy,
                        double *atom_virial);
  void (*compute)(DP_DeepPot *, int n_atoms, const double *x, const int *types, const double *cell, double *energy,
                  double *forces, double *virial, double *atom_energy, double *atom_virial);
};

/// Loads the library once per process: the hints first, then $DPGEN_DEEPMD_LIBRARY, then the dynamic linker's search
/// path.
///
/// Throws ModelError with every place that was tried.
const DeepmdApi &deepmd_api(const std::vector<std::string> &hints);

}    // namespace dpgen

#endif
