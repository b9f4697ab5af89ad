// Opening models the same way on all ranks, and whether those that are loaded are still those in their files.
#ifndef DPGEN_MODEL_FILES_H
#define DPGEN_MODEL_FILES_H

#include "ensemble.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace LAMMPS_NS {

class LAMMPS;

/// True if these models were loaded from files with the content of those at `paths` now, in this order; false where one
/// cannot be read.
bool have_content(const dpgen::Ensemble &models, const std::vector<std::string> &paths);

/// True if it is on all ranks. Collective.
bool all_ranks(LAMMPS *lmp, bool mine);

/// True if what evaluates these models is what was asked for.
bool serves_kernel(const dpgen::Ensemble &models, dpgen::Kernel kernel);

/// What `open` gives for this kernel, evaluated by the same code on all ranks: where the native kernel cannot be used
/// on one of them, DeePMD-kit evaluates on all. Collective, also where `open` throws on some; it then throws there.
std::shared_ptr<dpgen::Ensemble> open_alike(LAMMPS *lmp, dpgen::Kernel kernel,
                                            const std::function<std::shared_ptr<dpgen::Ensemble>(dpgen::Kernel)> &open);

}    // namespace LAMMPS_NS

#endif
