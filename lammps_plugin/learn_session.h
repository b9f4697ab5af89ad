// A learning run of one LAMMPS instance: whom to tell about looks and pauses, and what happens at a pause.
#ifndef LMP_LEARN_SESSION_H
#define LMP_LEARN_SESSION_H

#include "look_listener.h"

#include "pointers.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace dpgen {
class Ensemble;
enum class StopReason;
}    // namespace dpgen

namespace LAMMPS_NS {

class Command;
class FixDpgen;
class FixDpgenSafe;
class Pair;

/// What becomes of a run command after a pause; the numbers are those that the pause hook returns.
enum class PauseOutcome {
  go_on = 0,
  end_run = 1,        ///< the trajectory is set aside: this run command ends here
  end_all = 2,        ///< this and all later run commands end
  error = 3,          ///< the controller failed and has said why
  stopped_by_other    ///< fix halt or the time limit of the script ends the run: nothing (more) is learnt, the run
                      ///< ends as it would without us
};

class LearnSession : public LookListener {
 public:
  using LookHook = void (*)(const void *);
  using PauseHook = int (*)(const void *);

  /// Wraps "run" of this LAMMPS instance; a session that is there already gets the new fix and hooks.
  static LearnSession &attach(LAMMPS *, const std::string &fix_id, LookHook, PauseHook);
  /// Restores LAMMPS' own commands.
  static void detach(LAMMPS *);
  /// Null if nothing is attached.
  static LearnSession *find(LAMMPS *);
  /// Throws dpgen::InputError if nothing is attached.
  static LearnSession &of(LAMMPS *);

  /// LAMMPS' own command of a name that is wrapped here.
  Command *original_command(const std::string &name) const;
  /// LAMMPS' own (or DeePMD's) pair style of a name that is wrapped here; notes the arguments of "pair_style".
  Pair *original_pair(const std::string &name);
  /// Wraps what `clear` has built anew. The plugin is loaded again then, before the next command.
  void after_clear();
  /// Whether a pair style of this name is one whose commands are noted; a null pointer is none.
  bool notes_pair_style(const char *style) const;
  /// Arguments of the pair_style command that made the present pair style; throws dpgen::InputError if unknown.
  std::string pair_style() const;
  /// Commands pair_coeff and pair_modify that the present hybrid pair style was given, a line each; empty for others.
  std::string pair_commands() const;

  const std::string &fix_id() const { return fix_id_; }
  /// The learning fix; null if the script has none now.
  FixDpgen *fix() const;
  /// The fix that holds the safe points; null before the first run.
  FixDpgenSafe *safe_fix() const;
  void remove_safe_fix();
  void set_safe_points(bigint every, int keep);
  /// Back to safe point k; throws dpgen::InputError where that cannot be.
  void roll_back(int k);

  bool paused() const { return paused_; }
  bool ended() const { return ended_; }
  bool needs_setup() const { return needs_setup_; }
  long runs_without_fix() const { return runs_without_fix_; }
  void count_run_without_fix() { ++runs_without_fix_; }
  /// Forces, neighbor lists or the pair style are not those of the last run any more.
  void require_setup() { needs_setup_ = true; }

  /// Before LAMMPS' run: listener and safe points are in place. first, last: of the user's run command.
  void begin_run(bigint first, bigint last);
  /// LAMMPS is about to run the steps after `first`, or what a pause has left of them; with a setup or not.
  void begin_segment(bigint first, bool with_setup);
  void leave_run();
  /// Remembers the atoms as a run command left them, so that changes before the next one are noticed.
  void note_state();
  /// The learning fix, if there is one, tells this session about its looks.
  void listen();
  /// True if the learning fix has ended the run that LAMMPS just left.
  bool stop_requested() const;
  /// The pause between two complete steps. Collective.
  PauseOutcome pause();
  /// Ends the run for a pause without a reason of the fix; false where no run is under way that could pause.
  bool request_pause();
  /// Hands over what is still held when the script is over. Collective; throws dpgen::InputError during a run.
  void drain();

  /// Models of this rank that the learning fix may share; null: none.
  void lend_models(std::shared_ptr<dpgen::Ensemble> models) { lent_models_ = std::move(models); }
  const std::shared_ptr<dpgen::Ensemble> &lent_models() const { return lent_models_; }

  void looked(const dpgen::Look &look) override;

 private:
  explicit LearnSession(LAMMPS *lmp) : lmp_(lmp) {}

  void wrap_commands();
  void wrap_pair_styles();
  void unwrap();
  void place_safe_fix();
  bool other_stop();
  bool time_is_up() const;
  PauseOutcome ask_controller(FixDpgen *, dpgen::StopReason);
  bool state_is_that_of_last_run(const FixDpgenSafe *) const;

  LAMMPS *lmp_;
  std::string fix_id_;
  LookHook look_hook_ = nullptr;
  PauseHook pause_hook_ = nullptr;
  std::map<std::string, Command *(*)(LAMMPS *)> commands_;
  std::map<std::string, Pair *(*)(LAMMPS *)> pairs_;
  std::string pair_line_;
  bool pair_line_known_ = false;
  std::shared_ptr<dpgen::Ensemble> lent_models_;

  bigint first_ = 0, last_ = 0;
  bigint every_ = 0;
  int keep_ = 0;
  bigint end_fingerprint_ = 0;
  bigint last_pause_ = -1;
  int pauses_here_ = 0;
  bool running_ = false, paused_ = false, ended_ = false, needs_setup_ = false;
  long runs_without_fix_ = 0;
};

/// To be called when the plugin is loaded: `clear` has rebuilt the pair styles of an attached instance.
void learn_session_reloaded(LAMMPS *);

}    // namespace LAMMPS_NS

#endif
