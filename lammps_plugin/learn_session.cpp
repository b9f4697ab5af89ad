#include "learn_session.h"

#include "fix_dpgen.h"
#include "fix_dpgen_safe.h"
#include "learn_run.h"
#include "noted_hybrid.h"

#include "errors.h"
#include "pause.h"

#include "comm.h"
#include "error.h"
#include "force.h"
#include "input.h"
#include "modify.h"
#include "pair.h"
#include "timer.h"
#include "update.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <memory>

using namespace LAMMPS_NS;

namespace {

constexpr const char *safe_fix_id = "dpgen_safe_points";
/// A controller that neither learns nor ends would pause at the same step for ever.
constexpr int max_pauses_per_step = 50;

constexpr const char *pair_styles[] = {"deepmd", "hybrid", "hybrid/overlay", "hybrid/scaled"};
constexpr int n_pair_styles = sizeof pair_styles / sizeof pair_styles[0];

/// Never destroyed: at the end of the process the libraries that lent models need are gone already.
std::map<LAMMPS *, std::unique_ptr<LearnSession>> &sessions()
{
  static auto *all = new std::map<LAMMPS *, std::unique_ptr<LearnSession>>;
  return *all;
}

/// LAMMPS' creators are plain functions, so that each style name needs one of its own.
template <int n> Pair *create_noted_pair(LAMMPS *lmp)
{
  return LearnSession::of(lmp).original_pair(pair_styles[n]);
}

using PairCreator = Pair *(*)(LAMMPS *);
constexpr PairCreator noted_pairs[n_pair_styles] = {create_noted_pair<0>, create_noted_pair<1>, create_noted_pair<2>,
                                                    create_noted_pair<3>};

/// `clear` closes plugins; this one must stay in memory while LAMMPS' command table points into it.
void stay_loaded()
{
  Dl_info info;
  if (dladdr(reinterpret_cast<void *>(&stay_loaded), &info))
    dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

/// False where a new LAMMPS instance lies at the address of one that was closed without a detach.
bool run_is_ours(LAMMPS *lmp)
{
  if (!lmp->input || !lmp->input->command_map) return false;
  const auto run = lmp->input->command_map->find("run");
  return run != lmp->input->command_map->end() && run->second == wrapped_command("run");
}

/// Sets a flag for as long as it lives, also where LAMMPS throws.
class FlagGuard {
 public:
  explicit FlagGuard(bool &flag) : flag_(flag) { flag_ = true; }
  ~FlagGuard() { flag_ = false; }
  FlagGuard(const FlagGuard &) = delete;
  FlagGuard &operator=(const FlagGuard &) = delete;

 private:
  bool &flag_;
};

}    // namespace

/* ---------------------------------------------------------------------- */

LearnSession &LearnSession::attach(LAMMPS *lmp, const std::string &fix_id, LookHook look, PauseHook pause)
{
  stay_loaded();
  auto &session = sessions()[lmp];
  if (!session || !run_is_ours(lmp)) session.reset(new LearnSession(lmp));
  session->fix_id_ = fix_id;
  session->look_hook_ = look;
  session->pause_hook_ = pause;
  session->wrap_commands();
  session->wrap_pair_styles();
  return *session;
}

void LearnSession::detach(LAMMPS *lmp)
{
  LearnSession &session = of(lmp);
  if (session.running_) throw dpgen::InputError("a learning run cannot be detached while a run command is under way");
  session.unwrap();
  if (FixDpgen *fix = session.fix()) fix->set_listener(nullptr);
  session.remove_safe_fix();
  sessions().erase(lmp);
}

LearnSession *LearnSession::find(LAMMPS *lmp)
{
  const auto found = sessions().find(lmp);
  return found == sessions().end() ? nullptr : found->second.get();
}

LearnSession &LearnSession::of(LAMMPS *lmp)
{
  LearnSession *session = find(lmp);
  if (!session) throw dpgen::InputError("no learning run is attached to this LAMMPS instance; call dpgen_attach first");
  return *session;
}

void LAMMPS_NS::learn_session_reloaded(LAMMPS *lmp)
{
  LearnSession *session = LearnSession::find(lmp);
  if (session && run_is_ours(lmp)) session->after_clear();
  else sessions().erase(lmp);
}

/* ----------------------------------------------------------------------
   `clear` keeps the table of commands: what is wrapped already stays so.
------------------------------------------------------------------------- */

void LearnSession::wrap_commands()
{
  for (const std::string &name : wrapped_command_names()) {
    const auto entry = lmp_->input->command_map->find(name);
    if (entry == lmp_->input->command_map->end() || entry->second == wrapped_command(name)) continue;
    commands_[name] = entry->second;
    entry->second = wrapped_command(name);
  }
}

void LearnSession::wrap_pair_styles()
{
  for (int n = 0; n < n_pair_styles; ++n) {
    const auto entry = lmp_->force->pair_map->find(pair_styles[n]);
    if (entry == lmp_->force->pair_map->end() || entry->second == noted_pairs[n]) continue;
    pairs_[pair_styles[n]] = entry->second;
    entry->second = noted_pairs[n];
  }
}

void LearnSession::unwrap()
{
  for (const auto &[name, creator] : commands_) (*lmp_->input->command_map)[name] = creator;
  for (int n = 0; n < n_pair_styles; ++n) {
    const auto entry = lmp_->force->pair_map->find(pair_styles[n]);
    if (entry != lmp_->force->pair_map->end() && entry->second == noted_pairs[n])
      entry->second = pairs_.at(pair_styles[n]);
  }
}

Command *LearnSession::original_command(const std::string &name) const
{
  return commands_.at(name)(lmp_);
}

void LearnSession::after_clear()
{
  pair_line_known_ = false;
  wrap_pair_styles();
}

/* ----------------------------------------------------------------------
   While a pair style is made, LAMMPS' input still holds the words of the
   command; a restart file makes pair styles without any.
------------------------------------------------------------------------- */

Pair *LearnSession::original_pair(const std::string &name)
{
  pair_line_.clear();
  pair_line_known_ = lmp_->input->command && std::strcmp(lmp_->input->command, "pair_style") == 0;
  if (pair_line_known_)
    for (int i = 0; i < lmp_->input->narg; ++i) pair_line_ += (i ? " " : "") + std::string(lmp_->input->arg[i]);
  Pair *hybrid = create_noted_hybrid(name, lmp_);
  return hybrid ? hybrid : pairs_.at(name)(lmp_);
}

bool LearnSession::notes_pair_style(const char *style) const
{
  return style && std::any_of(pair_styles, pair_styles + n_pair_styles, [style](const char *noted) {
           return std::strcmp(style, noted) == 0;
         });
}

std::string LearnSession::pair_style() const
{
  if (!lmp_->force->pair) throw dpgen::InputError("no pair style is defined");
  if (pair_line_known_ && notes_pair_style(lmp_->force->pair_style)) return pair_line_;
  throw dpgen::InputError(fmt::format("the arguments of pair style {} are not known: only deepmd and hybrid styles "
                                      "that a pair_style command made after the start of the learning run are noted",
                                      lmp_->force->pair_style ? lmp_->force->pair_style : "none"));
}

std::string LearnSession::pair_commands() const
{
  const auto *noted = dynamic_cast<const NotedCommands *>(lmp_->force->pair);
  std::string lines;
  if (noted)
    for (const std::string &command : noted->commands()) lines += command + "\n";
  return lines;
}

/* ---------------------------------------------------------------------- */

FixDpgen *LearnSession::fix() const
{
  return dynamic_cast<FixDpgen *>(lmp_->modify->get_fix_by_id(fix_id_));
}

FixDpgenSafe *LearnSession::safe_fix() const
{
  return dynamic_cast<FixDpgenSafe *>(lmp_->modify->get_fix_by_id(safe_fix_id));
}

void LearnSession::remove_safe_fix()
{
  if (!safe_fix()) return;
  lmp_->modify->delete_fix(safe_fix_id);
  needs_setup_ = true;
}

void LearnSession::set_safe_points(bigint every, int keep)
{
  if (every < 0 || keep < 0)
    throw dpgen::InputError(
        fmt::format("safe points every {} steps, {} kept; both must be 0 (none) or more", every, keep));
  every_ = every;
  keep_ = keep;
  if (FixDpgenSafe *safe = safe_fix()) safe->configure(every, keep);
}

void LearnSession::roll_back(int k)
{
  if (lmp_->update->whichflag != 0) throw dpgen::InputError("rollback refused: a run or a minimization is under way");
  FixDpgenSafe *safe = safe_fix();
  if (!safe) throw dpgen::InputError("rollback refused: no safe point has been taken");
  safe->restore(k);
  needs_setup_ = true;
  end_fingerprint_ = safe->fingerprint();
}

/* ----------------------------------------------------------------------
   Safe points see a step as it ends, after all other fixes: their fix is
   the last one. Where the script has added fixes, it moves behind them.
------------------------------------------------------------------------- */

void LearnSession::place_safe_fix()
{
  FixDpgenSafe *safe = safe_fix();
  if (safe && lmp_->modify->get_fix_by_index(lmp_->modify->nfix - 1) == safe) return;
  std::shared_ptr<FixDpgenSafe::Ring> ring;
  if (safe) {
    ring = safe->release();
    lmp_->modify->delete_fix(safe_fix_id);
  }
  lmp_->modify->add_fix(fmt::format("{} all dpgen/safe", safe_fix_id));
  safe = safe_fix();
  if (ring) safe->adopt(std::move(ring));
  needs_setup_ = true;    // LAMMPS learns of a new fix at a setup only
}

/* ----------------------------------------------------------------------
   A rollback must not undo what the script did between two run commands.
------------------------------------------------------------------------- */

bool LearnSession::state_is_that_of_last_run(const FixDpgenSafe *safe) const
{
  int changed = safe->fingerprint() != end_fingerprint_, any = 0;
  MPI_Allreduce(&changed, &any, 1, MPI_INT, MPI_MAX, lmp_->world);
  return any == 0;
}

void LearnSession::begin_run(bigint first, bigint last)
{
  wrap_pair_styles();
  running_ = true;
  first_ = first;
  last_ = last;
  place_safe_fix();
  FixDpgenSafe *safe = safe_fix();
  safe->configure(every_, keep_);
  if (!state_is_that_of_last_run(safe)) safe->drop_all();
}

void LearnSession::begin_segment(bigint first, bool with_setup)
{
  if (FixDpgenSafe *safe = safe_fix()) safe->set_first_step(first);
  listen();
  if (with_setup) needs_setup_ = false;
}

void LearnSession::leave_run()
{
  running_ = false;
  if (FixDpgenSafe *safe = safe_fix()) safe->set_first_step(FixDpgenSafe::no_run);
}

void LearnSession::listen()
{
  if (FixDpgen *learning = fix()) learning->set_listener(this);
}

void LearnSession::note_state()
{
  if (const FixDpgenSafe *safe = safe_fix()) end_fingerprint_ = safe->fingerprint();
}

/* ---------------------------------------------------------------------- */

bool LearnSession::stop_requested() const
{
  const FixDpgen *learning = fix();
  return learning && learning->stop_reason() != dpgen::StopReason::none;
}

/* ----------------------------------------------------------------------
   Did fix halt stop the run at the step of our own stop? Both force the
   same flag of the timer, so halt fixes are asked again without ours.
------------------------------------------------------------------------- */

bool LearnSession::other_stop()
{
  const auto halts = lmp_->modify->get_fix_by_style("^halt");
  lmp_->update->whichflag = 1;    // as inside the run: variables may use thermo keywords
  lmp_->update->firststep = first_;
  lmp_->update->laststep = last_;
  for (Fix *halt : halts)
    if (halt->nevery > 0 && lmp_->update->ntimestep % halt->nevery == 0) halt->end_of_step();
  lmp_->update->whichflag = 0;
  lmp_->update->firststep = lmp_->update->laststep = 0;
  if (!lmp_->timer->is_timeout()) return false;
  for (Fix *halt : halts) halt->post_run();    // "error continue" lets later runs go on
  return true;
}

/* ----------------------------------------------------------------------
   The limit of `timer timeout`, which counts pauses too. LAMMPS looks at it
   every so many steps of a run, that is after a pause again; pauses that
   follow each other sooner must not put it off. Rank 0's clock counts.
------------------------------------------------------------------------- */

bool LearnSession::time_is_up() const
{
  Timer *timer = lmp_->timer;
  int up = timer->has_timeout() && timer->get_timeout_remain() <= 0.0;
  MPI_Bcast(&up, 1, MPI_INT, 0, lmp_->world);
  if (!up) return false;
  if (lmp_->comm->me == 0) lmp_->error->warning(FLERR, "Wall time limit reached");
  timer->force_timeout();
  return true;
}

/* ---------------------------------------------------------------------- */

PauseOutcome LearnSession::pause()
{
  FixDpgen *learning = fix();
  const dpgen::StopReason reason = learning->stop_reason();
  learning->clear_stop();
  if (other_stop() || time_is_up()) return PauseOutcome::stopped_by_other;

  pauses_here_ = lmp_->update->ntimestep == last_pause_ ? pauses_here_ + 1 : 1;
  last_pause_ = lmp_->update->ntimestep;
  if (pauses_here_ > max_pauses_per_step)
    lmp_->error->all(FLERR, "Learning run paused {} times at step {} without one step in between", max_pauses_per_step,
                     lmp_->update->ntimestep);

  const PauseOutcome outcome = ask_controller(learning, reason);
  needs_setup_ = true;
  if (outcome == PauseOutcome::error)
    lmp_->error->all(FLERR, "learning run stopped; see the message of the controller");
  if (outcome == PauseOutcome::end_all) {
    ended_ = true;
    lmp_->timer->force_timeout();
    return outcome;
  }
  if (outcome == PauseOutcome::go_on && !fix())
    lmp_->error->all(FLERR, "Fix {} is gone after a pause of the learning run", fix_id_);
  return outcome == PauseOutcome::go_on && time_is_up() ? PauseOutcome::stopped_by_other : outcome;
}

PauseOutcome LearnSession::ask_controller(FixDpgen *learning, dpgen::StopReason reason)
{
  if (!pause_hook_) return PauseOutcome::go_on;
  dpgen::Pause pause;
  pause.reason = reason;
  pause.step = lmp_->update->ntimestep;
  pause.first_step = first_;
  pause.last_step = last_;
  pause.candidates = &learning->held();
  pause.failed = reason == dpgen::StopReason::failed ? learning->failed_frame() : nullptr;
  pause.n_dropped = learning->n_dropped();
  int mine = 0, worst = 0;
  {
    FlagGuard guard(paused_);
    mine = pause_hook_(&pause);
  }
  if (FixDpgen *still = fix()) still->drop_held();
  if (mine < 0 || mine > static_cast<int>(PauseOutcome::error)) mine = static_cast<int>(PauseOutcome::error);
  MPI_Allreduce(&mine, &worst, 1, MPI_INT, MPI_MAX, lmp_->world);
  return static_cast<PauseOutcome>(worst);
}

bool LearnSession::request_pause()
{
  if (!running_ || paused_ || !fix()) return false;
  fix()->request_stop();
  return true;
}

/* ----------------------------------------------------------------------
   After the last run command nobody would ask for the candidates any more.
------------------------------------------------------------------------- */

void LearnSession::drain()
{
  if (running_ || paused_ || lmp_->update->whichflag != 0)
    throw dpgen::InputError("candidates can be drained when the script is over, not in a run");
  FixDpgen *learning = fix();
  if (!learning) return;
  const PauseOutcome outcome = ask_controller(learning, dpgen::StopReason::none);
  needs_setup_ = true;
  if (outcome == PauseOutcome::error) throw dpgen::Error("learning run stopped; see the message of the controller");
}

/* ----------------------------------------------------------------------
   Outside of a user's run command nothing is ended for learning: neither a
   minimization nor a run that the controller does in a pause. The latter is
   not part of the trajectory at all.
------------------------------------------------------------------------- */

void LearnSession::looked(const dpgen::Look &look)
{
  if ((!running_ || paused_) && stop_requested()) fix()->clear_stop();
  if (paused_) return;
  if (running_ && look.frame_class == dpgen::FrameClass::accurate)
    if (FixDpgenSafe *safe = safe_fix()) safe->offer();
  if (look_hook_) look_hook_(&look);
}
