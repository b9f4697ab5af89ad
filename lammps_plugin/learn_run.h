// The command "run" of a learning run, which pauses between two complete steps and goes on; and the commands that drive
// atoms without it, which are monitored or refused.
#ifndef LMP_LEARN_RUN_H
#define LMP_LEARN_RUN_H

#include "command.h"

#include <optional>
#include <string>
#include <vector>

namespace LAMMPS_NS {

class LearnSession;

/// What a user's run command asks for.
struct RunRequest {
  bigint n_steps = 0;
  std::optional<bigint> start, stop;
  bool pre = true, post = true;
  int every = 0;    ///< 0: no "every"
  std::vector<std::string> commands;

  /// Nothing where the words are not LAMMPS' syntax: LAMMPS itself shall say so. Throws LAMMPS' error for a bad number.
  static std::optional<RunRequest> parse(const std::vector<std::string> &words, LAMMPS *lmp);
};

class LearnRun : public Command {
 public:
  explicit LearnRun(LAMMPS *lmp) : Command(lmp) {}
  void command(int narg, char **arg) override;

 private:
  /// One run of LAMMPS with all its pauses. False if the controller ended it.
  bool run_with_pauses(LearnSession &, const RunRequest &, bigint n_steps, bool pre, bool post);
  void run_every(LearnSession &, const RunRequest &);
  void run_commands(const RunRequest &, bigint first);
  void call_original(LearnSession &, const std::vector<std::string> &words);
};

/// A command that drives atoms in its own way: an error while a learning fix is defined.
class RefusedDriver : public Command {
 public:
  RefusedDriver(LAMMPS *lmp, std::string name) : Command(lmp), name_(std::move(name)) {}
  void command(int narg, char **arg) override;

 private:
  std::string name_;
};

/// Minimization and rerun: their looks are heard, but they are never ended for learning.
class MonitoredDriver : public Command {
 public:
  MonitoredDriver(LAMMPS *lmp, std::string name) : Command(lmp), name_(std::move(name)) {}
  void command(int narg, char **arg) override;

 private:
  std::string name_;
};

/// LAMMPS replicates no atoms while a fix keeps arrays per atom, and the safe points would be of no use afterwards.
class ReplicateWithoutSafePoints : public Command {
 public:
  explicit ReplicateWithoutSafePoints(LAMMPS *lmp) : Command(lmp) {}
  void command(int narg, char **arg) override;
};

/// A restart file makes the pair style anew without its models, and a pair_style command of the same name would be
/// taken for new settings of it, which nobody could repeat at a swap. It is removed: the script has to name the models
/// anyway.
class RestartWithoutModels : public Command {
 public:
  explicit RestartWithoutModels(LAMMPS *lmp) : Command(lmp) {}
  void command(int narg, char **arg) override;
};

/// Names of the commands that a learning run replaces, and their replacements.
std::vector<std::string> wrapped_command_names();
Command *(*wrapped_command(const std::string &name))(LAMMPS *);

}    // namespace LAMMPS_NS

#endif
