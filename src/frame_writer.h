// Appends frames to an extended XYZ file that ASE reads; a frame is in the file complete or not at all.
#ifndef DPGEN_FRAME_WRITER_H
#define DPGEN_FRAME_WRITER_H

#include "frame.h"

#include <string>

namespace dpgen {

/// A frame as extended XYZ text. Numbers are written so that they read back exactly.
///
/// Columns: species, pos (Å, unwrapped, relative to the cell's corner), id, force_spread (eV/Å). The comment line holds
/// the cell, step, time (ps), temperature (K), class, the six figures, the fix id and the SHA-256 of the models.
std::string to_extxyz(const Frame &frame);

/// One output file.
class FrameWriter {
 public:
  /// Opens (and, unless `append`, empties) the file; throws FileError.
  FrameWriter(std::string path, bool append);
  ~FrameWriter();
  FrameWriter(const FrameWriter &) = delete;
  FrameWriter &operator=(const FrameWriter &) = delete;

  /// Appends one frame. If the disk is full or the write fails, cuts the file back to its last complete frame and
  /// throws FileError.
  void write(const Frame &frame);

  const std::string &path() const { return path_; }

 private:
  std::string path_;
  int file_ = -1;
};

}    // namespace dpgen

#endif
