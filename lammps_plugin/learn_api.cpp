#include "learn_api.h"

#include "fix_dpgen.h"
#include "fix_dpgen_safe.h"
#include "learn_session.h"

#include "ensemble.h"
#include "errors.h"

#include <algorithm>
#include <cstring>
#include <exception>

using namespace LAMMPS_NS;

namespace {

std::string &last_error()
{
  static thread_local std::string text;
  return text;
}

/// Calls `act`; an exception becomes -1 and a message.
template <typename Act> auto guarded(Act act) -> decltype(act())
{
  try {
    last_error().clear();
    return act();
  } catch (const std::exception &caught) {
    last_error() = caught.what();
  } catch (...) {
    last_error() = "unknown error";
  }
  return -1;
}

LearnSession &session_of(void *lmp)
{
  if (!lmp) throw dpgen::InputError("no LAMMPS instance was given");
  return LearnSession::of(static_cast<LAMMPS *>(lmp));
}

FixDpgen &fix_of(void *lmp)
{
  const LearnSession &session = session_of(lmp);
  FixDpgen *fix = session.fix();
  if (!fix) throw dpgen::InputError("the script has no fix dpgen with the id '" + session.fix_id() + "'");
  return *fix;
}

int copy_text(const std::string &text, char *buffer, int size)
{
  if (static_cast<int>(text.size()) >= size)
    throw dpgen::InputError("a buffer of " + std::to_string(size) + " bytes is too small for " +
                            std::to_string(text.size()) + " characters");
  std::memcpy(buffer, text.c_str(), text.size() + 1);
  return 0;
}

}    // namespace

const char *dpgen_last_error()
{
  return last_error().c_str();
}

int dpgen_attach(void *lmp, const char *fix_id, void (*look)(const void *), int (*pause)(const void *))
{
  return guarded([&] {
    if (!lmp || !fix_id || !*fix_id)
      throw dpgen::InputError("attach needs a LAMMPS instance and the id of a fix dpgen");
    LearnSession::attach(static_cast<LAMMPS *>(lmp), fix_id, look, pause);
    return 0;
  });
}

int dpgen_detach(void *lmp)
{
  return guarded([&] {
    session_of(lmp);
    LearnSession::detach(static_cast<LAMMPS *>(lmp));
    return 0;
  });
}

int dpgen_request_pause(void *lmp)
{
  return guarded([&] { return session_of(lmp).request_pause() ? 0 : 1; });
}

int dpgen_drain(void *lmp)
{
  return guarded([&] {
    session_of(lmp).drain();
    return 0;
  });
}

long long dpgen_runs_without_fix(void *lmp)
{
  return guarded([&]() -> long long { return session_of(lmp).runs_without_fix(); });
}

int dpgen_set_every(void *lmp, int n)
{
  return guarded([&] {
    if (n < 1) throw dpgen::InputError("the fix looks every N steps with N >= 1; got " + std::to_string(n));
    fix_of(lmp).set_every(n);
    return 0;
  });
}

int dpgen_lend_models(void *lmp, void *ensemble)
{
  return guarded([&] {
    session_of(lmp).lend_models(ensemble ? static_cast<dpgen::Ensemble *>(ensemble)->shared_from_this() : nullptr);
    return 0;
  });
}

int dpgen_set_trust(void *lmp, double lo, double hi)
{
  return guarded([&] {
    if (!(0.0 < lo && lo < hi))
      throw dpgen::InputError("a trust window has 0 < lo < hi; got " + std::to_string(lo) + " " + std::to_string(hi));
    fix_of(lmp).set_trust(lo, hi);
    return 0;
  });
}

int dpgen_reload_models(void *lmp)
{
  return guarded([&] {
    fix_of(lmp).reload_models();
    session_of(lmp).require_setup();
    return 0;
  });
}

int dpgen_pair_style(void *lmp, char *buffer, int size)
{
  return guarded([&] { return copy_text(session_of(lmp).pair_style(), buffer, size); });
}

int dpgen_pair_commands(void *lmp, char *buffer, int size)
{
  return guarded([&] {
    const std::string lines = session_of(lmp).pair_commands();
    if (static_cast<int>(lines.size()) < size) copy_text(lines, buffer, size);
    return static_cast<int>(lines.size());
  });
}

int dpgen_set_safe_points(void *lmp, int every, int keep)
{
  return guarded([&] {
    session_of(lmp).set_safe_points(every, keep);
    return 0;
  });
}

int dpgen_safe_points(void *lmp, long long *steps, int n)
{
  return guarded([&] {
    const FixDpgenSafe *safe = session_of(lmp).safe_fix();
    if (!safe) return 0;
    const auto all = safe->steps();
    for (int i = 0; i < std::min(n, static_cast<int>(all.size())); ++i) steps[i] = all[i];
    return static_cast<int>(all.size());
  });
}

int dpgen_rollback_refusal(void *lmp, char *buffer, int size)
{
  return guarded([&] {
    const FixDpgenSafe *safe = session_of(lmp).safe_fix();
    return copy_text(safe ? safe->refusal(0) : "no safe point has been taken", buffer, size);
  });
}

int dpgen_rollback(void *lmp, int k)
{
  return guarded([&] {
    session_of(lmp).roll_back(k);
    return 0;
  });
}
