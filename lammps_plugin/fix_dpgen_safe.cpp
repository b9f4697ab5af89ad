#include "fix_dpgen_safe.h"

#include "errors.h"

#include "atom.h"
#include "comm.h"
#include "command.h"
#include "domain.h"
#include "error.h"
#include "input.h"
#include "modify.h"
#include "update.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>

using namespace LAMMPS_NS;
using namespace FixConst;

namespace {

/// Doubles per atom and safe point: the point's serial number, x, v, type, image, charge.
constexpr int slot_width = 10;

/// What LAMMPS would write to a restart file for one fix; the bytes are on rank 0.
struct FixRecord {
  std::string id, style;
  std::vector<char> bytes;
};

struct Box {
  double lo[3], hi[3], xy, xz, yz;
};

struct SafePoint {
  bigint step;
  double serial;    // marks the rows that belong to this point; a created atom has none
  int slot;
  Box box;
  bigint natoms, nbonds, nangles, ndihedrals, nimpropers;
  std::vector<FixRecord> fixes;
};

/// Fixes whose action cannot be taken back, by the beginning of their style name.
struct Irreversible {
  const char *style, *reason;
};
constexpr Irreversible irreversible[] = {
    {"deform", "it sets the box from the step number"},
    {"move", "it sets positions from the step number"},
    {"bond/", "it changes the topology"},
    {"rigid", "the state of the rigid bodies cannot be rewound"},
    {"poems", "the state of the rigid bodies cannot be rewound"},
    {"colvars", "the bias lives outside LAMMPS"},
    {"plumed", "the bias lives outside LAMMPS"},
    {"pimd", "the beads live in several partitions"},
    {"ipi", "the trajectory is driven from outside LAMMPS"},
    {"mdi", "the trajectory is driven from outside LAMMPS"},
    {"hyper", "its bias counts events"},
    {"qtb", "its noise has a memory that cannot be rewound"},
    {"qbmsst", "its noise has a memory that cannot be rewound"},
    {"neb", "it belongs to several partitions"},
};

/// State per atom that does not change while atoms move, so that it need not be rewound.
constexpr const char *constant_per_atom[] = {"STORE/ATOM", "STORE/PERATOM", "spring/self", "store/state",
                                             "property/atom"};

/// Monte Carlo and insertion fixes compare the step in their state with the current one, and need not repeat their
/// random numbers; averages keep the discarded interval.
constexpr const char *not_rewound[] = {
    "gcmc",    "widom", "atom/swap", "mol/swap",          "neighbor/swap", "sgcmc", "mixed/swap",
    "deposit", "pour",  "ave/",      "charge/regulation", "evaporate",     "dpgen"};

bool begins_with(const char *style, const char *begin)
{
  return std::strncmp(style, begin, std::strlen(begin)) == 0;
}

template <std::size_t N> bool listed(const char *style, const char *const (&list)[N])
{
  return std::any_of(std::begin(list), std::end(list),
                     [style](const char *begin) { return begins_with(style, begin); });
}

/// The data that a fix would put into a restart file (without the leading size), on rank 0. Collective.
std::vector<char> restart_bytes(Fix *fix, bool writer)
{
  char *text = nullptr;
  std::size_t length = 0;
  FILE *file = writer ? open_memstream(&text, &length) : nullptr;
  fix->write_restart(file);
  std::vector<char> bytes;
  if (!writer) return bytes;
  fclose(file);
  if (length > sizeof(int)) bytes.assign(text + sizeof(int), text + length);
  std::free(text);
  return bytes;
}

}    // namespace

struct FixDpgenSafe::Ring {
  bigint every = 0;
  int keep = 0;
  double next_serial = 1.0;
  std::deque<SafePoint> points;    // newest first
  std::vector<double> rows;        // nmax * width()

  int width() const { return keep * slot_width; }
  double *row(int i) { return rows.data() + static_cast<std::size_t>(i) * width(); }
  const double *row(int i) const { return rows.data() + static_cast<std::size_t>(i) * width(); }

  int free_slot() const
  {
    for (int slot = 0; slot < keep; ++slot)
      if (std::none_of(points.begin(), points.end(), [slot](const SafePoint &p) { return p.slot == slot; }))
        return slot;
    return 0;
  }
};

/* ---------------------------------------------------------------------- */

FixDpgenSafe::FixDpgenSafe(LAMMPS *lmp, int narg, char **arg) : Fix(lmp, narg, arg), ring_(std::make_shared<Ring>())
{
  if (narg != 3) error->all(FLERR, "Fix dpgen/safe takes no arguments; it belongs to the learning run");
  nevery = 1;
  grow_arrays(atom->nmax);
  atom->add_callback(Atom::GROW);
}

/* ---------------------------------------------------------------------- */

FixDpgenSafe::~FixDpgenSafe()
{
  if (atom) atom->delete_callback(id, Atom::GROW);
}

/* ---------------------------------------------------------------------- */

int FixDpgenSafe::setmask()
{
  return END_OF_STEP;
}

/* ----------------------------------------------------------------------
   After a pause the rest of a run is a run command of its own for LAMMPS;
   "elapsed" goes on counting from the user's.
------------------------------------------------------------------------- */

void FixDpgenSafe::init()
{
  if (first_step_ != no_run && update->whichflag == 1) update->firststep = std::min(first_step_, update->ntimestep);
}

/* ---------------------------------------------------------------------- */

void FixDpgenSafe::setup(int)
{
  end_of_step();
}

/* ----------------------------------------------------------------------
   As the last fix of the list, after those that change velocities or the
   box at the end of a step.
------------------------------------------------------------------------- */

void FixDpgenSafe::end_of_step()
{
  if (!offered_) return;
  offered_ = false;
  const Ring &ring = *ring_;
  if (ring.keep < 1 || ring.every < 1) return;
  if (ring.points.empty() || update->ntimestep - ring.points.front().step >= ring.every) take();
}

/* ---------------------------------------------------------------------- */

void FixDpgenSafe::take()
{
  Ring &ring = *ring_;
  if (static_cast<int>(ring.points.size()) >= ring.keep) ring.points.pop_back();
  SafePoint point{update->ntimestep,
                  ring.next_serial++,
                  ring.free_slot(),
                  {{domain->boxlo[0], domain->boxlo[1], domain->boxlo[2]},
                   {domain->boxhi[0], domain->boxhi[1], domain->boxhi[2]},
                   domain->xy,
                   domain->xz,
                   domain->yz},
                  atom->natoms,
                  atom->nbonds,
                  atom->nangles,
                  atom->ndihedrals,
                  atom->nimpropers,
                  {}};
  for (int i = 0; i < atom->nlocal; ++i) {
    double *row = ring.row(i) + point.slot * slot_width;
    row[0] = point.serial;
    std::copy_n(atom->x[i], 3, row + 1);
    std::copy_n(atom->v[i], 3, row + 4);
    row[7] = atom->type[i];
    row[8] = ubuf(atom->image[i]).d;
    row[9] = atom->q_flag ? atom->q[i] : 0.0;
  }
  for (Fix *fix : modify->get_fix_list())
    if (fix->restart_global && !listed(fix->style, not_rewound))
      point.fixes.push_back({fix->id, fix->style, restart_bytes(fix, comm->me == 0)});
  ring.points.push_front(std::move(point));
}

/* ---------------------------------------------------------------------- */

void FixDpgenSafe::configure(bigint every, int keep)
{
  Ring &ring = *ring_;
  ring.every = every;
  if (keep == ring.keep) return;
  ring.points.clear();
  ring.keep = keep;
  maxexchange = ring.width();
  grow_arrays(atom->nmax);
}

/* ---------------------------------------------------------------------- */

std::vector<bigint> FixDpgenSafe::steps() const
{
  std::vector<bigint> steps;
  for (const SafePoint &point : ring_->points) steps.push_back(point.step);
  return steps;
}

/* ---------------------------------------------------------------------- */

void FixDpgenSafe::drop_all()
{
  ring_->points.clear();
}

/* ---------------------------------------------------------------------- */

std::string FixDpgenSafe::refusal(int k) const
{
  const Ring &ring = *ring_;
  const int n = static_cast<int>(ring.points.size());
  if (n == 0) return "no safe point has been taken in this run";
  if (k < 0 || k >= n) return fmt::format("there is no safe point {}; {} are held, 0 is the newest", k, n);
  const SafePoint &point = ring.points[k];

  for (const Fix *fix : modify->get_fix_list()) {
    for (const Irreversible &entry : irreversible)
      if (begins_with(fix->style, entry.style))
        return fmt::format("fix {} (style {}) cannot be rewound: {}", fix->id, fix->style, entry.reason);
    if (fix->restart_peratom && !listed(fix->style, constant_per_atom))
      return fmt::format("fix {} (style {}) cannot be rewound: it keeps a state per atom", fix->id, fix->style);
  }
  const Atom &a = *atom;
  if (a.omega_flag || a.angmom_flag || a.ellipsoid_flag || a.line_flag || a.tri_flag || a.body_flag || a.mu_flag ||
      a.sp_flag || a.spin_flag || a.ervel_flag || a.cs_flag || a.rho_flag || a.esph_flag || a.dpd_flag || a.edpd_flag ||
      a.tdpd_flag || a.peri_flag || a.smd_flag || a.damage_flag || a.temperature_flag || a.rheo_status_flag)
    return fmt::format("atom style {} has more dynamic state than positions and velocities", a.atom_style);
  if (a.nbonds != point.nbonds || a.nangles != point.nangles || a.ndihedrals != point.ndihedrals ||
      a.nimpropers != point.nimpropers)
    return fmt::format("the topology changed since step {}", point.step);

  bigint mine = 0, all = 0;
  for (int i = 0; i < a.nlocal; ++i)
    if (ring.row(i)[point.slot * slot_width] == point.serial) ++mine;
  bigint counts[2] = {mine, a.nlocal}, totals[2];
  MPI_Allreduce(counts, totals, 2, MPI_LMP_BIGINT, MPI_SUM, world);
  all = totals[1];
  if (all != point.natoms || totals[0] != point.natoms)
    return fmt::format("atoms were created or lost since step {}: {} atoms then, {} now, {} of them the same",
                       point.step, point.natoms, all, totals[0]);
  return "";
}

/* ---------------------------------------------------------------------- */

void FixDpgenSafe::restore(int k)
{
  const std::string reason = refusal(k);
  if (!reason.empty()) throw dpgen::InputError("rollback refused: " + reason);
  Ring &ring = *ring_;
  const SafePoint &point = ring.points[k];

  std::copy_n(point.box.lo, 3, domain->boxlo);
  std::copy_n(point.box.hi, 3, domain->boxhi);
  domain->xy = point.box.xy;
  domain->xz = point.box.xz;
  domain->yz = point.box.yz;
  domain->set_global_box();
  domain->set_local_box();
  for (int i = 0; i < atom->nlocal; ++i) {
    const double *row = ring.row(i) + point.slot * slot_width;
    std::copy_n(row + 1, 3, atom->x[i]);
    std::copy_n(row + 4, 3, atom->v[i]);
    std::fill_n(atom->f[i], 3, 0.0);
    atom->type[i] = static_cast<int>(row[7]);
    atom->image[i] = static_cast<imageint>(ubuf(row[8]).i);
    if (atom->q_flag) atom->q[i] = row[9];
  }

  // Atoms may belong to far ranks now. A displacement by nothing sends them there, which setup() cannot: it knows
  // neighbors only.
  std::unique_ptr<Command> displace(input->command_map->at("displace_atoms")(lmp));
  std::vector<std::string> words{"all", "move", "0", "0", "0", "units", "box"};
  std::vector<char *> args;
  for (std::string &word : words) args.push_back(word.data());
  displace->command(static_cast<int>(args.size()), args.data());

  for (const FixRecord &record : point.fixes) {
    Fix *fix = modify->get_fix_by_id(record.id);
    if (!fix || record.style != fix->style) continue;
    std::vector<char> bytes = record.bytes;
    int length = static_cast<int>(bytes.size());
    MPI_Bcast(&length, 1, MPI_INT, 0, world);
    if (length == 0) continue;
    bytes.resize(length);
    MPI_Bcast(bytes.data(), length, MPI_CHAR, 0, world);
    fix->restart(bytes.data());
  }
  ring.points.erase(ring.points.begin(), ring.points.begin() + k);
}

/* ----------------------------------------------------------------------
   FNV-1a over the bytes of what a user's command between two runs could
   have changed.
------------------------------------------------------------------------- */

bigint FixDpgenSafe::fingerprint() const
{
  std::uint64_t hash = 14695981039346656037ULL;
  const auto add = [&hash](const void *data, std::size_t length) {
    const auto *bytes = static_cast<const unsigned char *>(data);
    for (std::size_t b = 0; b < length; ++b) hash = (hash ^ bytes[b]) * 1099511628211ULL;
  };
  const std::size_t n = atom->nlocal;
  add(&n, sizeof n);
  add(&update->ntimestep, sizeof update->ntimestep);
  if (n > 0) {
    add(atom->x[0], 3 * n * sizeof(double));
    add(atom->v[0], 3 * n * sizeof(double));
    add(atom->tag, n * sizeof(tagint));
    add(atom->type, n * sizeof(int));
    add(atom->image, n * sizeof(imageint));
  }
  add(domain->boxlo, sizeof domain->boxlo);
  add(domain->boxhi, sizeof domain->boxhi);
  for (const double *tilt : {&domain->xy, &domain->xz, &domain->yz}) add(tilt, sizeof *tilt);
  return static_cast<bigint>(hash);
}

/* ---------------------------------------------------------------------- */

std::shared_ptr<FixDpgenSafe::Ring> FixDpgenSafe::release()
{
  auto ring = std::move(ring_);
  ring_ = std::make_shared<Ring>();
  maxexchange = 0;
  return ring;
}

void FixDpgenSafe::adopt(std::shared_ptr<Ring> ring)
{
  ring_ = std::move(ring);
  maxexchange = ring_->width();
  grow_arrays(atom->nmax);
}

/* ---------------------------------------------------------------------- */

void FixDpgenSafe::grow_arrays(int nmax)
{
  ring_->rows.resize(static_cast<std::size_t>(nmax) * ring_->width());
}

void FixDpgenSafe::copy_arrays(int i, int j, int)
{
  std::copy_n(ring_->row(i), ring_->width(), ring_->row(j));
}

void FixDpgenSafe::set_arrays(int i)
{
  std::fill_n(ring_->row(i), ring_->width(), 0.0);
}

int FixDpgenSafe::pack_exchange(int i, double *buffer)
{
  std::copy_n(ring_->row(i), ring_->width(), buffer);
  return ring_->width();
}

int FixDpgenSafe::unpack_exchange(int i, double *buffer)
{
  std::copy_n(buffer, ring_->width(), ring_->row(i));
  return ring_->width();
}

double FixDpgenSafe::memory_usage()
{
  return static_cast<double>(ring_->rows.size() * sizeof(double));
}
