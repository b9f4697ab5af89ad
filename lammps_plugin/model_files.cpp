#include "model_files.h"

#include "errors.h"
#include "sha256.h"

#include "lammps.h"

#include <exception>

namespace LAMMPS_NS {

bool have_content(const dpgen::Ensemble &models, const std::vector<std::string> &paths)
{
  std::vector<std::string> hashes;
  try {
    for (const std::string &path : paths) hashes.push_back(dpgen::sha256_of_file(path));
  } catch (const dpgen::ModelError &) {
    return false;    // who opens it says so
  }
  return models.hashes() == hashes;
}

bool all_ranks(LAMMPS *lmp, bool mine)
{
  int flag = mine, all = 0;
  MPI_Allreduce(&flag, &all, 1, MPI_INT, MPI_MIN, lmp->world);
  return all != 0;
}

bool serves_kernel(const dpgen::Ensemble &models, dpgen::Kernel kernel)
{
  if (kernel == dpgen::Kernel::automatic) return true;
  return models.evaluates_together() == (kernel == dpgen::Kernel::native);
}

std::shared_ptr<dpgen::Ensemble> open_alike(LAMMPS *lmp, dpgen::Kernel kernel,
                                            const std::function<std::shared_ptr<dpgen::Ensemble>(dpgen::Kernel)> &open)
{
  std::shared_ptr<dpgen::Ensemble> models;
  std::exception_ptr error;
  try {
    models = open(kernel);
  } catch (...) {
    error = std::current_exception();
  }
  const int mine[2] = {models && models->evaluates_together(), models && !models->evaluates_together()};
  int any[2] = {0, 0};
  MPI_Allreduce(mine, any, 2, MPI_INT, MPI_MAX, lmp->world);
  if (error) std::rethrow_exception(error);
  return any[0] && any[1] && mine[0] ? open(dpgen::Kernel::deepmd) : models;
}

}    // namespace LAMMPS_NS
