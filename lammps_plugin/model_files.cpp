#include "model_files.h"

#include "ensemble.h"
#include "sha256.h"

bool LAMMPS_NS::have_content(const dpgen::Ensemble &models, const std::vector<std::string> &paths)
{
  std::vector<std::string> hashes;
  for (const std::string &path : paths) hashes.push_back(dpgen::sha256_of_file(path));
  return models.hashes() == hashes;
}
