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
/// Gives LAMMPS its own commands back, and lent models to their owner.
DPGEN_API int dpgen_detach(void *lmp);

/// To be called at a look: the run ends after this step and pauses with the reason `requested`, also with `stop never`.
/// Where the fix has a reason of its own at this look, that one holds. Returns 1 and does nothing where there is no run
/// command that could pause, as during minimize and rerun: ask again at a later look.
DPGEN_API int dpgen_request_pause(void *lmp);
/// To be called when the script is over: calls `pause` once with the reason `none` and the candidates that no pause has
/// taken, which are dropped then. What it returns does not matter unless it is 3. Nothing happens without the fix.
DPGEN_API int dpgen_drain(void *lmp);

/// Run commands that were passed on because the script had no fix of that id.
DPGEN_API long long dpgen_runs_without_fix(void *lmp);
/// The learning fix looks every n steps from now on.
DPGEN_API int dpgen_set_every(void *lmp, int n);
/// Models that this rank has loaded already (dpgen::Ensemble *, owned by a shared_ptr), or null. From now on the
/// learning fix shares them, instead of loading its own, whenever it is defined or reloads its models and its files
/// have the same content; until other ones are lent, or null. They serve one LAMMPS instance at a time.
DPGEN_API int dpgen_lend_models(void *lmp, void *ensemble);
/// The trust window of max_devi_f (eV/A) of the learning fix is lo, hi from its next look on.
DPGEN_API int dpgen_set_trust(void *lmp, double lo, double hi);
/// The learning fix loads its models again from the same paths.
DPGEN_API int dpgen_reload_models(void *lmp);
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
