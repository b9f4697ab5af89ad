// fix dpgen: model deviation of an ensemble in the MD loop, frames inside the trust window, clean stops. See
// docs/fix_dpgen.md.
#ifndef LMP_FIX_DPGEN_H
#define LMP_FIX_DPGEN_H

#include "fix.h"

#include <memory>
#include <string>
#include <vector>

namespace dpgen {
class Ensemble;
enum class StopReason;
struct Frame;
struct Look;
}    // namespace dpgen

namespace LAMMPS_NS {

class LookListener;

class FixDpgen : public Fix {
 public:
  FixDpgen(class LAMMPS *, int, char **);
  ~FixDpgen() override;

  int setmask() override;
  void init() override;
  void init_list(int, class NeighList *) override;
  void setup_pre_reverse(int, int) override;
  void setup(int) override;
  void min_setup(int) override;
  void pre_reverse(int, int) override;
  void end_of_step() override;
  void min_post_force(int) override;
  void post_run() override;

  double compute_scalar() override;
  double compute_vector(int) override;
  int modify_param(int, char **) override;
  void write_restart(FILE *) override;
  void restart(char *) override;
  int pack_reverse_comm(int, int, double *) override;
  void unpack_reverse_comm(int, int *, double *) override;
  double memory_usage() override;

  // For the learning run (learn_session.h); all of them are called on all ranks.

  /// Why this fix ended the current run; none if it did not.
  dpgen::StopReason stop_reason() const;
  /// Forgets the stop and lets LAMMPS run on.
  void clear_stop();
  /// Ends the current run after this step, for a reason that is not the fix's own; one of its own comes first.
  void request_stop();
  /// Candidates taken since the last drop_held(); filled on rank 0 while a listener is set.
  const std::vector<dpgen::Frame> &held() const;
  /// Number of held candidates, on every rank.
  int n_held() const;
  /// The frame that failed last, on rank 0 while a listener is set; null if none since drop_held().
  const dpgen::Frame *failed_frame() const;
  /// Candidates that were seen but not kept (min_gap, max_frames) since drop_held().
  long n_dropped() const;
  void drop_held();
  /// The listener hears of every look; null: nobody. Frames are held in memory only for a listener.
  void set_listener(LookListener *);
  /// Looks every n steps from now on; n >= 1. A stride that is adaptive comes back with n = every() as it was.
  void set_every(int n);
  /// Longest interval between two looks.
  int every() const;
  /// Another N: the interval between looks, the shortest one of an adaptive stride.
  void set_shortest(int n);
  /// Another window of max_devi_f (eV/A) from the next look on.
  void set_trust(double lo, double hi);
  /// Opens the models at the same paths again and decides anew at the next setup whether the pair style's forces are
  /// model 1's.
  void reload_models();
  /// SHA-256 of the model files in use, in order.
  const std::vector<std::string> &model_hashes() const;
  /// Elements of the LAMMPS types.
  const std::vector<std::string> &types() const;
  /// Largest difference (eV/Å) between the pair style's forces and model 1's at the last setup; Inf where not compared.
  double driver_difference() const;
  /// Fills a frame with the atoms as they are and the figures of the last look; complete on rank 0 only.
  void gather(dpgen::Frame &frame);

 private:
  struct State;    // hides the core and the standard library from LAMMPS' headers
  std::unique_ptr<State> state_;

  void check_group() const;
  std::shared_ptr<dpgen::Ensemble> open_models() const;
  void choose_models();
  void say_kernel();
  void share_models();
  void request_list();
  void note_driver();
  void forget_spread();
  void plan_next_look();
  bool look_step() const;
  bool due() const;
  bool only_pair_forces() const;
  double shortest_pair_cutoff() const;
  void compare_driver();
  void evaluate(bool at_setup);
  std::string evaluate_own(bool at_setup);
  void evaluate_shared();
  void judge();
  void measure_temperature();
  bool takes_frame() const;
  void collect_frame();
  void conclude();
  void write_row();
  void take_frame();
  void decide_stop();
  dpgen::Look current_look() const;

  void open_files();
  void grow_spread();
  double count_not_finite(const double *values, int n);
  void say_not_finite(int model);
  double force_factor() const;
  double virial_factor() const;
  void to_run_units();
  void to_core_units(dpgen::Frame &frame) const;
  void fail_together(const std::string &message);

  int n_spread_ = 0;    // allocated length of vector_atom
};

}    // namespace LAMMPS_NS

#endif
