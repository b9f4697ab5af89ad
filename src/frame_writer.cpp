#include "frame_writer.h"

#include "errors.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace dpgen {

namespace {

// 17 significant digits read back to the same double.
std::string exact(double value)
{
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

std::string joined(const std::vector<std::string> &words)
{
  std::string text;
  for (const std::string &word : words) text += (text.empty() ? "" : ",") + word;
  return text;
}

}    // namespace

std::string to_extxyz(const Frame &frame)
{
  std::string text = std::to_string(frame.n_atoms()) + "\nLattice=\"";
  for (int i = 0; i < 9; ++i) text += (i ? " " : "") + exact(frame.cell[i]);
  text += "\" Properties=species:S:1:pos:R:3:id:I:1:force_spread:R:1 pbc=\"";
  for (int d = 0; d < 3; ++d) text += std::string(d ? " " : "") + (frame.periodic[d] ? "T" : "F");
  const Deviation &devi = frame.deviation;
  text += "\" step=" + std::to_string(frame.step) + " time=" + exact(frame.time) +
      " temperature=" + exact(frame.temperature) + " class=" + name(frame.frame_class) +
      " max_devi_v=" + exact(devi.max_v) + " min_devi_v=" + exact(devi.min_v) + " avg_devi_v=" + exact(devi.avg_v) +
      " max_devi_f=" + exact(devi.max_f) + " min_devi_f=" + exact(devi.min_f) + " avg_devi_f=" + exact(devi.avg_f) +
      " fix_id=" + frame.fix_id + " models=\"" + joined(frame.model_hashes) + "\"\n";
  for (std::size_t i = 0; i < frame.n_atoms(); ++i) {
    text += frame.species[i];
    for (int d = 0; d < 3; ++d) text += " " + exact(frame.positions[3 * i + d] - frame.origin[d]);
    text += " " + std::to_string(frame.tags[i]) + " " + exact(frame.spread[i]) + "\n";
  }
  return text;
}

FrameWriter::FrameWriter(std::string path, bool append) : path_(std::move(path))
{
  file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (append ? 0 : O_TRUNC), 0644);
  if (file_ < 0) throw FileError("cannot open '" + path_ + "' for writing: " + std::strerror(errno));
}

FrameWriter::~FrameWriter()
{
  ::close(file_);
}

void FrameWriter::write(const Frame &frame)
{
  struct stat before;
  if (::fstat(file_, &before) != 0) throw FileError("cannot read the size of '" + path_ + "': " + std::strerror(errno));
  const std::string text = to_extxyz(frame);
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::write(file_, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const std::string cause = std::strerror(errno);
      // The frame is taken back whole, so that readers never meet half of one.
      const bool cut = ::ftruncate(file_, before.st_size) == 0;
      throw FileError("cannot write the frame of step " + std::to_string(frame.step) + " to '" + path_ + "': " + cause +
                      (cut ? "; the file ends with its last complete frame" : "; the file may end with half a frame"));
    }
    done += static_cast<std::size_t>(n);
  }
}

}    // namespace dpgen
