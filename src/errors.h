// The errors of the core: one family, caught at the edge of the LAMMPS fix and turned into Python exceptions by the
// bindings.
#ifndef DPGEN_ERRORS_H
#define DPGEN_ERRORS_H

#include <stdexcept>

namespace dpgen {

/// Base class of every error that the core throws.
class Error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A model file cannot be loaded, does not fit the others, or failed while it was evaluated.
class ModelError : public Error {
  using Error::Error;
};

/// A value that the caller gave is not allowed.
class InputError : public Error {
  using Error::Error;
};

/// A file cannot be read or written.
class FileError : public Error {
  using Error::Error;
};

}    // namespace dpgen

#endif
