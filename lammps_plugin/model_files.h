// Whether models that are loaded are still those in their files.
#ifndef DPGEN_MODEL_FILES_H
#define DPGEN_MODEL_FILES_H

#include <string>
#include <vector>

namespace dpgen {
class Ensemble;
}

namespace LAMMPS_NS {

/// True if these models were loaded from files with the content of those at `paths` now, in this order. Throws
/// dpgen::ModelError where one cannot be read.
bool have_content(const dpgen::Ensemble &models, const std::vector<std::string> &paths);

}    // namespace LAMMPS_NS

#endif
