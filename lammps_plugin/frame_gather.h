// Collects the atoms of all ranks into one core frame on rank 0, in the order of their ids.
#ifndef DPGEN_FRAME_GATHER_H
#define DPGEN_FRAME_GATHER_H

#include "frame.h"

namespace LAMMPS_NS {

class LAMMPS;

/// Fills step, time, cell, periodicity, tags, species, positions (unwrapped, eV/Å units) and spread of `frame` on rank
/// 0.
///
/// `spread` holds one number per local atom; `elements[t - 1]` is the species of LAMMPS type t ("NULL" becomes "X").
/// Atoms without ids are numbered rank by rank. Collective.
void gather_frame(LAMMPS *lmp, const double *spread, const std::vector<std::string> &elements, dpgen::Frame &frame);

/// The same order for one number per local atom: values of all ranks by ascending id, on rank 0. Collective.
std::vector<double> gather_by_id(LAMMPS *lmp, const double *values);

}    // namespace LAMMPS_NS

#endif
