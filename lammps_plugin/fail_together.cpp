#include "fail_together.h"

#include "comm.h"
#include "error.h"
#include "lammps.h"
#include "update.h"

void LAMMPS_NS::fail_together(LAMMPS *lmp, const std::string &who, const std::string &message)
{
  const int n_ranks = lmp->comm->nprocs;
  int mine = message.empty() ? n_ranks : lmp->comm->me, first = 0;
  MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, lmp->world);
  if (first == n_ranks) return;
  std::string text = message;
  int length = static_cast<int>(text.size());
  MPI_Bcast(&length, 1, MPI_INT, first, lmp->world);
  text.resize(length);
  MPI_Bcast(text.data(), length, MPI_CHAR, first, lmp->world);
  lmp->error->all(FLERR, "{} at step {}: {}", who, lmp->update->ntimestep, text);
}
