// The C face of the learning run, for Python's ctypes: one shared library, the one that LAMMPS has loaded as its
// plugin.
//
// All functions are called on all ranks of the LAMMPS instance. They return 0, or -1 and a message in
// dpgen_last_error(). No C++ exception leaves them. `lmp` is the LAMMPS instance (lammps.lammps().lmp).
#ifndef DPGEN_LEARN_API_H
#define DPGEN_LEARN_API_H

#define DPGEN_API __attribute__((visibility("default")))

extern "C" {

/// What the last failed call on this rank had to say.
DPGEN_API const char *dpgen_last_error();

/// From now on "run" pauses when the fix `fix_id` asks for learning.
///
/// look(const dpgen::Look *): at each look, on every rank; may be null.
/// pause(const dpgen::Pause *): between two complete steps, on every rank; may give LAMMPS commands. Returns 0: go on;
/// 1: end this run command; 2: end this and all later run commands; 3: stop with an error. The worst of all ranks
/// holds.
DPGEN_API int dpgen_attach(void *lmp, const char *fix_id, void (*look)(const void *), int (*pause)(const void *));
/// Gives LAMMPS its own commands back.
DPGEN_API int dpgen_detach(void *lmp);

/// Run commands that were passed on because the script had no fix of that id.
DPGEN_API long long dpgen_runs_without_fix(void *lmp);
/// The learning fix looks every n steps from now on.
DPGEN_API int dpgen_set_every(void *lmp, int n);
/// The learning fix loads its models again from the same paths.
DPGEN_API int dpgen_reload_models(void *lmp);
/// The same, but a rank that holds these models already (dpgen::Ensemble *, owned by a shared_ptr) need not load
/// them; null on the others.
DPGEN_API int dpgen_share_models(void *lmp, void *ensemble);
/// Arguments of the pair_style command of the present pair style, such as "deepmd models/0.pb".
DPGEN_API int dpgen_pair_style(void *lmp, char *buffer, int size);
/// Commands pair_coeff and pair_modify that the present pair style was given if it is a hybrid one, a line each.
/// Returns their length, also where the buffer is too small for them.
DPGEN_API int dpgen_pair_commands(void *lmp, char *buffer, int size);

/// At most `keep` safe points, at least `every` steps apart; 0: none.
DPGEN_API int dpgen_set_safe_points(void *lmp, int every, int keep);
/// Number of safe points (-1: error); the steps of the n newest ones go to `steps`, newest first.
DPGEN_API int dpgen_safe_points(void *lmp, long long *steps, int n);
/// Why the newest safe point cannot be restored; empty if it can.
DPGEN_API int dpgen_rollback_refusal(void *lmp, char *buffer, int size);
/// Back to safe point k (0 is the newest); newer ones are dropped. The step number stays. Only in a pause or between
/// run commands.
DPGEN_API int dpgen_rollback(void *lmp, int k);
}

#endif
