// Registers the styles of the plugin with LAMMPS.
#include "lammpsplugin.h"

#include "fix_dpgen.h"
#include "fix_dpgen_safe.h"
#include "learn_session.h"
#include "pair_dpgen.h"

#include "lammps.h"

#include <cstring>

using namespace LAMMPS_NS;

namespace {

template <typename Style> void *create_fix(void *lmp, int narg, char **arg)
{
  return static_cast<Fix *>(new Style(static_cast<LAMMPS *>(lmp), narg, arg));
}

Pair *create_pair(LAMMPS *lmp)
{
  return new PairDpgen(lmp);
}

}    // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lmp, void *handle, void *regfunc)
{
  const auto register_plugin = reinterpret_cast<lammpsplugin_regfunc>(regfunc);
  lammpsplugin_t plugin;
  std::memset(&plugin, 0, sizeof plugin);
  plugin.version = DPGEN_LAMMPS_VERSION;
  plugin.style = "fix";
  plugin.author = "the lammps-dpgen developers";
  plugin.handle = handle;

  plugin.name = "dpgen";
  plugin.info = "model deviation of a Deep Potential ensemble, lammps-dpgen " DPGEN_VERSION;
  plugin.creator.v2 = reinterpret_cast<lammpsplugin_factory2 *>(&create_fix<FixDpgen>);
  register_plugin(&plugin, lmp);

  plugin.name = "dpgen/safe";
  plugin.info = "safe points of a learning run (internal), lammps-dpgen " DPGEN_VERSION;
  plugin.creator.v2 = reinterpret_cast<lammpsplugin_factory2 *>(&create_fix<FixDpgenSafe>);
  register_plugin(&plugin, lmp);

  plugin.style = "pair";
  plugin.name = "dpgen";
  plugin.info = "molecular dynamics with an ensemble of Deep Potentials, lammps-dpgen " DPGEN_VERSION;
  plugin.creator.v1 = reinterpret_cast<lammpsplugin_factory1 *>(&create_pair);
  register_plugin(&plugin, lmp);

  learn_session_reloaded(static_cast<LAMMPS *>(lmp));    // after `clear`
}
