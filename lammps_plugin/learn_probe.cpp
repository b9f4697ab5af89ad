#include "learn_probe.h"

#include "fix_dpgen.h"

#include "frame.h"

#include "comm.h"
#include "force.h"
#include "lammps.h"
#include "modify.h"
#include "pair.h"
#include "timer.h"
#include "units.h"
#include "update.h"

#include <cmath>
#include <cstring>

using namespace LAMMPS_NS;

namespace {

FixDpgen *find(void *lmp, const char *fix_id)
{
  return dynamic_cast<FixDpgen *>(static_cast<LAMMPS *>(lmp)->modify->get_fix_by_id(fix_id));
}

// Joins words into a caller's buffer; returns the length that they need.
int join(const std::vector<std::string> &words, char separator, char *buffer, int size)
{
  std::string text;
  for (const std::string &word : words) text += (text.empty() ? "" : std::string(1, separator)) + word;
  if (static_cast<int>(text.size()) < size) std::memcpy(buffer, text.c_str(), text.size() + 1);
  return static_cast<int>(text.size());
}

}    // namespace

int dpgen_has_fix(void *lmp, const char *fix_id)
{
  return find(lmp, fix_id) != nullptr;
}

int dpgen_every(void *lmp, const char *fix_id)
{
  const FixDpgen *fix = find(lmp, fix_id);
  return fix ? fix->every() : 0;
}

int dpgen_model_hashes(void *lmp, const char *fix_id, char *buffer, int size)
{
  const FixDpgen *fix = find(lmp, fix_id);
  return fix ? join(fix->model_hashes(), ',', buffer, size) : -1;
}

int dpgen_types(void *lmp, const char *fix_id, char *buffer, int size)
{
  const FixDpgen *fix = find(lmp, fix_id);
  return fix ? join(fix->types(), ' ', buffer, size) : -1;
}

double dpgen_pair_energy(void *handle)
{
  auto *lmp = static_cast<LAMMPS *>(handle);
  if (lmp->update->eflag_global != lmp->update->ntimestep) return NAN;
  double mine = lmp->force->pair ? lmp->force->pair->eng_vdwl + lmp->force->pair->eng_coul : 0.0, total = 0.0;
  MPI_Allreduce(&mine, &total, 1, MPI_DOUBLE, MPI_SUM, lmp->world);
  return total * units_of(*lmp->force).energy;
}

double dpgen_driver_difference(void *lmp, const char *fix_id)
{
  const FixDpgen *fix = find(lmp, fix_id);
  return fix ? fix->driver_difference() : HUGE_VAL;
}

const void *dpgen_current_frame(void *handle, const char *fix_id)
{
  static dpgen::Frame frame;
  auto *lmp = static_cast<LAMMPS *>(handle);
  FixDpgen *fix = find(handle, fix_id);
  if (!fix) return nullptr;
  fix->gather(frame);
  return lmp->comm->me == 0 ? &frame : nullptr;
}

void dpgen_interrupt(void *lmp)
{
  static_cast<LAMMPS *>(lmp)->timer->force_timeout();
}
