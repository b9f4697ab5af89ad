// Errors that only some ranks have seen, raised on all.
#ifndef DPGEN_FAIL_TOGETHER_H
#define DPGEN_FAIL_TOGETHER_H

#include <string>

namespace LAMMPS_NS {

class LAMMPS;

/// One error for all: the message of the lowest rank that has one ends the run everywhere; empty: this rank has none.
/// `who` begins the text. Collective.
void fail_together(LAMMPS *lmp, const std::string &who, const std::string &message);

}    // namespace LAMMPS_NS

#endif
