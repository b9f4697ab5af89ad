// Whose models fix dpgen uses: its own, those of a pair style dpgen, or those that a learning run has lent.
#include "fix_dpgen_state.h"

#include "learn_session.h"
#include "model_files.h"
#include "pair_dpgen.h"

#include "comm.h"
#include "update.h"
#include "utils.h"

using namespace LAMMPS_NS;

/* ----------------------------------------------------------------------
   The models of this rank: those that the learning run has lent, if they
   are the same, else loaded from their files. Models remember their
   neighbor list from one step to the next: nobody else may use them.
   Collective.
------------------------------------------------------------------------- */

std::shared_ptr<dpgen::Ensemble> FixDpgen::open_models() const
{
  return open_alike(lmp, state_->options.kernel, [this](dpgen::Kernel kernel) -> std::shared_ptr<dpgen::Ensemble> {
    const State &s = *state_;
    const LearnSession *session = LearnSession::find(lmp);
    auto lent = session && session->fix_id() == id ? session->lent_models() : nullptr;
    for (const PairDpgen *pair : PairDpgen::all_in(lmp))
      if (pair->runner() && pair->runner()->shared_ensemble() == lent) lent.reset();
    if (lent && serves_kernel(*lent, kernel) && have_content(*lent, s.options.models)) return lent;
    dpgen::EnsembleOptions options;
    options.device = s.device;
    options.kernel = kernel;
    return dpgen::load_ensemble(s.options.models, options);
  });
}

/* ----------------------------------------------------------------------
   A pair style with the same models has loaded them already. Whether it
   evaluates them for all atoms shows at the next init().
------------------------------------------------------------------------- */

void FixDpgen::choose_models()
{
  State &s = *state_;
  std::shared_ptr<EnsembleRunner> same;
  for (const PairDpgen *pair : PairDpgen::all_in(lmp)) {
    const auto &runner = pair->runner();
    if (runner && runner->types() == s.options.types && have_content(runner->ensemble(), s.options.models)) {
      same = runner;
      break;
    }
  }
  if (all_ranks(lmp, same != nullptr)) {
    s.runner = same;
    return;
  }
  s.runner = std::make_shared<EnsembleRunner>(lmp, open_models(), s.options.types);
  say_kernel();
}

/* ----------------------------------------------------------------------
   Once, and again where it has changed. Models of the pair style are told
   of by that.
------------------------------------------------------------------------- */

void FixDpgen::say_kernel()
{
  State &s = *state_;
  const std::string kernel = s.runner->ensemble().kernel();
  if (s.options.kernel == dpgen::Kernel::deepmd || kernel == s.kernel_said) return;
  s.kernel_said = kernel;
  if (comm->me == 0) utils::logmesg(lmp, "Fix dpgen {}: {}\n", id, kernel);
}

/* ----------------------------------------------------------------------
   Where the pair style evaluates the very same models for all atoms that
   they see, all that is left to do is the spread. Otherwise nobody shares.
------------------------------------------------------------------------- */

void FixDpgen::share_models()
{
  State &s = *state_;
  bool shared = false;
  s.shares = false;
  for (PairDpgen *pair : PairDpgen::all_in(lmp)) {
    if (!pair->runner()) continue;
    if (pair->serves(model_hashes(), s.options.types)) {
      s.runner = pair->runner();
      s.shares = true;
      pair->add_plan(s.plan);
      return;
    }
    shared = shared || pair->runner()->shared_ensemble() == s.runner->shared_ensemble();
  }
  if (!shared) return;
  std::string message;
  try {
    s.runner = std::make_shared<EnsembleRunner>(lmp, open_models(), s.options.types);
  } catch (const std::exception &caught) {
    message = caught.what();
  }
  fail_together(message);
}

/* ---------------------------------------------------------------------- */

void FixDpgen::reload_models()
{
  State &s = *state_;
  for (PairDpgen *pair : PairDpgen::all_in(lmp)) pair->reload_models();
  NeighList *list = s.shares ? nullptr : s.runner->list();
  std::string message;
  try {
    choose_models();
    if (3 * s.runner->n_models() != comm_reverse) throw dpgen::ModelError("another number of models after a reload");
  } catch (const std::exception &caught) {
    message = caught.what();
  }
  fail_together(message);
  if (!s.runner->list()) s.runner->use_list(list);
  s.captured = false;
  s.last_look = -1;    // the frame at hand is looked at again, with the new models
}
