// The file of deviations over time, in the columns and formats of DeePMD-kit's model_devi.out.
#ifndef DPGEN_DEVIATION_LOG_H
#define DPGEN_DEVIATION_LOG_H

#include "deviation.h"

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace dpgen {

class DeviationLog {
 public:
  /// Opens (and, unless `append`, empties) the file and writes the header; throws FileError.
  DeviationLog(std::string path, bool append);
  ~DeviationLog();
  DeviationLog(const DeviationLog &) = delete;
  DeviationLog &operator=(const DeviationLog &) = delete;

  /// Writes one row: step, the six figures, and one column per atom where `atomic` is not empty. Throws FileError.
  void write(std::int64_t step, const Deviation &deviation, const std::vector<double> &atomic);

 private:
  std::string path_;
  std::FILE *file_;
};

}    // namespace dpgen

#endif
