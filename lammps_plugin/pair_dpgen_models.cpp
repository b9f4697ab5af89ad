// The models of pair style dpgen: commands, files, restarts, and who shares them.
#include "pair_dpgen_state.h"

#include "fail_together.h"
#include "learn_session.h"
#include "model_files.h"
#include "node_rank.h"

#include "errors.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "utils.h"

#include <algorithm>

using namespace LAMMPS_NS;

/* ---------------------------------------------------------------------- */

void PairDpgen::settings(int narg, char **arg)
{
  state_->restarted_hashes.clear();
  set_models(std::vector<std::string>(arg, arg + narg));
}

/* ----------------------------------------------------------------------
   Also where the style is set once more: the elements of pair_coeff stay.
   Fixes that share the old models keep those until they are initialized.
------------------------------------------------------------------------- */

void PairDpgen::set_models(const std::vector<std::string> &words)
{
  State &s = *state_;
  std::string message;
  try {
    s.options = PairDpgenOptions::parse(words);
    s.ensemble = open_models();
  } catch (const std::exception &caught) {
    message = caught.what();
  }
  fail_together(lmp, "Pair style dpgen", message);
  say_kernel();
  s.runner.reset();
  if (!s.elements.empty()) set_types(s.elements);
}

/* ----------------------------------------------------------------------
   Those that the learning run has lent, if they are the same, else loaded
   from their files. A kernel that is asked for by name is this style's own.
   Collective.
------------------------------------------------------------------------- */

std::shared_ptr<dpgen::Ensemble> PairDpgen::open_models() const
{
  const State &s = *state_;
  const int device = rank_on_node(world);    // asks all ranks
  return open_alike(lmp, s.options.kernel, [&](dpgen::Kernel kernel) -> std::shared_ptr<dpgen::Ensemble> {
    const LearnSession *session = LearnSession::find(lmp);
    const auto lent = session && s.options.any_kernel() ? session->lent_models() : nullptr;
    if (lent && serves_kernel(*lent, kernel) && have_content(*lent, s.options.models)) return lent;
    dpgen::EnsembleOptions options;
    options.device = device;
    options.kernel = kernel;
    options.precision = s.options.precision;
    return dpgen::load_ensemble(s.options.models, options, 1);
  });
}

void PairDpgen::say_kernel() const
{
  const State &s = *state_;
  const int n = s.ensemble->n_models();
  const std::string who = s.options.lead == PairDpgenOptions::mean && n > 1
      ? "the mean of all"
      : "model " + std::to_string(std::max(0, s.options.lead) + 1);
  if (comm->me == 0)
    utils::logmesg(lmp, "Pair style dpgen: {} model{}, {} drives the atoms; {}\n", n, n == 1 ? "" : "s", who,
                   s.ensemble->kernel());
}

/* ----------------------------------------------------------------------
   pair_coeff * * element_1 ... element_N
   In a hybrid style the pairs of a NULL type are left to other styles.
------------------------------------------------------------------------- */

void PairDpgen::coeff(int narg, char **arg)
{
  State &s = *state_;
  const int n = atom->ntypes;
  if (narg != 2 + n || std::string(arg[0]) != "*" || std::string(arg[1]) != "*")
    error->all(FLERR,
               "Pair style dpgen: pair_coeff needs '* *' and one element (or NULL) per LAMMPS atom type, {} here, such "
               "as 'pair_coeff * * {}'; got '{}'",
               n, n == 1 ? "Al" : "Al Mg", utils::join_words(std::vector<std::string>(arg, arg + narg), " "));
  load_restarted();
  if (!s.ensemble) error->all(FLERR, "Pair style dpgen: pair_coeff without models; the pair_style command failed");
  set_types(std::vector<std::string>(arg + 2, arg + narg));
}

void PairDpgen::set_types(const std::vector<std::string> &elements)
{
  State &s = *state_;
  std::string message;
  try {
    s.runner = std::make_shared<EnsembleRunner>(lmp, s.ensemble, elements, "pair_coeff");
    s.runner->use_list(list);    // LAMMPS hands it out once, as long as it serves
  } catch (const std::exception &caught) {
    message = caught.what();
  }
  fail_together(lmp, "Pair style dpgen", message);
  s.elements = elements;
  if (!allocated) allocate();
  const bool hybrid = utils::strmatch(force->pair_style ? force->pair_style : "", "^hybrid");
  for (int i = 1; i <= atom->ntypes; ++i)
    for (int j = i; j <= atom->ntypes; ++j) setflag[i][j] = !hybrid || (s.runner->sees(i) && s.runner->sees(j));
}

/* ----------------------------------------------------------------------
   Other content at the same paths, in place: the fixes that share the
   models get the new ones, too.
------------------------------------------------------------------------- */

void PairDpgen::reload_models()
{
  State &s = *state_;
  if (!s.ensemble) return;
  std::string message;
  try {
    if (!all_ranks(lmp, have_content(*s.ensemble, s.options.models))) {
      std::shared_ptr<dpgen::Ensemble> fresh = open_models();
      if (s.runner) s.runner->replace(fresh);
      s.ensemble = std::move(fresh);
    }
  } catch (const std::exception &caught) {
    message = caught.what();
  }
  fail_together(lmp, "Pair style dpgen", message);
}

/* ---------------------------------------------------------------------- */

std::vector<PairDpgen *> PairDpgen::all_in(LAMMPS *lmp)
{
  std::vector<PairDpgen *> found;
  if (!lmp->force->pair) return found;
  // The first one, if it is the only one; several sub-styles of a hybrid style are numbered from 1.
  Pair *pair = lmp->force->pair_match("dpgen", 1, 0);
  for (int k = 1; pair; ++k) {
    auto *style = dynamic_cast<PairDpgen *>(pair);
    if (!style || std::find(found.begin(), found.end(), style) != found.end()) break;
    found.push_back(style);
    pair = lmp->force->pair_match("dpgen", 1, k);
  }
  if (found.empty())
    for (int k = 1; (pair = lmp->force->pair_match("dpgen", 1, k)); ++k)
      if (auto *style = dynamic_cast<PairDpgen *>(pair)) found.push_back(style);
  return found;
}

const std::shared_ptr<EnsembleRunner> &PairDpgen::runner() const
{
  return state_->runner;
}

bool PairDpgen::serves(const std::vector<std::string> &hashes, const std::vector<std::string> &types) const
{
  const State &s = *state_;
  if (!s.runner || s.elements != types || s.runner->ensemble().hashes() != hashes) return false;
  const int n = atom->ntypes;
  for (int i = 1; i <= n; ++i)
    for (int j = 1; j <= n; ++j)
      if (s.runner->sees(i) && s.runner->sees(j) && !s.covered[static_cast<std::size_t>(i) * (n + 1) + j]) return false;
  return true;
}

void PairDpgen::add_plan(const std::shared_ptr<const dpgen::LookPlan> &plan)
{
  state_->plans.push_back(plan);
}

/* ----------------------------------------------------------------------
   A restart file holds the words of the commands and the hashes of the
   models. The files are opened when they are needed: another pair_style
   command may come first.
------------------------------------------------------------------------- */

namespace {

void write_words(FILE *file, const std::vector<std::string> &words)
{
  const int n = static_cast<int>(words.size());
  fwrite(&n, sizeof n, 1, file);
  for (const std::string &word : words) {
    const int length = static_cast<int>(word.size());
    fwrite(&length, sizeof length, 1, file);
    fwrite(word.data(), 1, length, file);
  }
}

std::vector<std::string> read_words(FILE *file, LAMMPS *lmp)
{
  const auto read = [&](void *to, int size) {
    if (lmp->comm->me == 0) utils::sfread(FLERR, to, 1, size, file, nullptr, lmp->error);
    MPI_Bcast(to, size, MPI_CHAR, 0, lmp->world);
  };
  int n = 0;
  read(&n, sizeof n);
  std::vector<std::string> words(n);
  for (std::string &word : words) {
    int length = 0;
    read(&length, sizeof length);
    word.resize(length);
    read(word.data(), length);
  }
  return words;
}

}    // namespace

void PairDpgen::write_restart(FILE *file)
{
  write_restart_settings(file);
  write_words(file, state_->elements);
}

void PairDpgen::read_restart(FILE *file)
{
  read_restart_settings(file);
  state_->elements = read_words(file, lmp);
  allocate();
  for (int i = 1; i <= atom->ntypes; ++i) std::fill_n(setflag[i], atom->ntypes + 1, 1);
}

void PairDpgen::write_restart_settings(FILE *file)
{
  const State &s = *state_;
  write_words(file, s.options.words());
  write_words(file, s.ensemble ? s.ensemble->hashes() : s.restarted_hashes);
}

void PairDpgen::read_restart_settings(FILE *file)
{
  State &s = *state_;
  s.options = PairDpgenOptions::parse(read_words(file, lmp));
  s.restarted_hashes = read_words(file, lmp);
}

void PairDpgen::load_restarted()
{
  State &s = *state_;
  if (s.ensemble || s.options.models.empty()) return;
  set_models(s.options.words());
  if (!s.restarted_hashes.empty() && s.ensemble->hashes() != s.restarted_hashes && comm->me == 0)
    error->warning(FLERR,
                   "Pair style dpgen: model files have other content than those that the restart file was "
                   "written with");
  s.restarted_hashes.clear();
}
