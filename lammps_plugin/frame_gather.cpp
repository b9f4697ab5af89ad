#include "frame_gather.h"

#include "units.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "lammps.h"
#include "update.h"

#include <algorithm>
#include <numeric>

namespace LAMMPS_NS {

namespace {

// Gathers `width` doubles per local atom on rank 0 and sorts the rows by their first number, the id.
std::vector<double> gather_sorted(LAMMPS *lmp, const std::vector<double> &mine, int width)
{
  const int n_ranks = lmp->comm->nprocs;
  const bool root = lmp->comm->me == 0;
  const int n_mine = static_cast<int>(mine.size());
  std::vector<int> counts(n_ranks), offsets(n_ranks);
  MPI_Gather(&n_mine, 1, MPI_INT, counts.data(), 1, MPI_INT, 0, lmp->world);
  std::vector<double> all;
  if (root) {
    std::partial_sum(counts.begin(), counts.end() - 1, offsets.begin() + 1);
    all.resize(static_cast<std::size_t>(offsets.back()) + counts.back());
  }
  MPI_Gatherv(mine.data(), n_mine, MPI_DOUBLE, all.data(), counts.data(), offsets.data(), MPI_DOUBLE, 0, lmp->world);

  const std::size_t n_rows = all.size() / width;
  std::vector<std::size_t> order(n_rows);
  std::iota(order.begin(), order.end(), 0);
  if (lmp->atom->tag_enable)
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return all[a * width] < all[b * width]; });
  std::vector<double> sorted;
  sorted.reserve(all.size());
  for (std::size_t row : order) sorted.insert(sorted.end(), all.begin() + row * width, all.begin() + (row + 1) * width);
  return sorted;
}

double id_of(const Atom &atom, int i)
{
  return atom.tag_enable ? static_cast<double>(atom.tag[i]) : i + 1.0;
}

}    // namespace

void gather_frame(LAMMPS *lmp, const double *spread, const std::vector<std::string> &elements, dpgen::Frame &frame)
{
  const Atom &atom = *lmp->atom;
  const Units units = units_of(*lmp->force);
  constexpr int width = 6;    // id, type, x, y, z, spread
  std::vector<double> mine;
  mine.reserve(static_cast<std::size_t>(width) * atom.nlocal);
  for (int i = 0; i < atom.nlocal; ++i) {
    double unwrapped[3];
    lmp->domain->unmap(atom.x[i], atom.image[i], unwrapped);
    mine.push_back(id_of(atom, i));
    mine.push_back(atom.type[i]);
    for (double x : unwrapped) mine.push_back(x * units.length);
    mine.push_back(spread[i]);
  }
  const std::vector<double> rows = gather_sorted(lmp, mine, width);

  frame.step = lmp->update->ntimestep;
  frame.time = (lmp->update->atime + (lmp->update->ntimestep - lmp->update->atimestep) * lmp->update->dt) * units.time;
  const double *h = lmp->domain->h;    // xx yy zz yz xz xy
  frame.cell = {h[0], 0.0, 0.0, h[5], h[1], 0.0, h[4], h[3], h[2]};
  for (double &c : frame.cell) c *= units.length;
  for (int d = 0; d < 3; ++d) {
    frame.origin[d] = lmp->domain->boxlo[d] * units.length;
    frame.periodic[d] = lmp->domain->periodicity[d] != 0;
  }
  for (std::size_t k = 0; k < rows.size(); k += width) {
    const std::string &element = elements[static_cast<std::size_t>(rows[k + 1]) - 1];
    frame.tags.push_back(static_cast<std::int64_t>(rows[k]));
    frame.species.push_back(element == "NULL" ? "X" : element);
    frame.positions.insert(frame.positions.end(), {rows[k + 2], rows[k + 3], rows[k + 4]});
    frame.spread.push_back(rows[k + 5]);
  }
}

std::vector<double> gather_by_id(LAMMPS *lmp, const double *values)
{
  std::vector<double> mine;
  for (int i = 0; i < lmp->atom->nlocal; ++i) {
    mine.push_back(id_of(*lmp->atom, i));
    mine.push_back(values[i]);
  }
  const std::vector<double> rows = gather_sorted(lmp, mine, 2);
  std::vector<double> sorted;
  for (std::size_t k = 1; k < rows.size(); k += 2) sorted.push_back(rows[k]);
  return sorted;
}

}    // namespace LAMMPS_NS
