// SHA-256 (FIPS 180-4), to name a model file by its content.
#ifndef DPGEN_SHA256_H
#define DPGEN_SHA256_H

#include <string>

namespace dpgen {

/// Hexadecimal SHA-256 of a string.
std::string sha256(const std::string &data);

/// Hexadecimal SHA-256 of a file's content; throws FileError if it cannot be read.
std::string sha256_of_file(const std::string &path);

}    // namespace dpgen

#endif
