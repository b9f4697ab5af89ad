// The face of fix dpgen that a learning run uses.
#include "fix_dpgen_state.h"

#include "frame_gather.h"
#include "look_listener.h"

#include "comm.h"
#include "error.h"
#include "timer.h"
#include "update.h"

using namespace LAMMPS_NS;
using dpgen::StopReason;

/* ---------------------------------------------------------------------- */

dpgen::Look FixDpgen::current_look() const
{
  const State &s = *state_;
  dpgen::Look look;
  look.step = update->ntimestep;
  look.last_step = update->endstep;
  look.time = (update->atime + (update->ntimestep - update->atimestep) * update->dt) * s.units.time;
  look.temperature = s.temperature;
  look.seconds = s.look_seconds;
  dpgen::Frame converted;
  converted.deviation = s.deviation;
  to_core_units(converted);
  look.deviation = converted.deviation;
  look.frame_class = s.frame_class;
  look.trust = s.options.trust;
  look.trust.force = {s.options.trust.force.lo * force_factor(), s.options.trust.force.hi * force_factor()};
  if (look.trust.virial)
    look.trust.virial = {s.options.trust.virial->lo * virial_factor(), s.options.trust.virial->hi * virial_factor()};
  return look;
}

/* ---------------------------------------------------------------------- */

StopReason FixDpgen::stop_reason() const
{
  return state_->stop;
}

void FixDpgen::clear_stop()
{
  state_->stop = StopReason::none;
  timer->reset_timeout();
}

void FixDpgen::request_stop()
{
  if (state_->stop == StopReason::none) state_->stop = StopReason::requested;
  timer->force_timeout();
}

const std::vector<dpgen::Frame> &FixDpgen::held() const
{
  return state_->held;
}

int FixDpgen::n_held() const
{
  return state_->n_held;
}

const dpgen::Frame *FixDpgen::failed_frame() const
{
  return state_->failed ? &*state_->failed : nullptr;
}

long FixDpgen::n_dropped() const
{
  return state_->n_dropped_since;
}

void FixDpgen::drop_held()
{
  state_->held.clear();
  state_->n_held = 0;
  state_->failed.reset();
  state_->n_dropped_since = 0;
}

void FixDpgen::set_listener(LookListener *listener)
{
  state_->listener = listener;
}

void FixDpgen::set_every(int n)
{
  if (n < 1) error->all(FLERR, "Fix dpgen {}: looks every {} steps; N must be at least 1", id, n);
  state_->plan->set_every(n);
  if (!state_->plan->adaptive()) peratom_freq = n;
}

void FixDpgen::set_shortest(int n)
{
  if (n < 1) error->all(FLERR, "Fix dpgen {}: looks every {} steps; N must be at least 1", id, n);
  state_->plan->set_shortest(n);
  peratom_freq = n;
}

void FixDpgen::set_trust(double lo, double hi)
{
  if (!(0.0 < lo && lo < hi))
    error->all(FLERR, "Fix dpgen {}: trust window {} {} eV/A; lo must be above 0 and below hi", id, lo, hi);
  state_->options.trust.force = {lo / force_factor(), hi / force_factor()};
}

int FixDpgen::every() const
{
  return state_->plan->every();
}

const std::vector<std::string> &FixDpgen::model_hashes() const
{
  return state_->runner->ensemble().hashes();
}

double FixDpgen::driver_difference() const
{
  return state_->driver.difference();
}

const std::vector<std::string> &FixDpgen::types() const
{
  return state_->options.types;
}

void FixDpgen::gather(dpgen::Frame &frame)
{
  const State &s = *state_;
  frame = dpgen::Frame();
  gather_frame(lmp, vector_atom, s.options.types, frame);
  frame.temperature = s.temperature;
  frame.deviation = s.deviation;
  frame.frame_class = s.frame_class;
  frame.fix_id = id;
  frame.model_hashes = s.runner->ensemble().hashes();
  to_core_units(frame);
}
