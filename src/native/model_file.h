// Reads the file that python/lammps_dpgen/native/model_file.py writes, and finds it beside the model or in the cache.
#ifndef DPGEN_NATIVE_MODEL_FILE_H
#define DPGEN_NATIVE_MODEL_FILE_H

#include "native/model.h"

namespace dpgen::native {

/// Where the converted model of a model file with this SHA-256 is, beside the model or in the cache. Throws ModelError,
/// which says why, where it is in neither.
///
/// Beside is the folder of the file itself, where the model's path is a link. The cache is $DPGEN_NATIVE_CACHE, else
/// $XDG_CACHE_HOME/lammps-dpgen/native, else ~/.cache/lammps-dpgen/native. The name is the hash, so that the weights of
/// another model are never taken for its own.
std::string converted_model_path(const std::string &model_path, const std::string &model_hash);

/// Throws ModelError for a file that cannot be read, is damaged or describes no model that can be.
Model read_model(const std::string &path);

/// The same of a file's content; `name` is for messages.
Model parse_model(const std::string &content, const std::string &name);

}    // namespace dpgen::native

#endif
