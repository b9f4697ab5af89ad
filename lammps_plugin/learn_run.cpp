#include "learn_run.h"

#include "fix_dpgen.h"
#include "learn_session.h"
#include "replica_drivers.h"

#include "pause.h"

#include "domain.h"
#include "error.h"
#include "force.h"
#include "input.h"
#include "modify.h"
#include "timer.h"
#include "update.h"

#include <algorithm>

using namespace LAMMPS_NS;

namespace {

constexpr const char *monitored_drivers[] = {"minimize", "rerun"};
constexpr int n_monitored = sizeof monitored_drivers / sizeof monitored_drivers[0];

using CommandCreator = Command *(*)(LAMMPS *);

Command *create_replicate(LAMMPS *lmp)
{
  return new ReplicateWithoutSafePoints(lmp);
}
Command *create_read_restart(LAMMPS *lmp)
{
  return new RestartWithoutModels(lmp);
}
Command *create_run(LAMMPS *lmp)
{
  return new LearnRun(lmp);
}

/// LAMMPS' creators are plain functions, so that each name needs one of its own.
template <int n> Command *create_refused(LAMMPS *lmp)
{
  return new RefusedDriver(lmp, replica_drivers[n]);
}

constexpr CommandCreator refused_creators[n_replica_drivers] = {create_refused<0>, create_refused<1>, create_refused<2>,
                                                                create_refused<3>, create_refused<4>, create_refused<5>,
                                                                create_refused<6>, create_refused<7>};

template <int n> Command *create_monitored(LAMMPS *lmp)
{
  return new MonitoredDriver(lmp, monitored_drivers[n]);
}

constexpr CommandCreator monitored_creators[n_monitored] = {create_monitored<0>, create_monitored<1>};

const char *yes_no(bool yes)
{
  return yes ? "yes" : "no";
}

/// A run command under way; where LAMMPS throws, it is not under way any more either.
class RunGuard {
 public:
  RunGuard(LearnSession &session, bigint first, bigint last) : session_(session) { session.begin_run(first, last); }
  ~RunGuard() { session_.leave_run(); }
  RunGuard(const RunGuard &) = delete;
  RunGuard &operator=(const RunGuard &) = delete;

 private:
  LearnSession &session_;
};

/// Runs a command as LAMMPS does. After an error it stays, as in LAMMPS: the destructors of some (neb) count on a
/// command that has begun its work.
void call(Command *command, std::vector<std::string> words)
{
  std::vector<char *> args;
  for (std::string &word : words) args.push_back(word.data());
  command->command(static_cast<int>(args.size()), args.data());
  delete command;
}

}    // namespace

std::vector<std::string> LAMMPS_NS::wrapped_command_names()
{
  std::vector<std::string> names(replica_drivers, replica_drivers + n_replica_drivers);
  names.insert(names.end(), monitored_drivers, monitored_drivers + n_monitored);
  names.insert(names.end(), {"replicate", "read_restart", "run"});
  return names;
}

CommandCreator LAMMPS_NS::wrapped_command(const std::string &name)
{
  for (int n = 0; n < n_replica_drivers; ++n)
    if (name == replica_drivers[n]) return refused_creators[n];
  for (int n = 0; n < n_monitored; ++n)
    if (name == monitored_drivers[n]) return monitored_creators[n];
  if (name == "read_restart") return create_read_restart;
  return name == "replicate" ? create_replicate : create_run;
}

/* ---------------------------------------------------------------------- */

std::optional<RunRequest> RunRequest::parse(const std::vector<std::string> &words, LAMMPS *lmp)
{
  if (words.empty()) return std::nullopt;
  const auto number = [lmp](const std::string &word) { return utils::bnumeric(FLERR, word, false, lmp); };
  RunRequest request;
  request.n_steps = number(words[0]);
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string &key = words[i];
    if (key == "upto") {
      request.n_steps -= lmp->update->ntimestep;
      continue;
    }
    if (i + 1 >= words.size()) return std::nullopt;
    const std::string &value = words[++i];
    if (key == "start") request.start = number(value);
    else if (key == "stop") request.stop = number(value);
    else if (key == "pre" || key == "post") {
      if (value != "yes" && value != "no") return std::nullopt;
      (key == "pre" ? request.pre : request.post) = value == "yes";
    } else if (key == "every") {
      request.every = utils::inumeric(FLERR, value, false, lmp);
      request.commands.assign(words.begin() + i + 1, words.end());
      if (request.every <= 0 || request.commands.empty()) return std::nullopt;
      if (request.commands == std::vector<std::string>{"NULL"}) request.commands.clear();
      break;
    } else return std::nullopt;
  }
  if (request.n_steps < 0 || request.n_steps > MAXSMALLINT) return std::nullopt;
  return request;
}

/* ---------------------------------------------------------------------- */

void LearnRun::call_original(LearnSession &session, const std::vector<std::string> &words)
{
  call(session.original_command("run"), words);
}

/* ----------------------------------------------------------------------
   The words are copied: LAMMPS' buffers are overwritten by the commands
   that a controller gives at a pause.
------------------------------------------------------------------------- */

void LearnRun::command(int narg, char **arg)
{
  LearnSession &session = LearnSession::of(lmp);
  const std::vector<std::string> words(arg, arg + narg);
  if (session.ended()) return;

  FixDpgen *fix = session.fix();
  if (!fix || session.paused() || !domain->box_exist || timer->is_timeout()) {
    if (!fix) session.count_run_without_fix();
    call_original(session, words);
    return;
  }
  const auto request = RunRequest::parse(words, lmp);
  if (!request) {
    call_original(session, words);    // says what is wrong
    return;
  }
  const RunGuard guard(session, update->ntimestep, update->ntimestep + request->n_steps);
  if (request->every) run_every(session, *request);
  else run_with_pauses(session, *request, request->n_steps, request->pre, request->post);
  session.note_state();
}

/* ----------------------------------------------------------------------
   start and stop are absolute, so that ramps and elaplong do not notice
   the pauses.
------------------------------------------------------------------------- */

bool LearnRun::run_with_pauses(LearnSession &session, const RunRequest &request, bigint n_steps, bool pre, bool post)
{
  const bigint first = update->ntimestep, last = first + n_steps;
  const std::string start = std::to_string(request.start.value_or(first));
  const std::string stop = std::to_string(request.stop.value_or(last));
  while (true) {
    pre = pre || session.needs_setup();
    session.begin_segment(first, pre);
    call_original(session,
                  {std::to_string(last - update->ntimestep), "start", start, "stop", stop, "pre", yes_no(pre), "post",
                   yes_no(post)});
    if (!session.stop_requested()) return true;
    const PauseOutcome outcome = session.pause();
    if (outcome == PauseOutcome::stopped_by_other) return true;
    if (outcome != PauseOutcome::go_on) return false;
    if (update->ntimestep >= last) return true;
    pre = true;
  }
}

/* ----------------------------------------------------------------------
   "every" as LAMMPS does it: the first part always begins with a setup,
   the last one always ends with the full summary, and a part that a
   timeout has cut short still gets its commands.
------------------------------------------------------------------------- */

void LearnRun::run_every(LearnSession &session, const RunRequest &request)
{
  bigint left = request.n_steps;
  bool first_part = true;
  while (left > 0 || first_part) {
    if (timer->is_timeout()) break;
    const bigint n = std::min<bigint>(left, request.every), first = update->ntimestep;
    if (!run_with_pauses(session, request, n, request.pre || first_part, request.post || left <= n)) return;
    run_commands(request, first);
    left -= n;
    first_part = false;
  }
}

/* ----------------------------------------------------------------------
   The commands see the run that they belong to, so that computes and thermo
   keywords in variables are current.
------------------------------------------------------------------------- */

void LearnRun::run_commands(const RunRequest &request, bigint first)
{
  if (request.commands.empty()) return;
  update->whichflag = 1;
  update->firststep = first;
  update->laststep = update->ntimestep;
  update->beginstep = request.start.value_or(first);
  update->endstep = request.stop.value_or(update->ntimestep);
  modify->clearstep_compute();
  for (const std::string &line : request.commands) input->one(line);
  modify->addstep_compute(update->ntimestep + request.every);
  update->whichflag = 0;
  update->firststep = update->laststep = update->beginstep = update->endstep = 0;
}

/* ---------------------------------------------------------------------- */

void RefusedDriver::command(int narg, char **arg)
{
  LearnSession &session = LearnSession::of(lmp);
  if (session.fix())
    error->all(FLERR,
               "Command {} is not driven by run; a learning run cannot pause it. Remove fix {} before it (unfix), "
               "or run the script without learning",
               name_, session.fix_id());
  call(session.original_command(name_), std::vector<std::string>(arg, arg + narg));
}

/* ---------------------------------------------------------------------- */

void MonitoredDriver::command(int narg, char **arg)
{
  LearnSession &session = LearnSession::of(lmp);
  if (session.ended()) return;
  session.listen();
  call(session.original_command(name_), std::vector<std::string>(arg, arg + narg));
}

/* ---------------------------------------------------------------------- */

void ReplicateWithoutSafePoints::command(int narg, char **arg)
{
  LearnSession &session = LearnSession::of(lmp);
  session.remove_safe_fix();
  call(session.original_command("replicate"), std::vector<std::string>(arg, arg + narg));
}

/* ---------------------------------------------------------------------- */

void RestartWithoutModels::command(int narg, char **arg)
{
  LearnSession &session = LearnSession::of(lmp);
  call(session.original_command("read_restart"), std::vector<std::string>(arg, arg + narg));
  if (session.notes_pair_style(force->pair_style)) force->create_pair("none", 0);
}
