// What the controller asks about a running LAMMPS, for Python's ctypes. Every function is called on all ranks.
#ifndef DPGEN_LEARN_PROBE_H
#define DPGEN_LEARN_PROBE_H

extern "C" {

/// 1 if there is a fix dpgen of this ID.
int dpgen_has_fix(void *lmp, const char *fix_id);
/// Interval of the fix's looks in steps, 0 without the fix.
int dpgen_every(void *lmp, const char *fix_id);
/// SHA-256 of the model files that the fix evaluates, joined by commas, into `buffer`; returns the length, -1 without
/// the fix.
int dpgen_model_hashes(void *lmp, const char *fix_id, char *buffer, int size);
/// Elements of the LAMMPS types as the fix was told, joined by spaces, into `buffer`; returns the length, -1 without
/// the fix.
int dpgen_types(void *lmp, const char *fix_id, char *buffer, int size);
/// Potential energy (eV) of the pair style at this step, summed over ranks; NaN where LAMMPS did not ask for it.
double dpgen_pair_energy(void *lmp);
/// Largest difference (eV/Å) between the pair style's forces and model 1's at the last setup; Inf where they were not
/// compared.
double dpgen_driver_difference(void *lmp, const char *fix_id);
/// The atoms as they are, as the address of a core frame: not null on rank 0 only, valid until the next call.
const void *dpgen_current_frame(void *lmp, const char *fix_id);
/// Ends the run under way after this step, and all later ones.
void dpgen_interrupt(void *lmp);
}

#endif
