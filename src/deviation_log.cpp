#include "deviation_log.h"

#include "errors.h"

#include <cerrno>
#include <cinttypes>
#include <cstring>

namespace dpgen {

DeviationLog::DeviationLog(std::string path, bool append) :
    path_(std::move(path)), file_(std::fopen(path_.c_str(), append ? "a" : "w"))
{
  if (!file_) throw FileError("cannot open '" + path_ + "' for writing: " + std::strerror(errno));
  if (!append) {
    std::fprintf(file_, "#%11s%19s%19s%19s%19s%19s%19s\n", "step", "max_devi_v", "min_devi_v", "avg_devi_v",
                 "max_devi_f", "min_devi_f", "avg_devi_f");
    std::fflush(file_);
  }
}

DeviationLog::~DeviationLog()
{
  std::fclose(file_);
}

void DeviationLog::write(std::int64_t step, const Deviation &d, const std::vector<double> &atomic)
{
  std::fprintf(file_, "%12" PRId64, step);
  for (double figure : {d.max_v, d.min_v, d.avg_v, d.max_f, d.min_f, d.avg_f}) std::fprintf(file_, " %18.6e", figure);
  for (double spread : atomic) std::fprintf(file_, " %18.6e", spread);
  std::fputc('\n', file_);
  // Flushed row by row: a run that is killed keeps what it has seen.
  if (std::fflush(file_) != 0 || std::ferror(file_))
    throw FileError("cannot write to '" + path_ + "': " + std::strerror(errno));
}

}    // namespace dpgen
