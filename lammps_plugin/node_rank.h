// Which GPU of its node a rank uses.
#ifndef DPGEN_NODE_RANK_H
#define DPGEN_NODE_RANK_H

#include <mpi.h>

namespace LAMMPS_NS {

/// Number of this rank among those of its node; DeePMD-kit spreads the ranks of a node over its GPUs by it. Collective.
inline int rank_on_node(MPI_Comm world)
{
  MPI_Comm node;
  MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  int rank = 0;
  MPI_Comm_rank(node, &rank);
  MPI_Comm_free(&node);
  return rank;
}

}    // namespace LAMMPS_NS

#endif
