#include "fix_dpgen_options.h"

#include "errors.h"

#include <cstdlib>
#include <limits>
#include <set>

namespace LAMMPS_NS {

namespace {

using dpgen::InputError;

const std::set<std::string> keywords = {"types",    "trust",  "vtrust", "relative",   "relative_v",
                                        "out_file", "atomic", "frames", "max_frames", "min_gap",
                                        "stop",     "stride", "budget", "kernel"};

void need(int narg, int n, const char *keyword)
{
  if (narg <= n)
    throw InputError(std::string("keyword ") + keyword + " needs " + std::to_string(n) + " value" + (n > 1 ? "s" : ""));
}

double real(const char *keyword, const char *text)
{
  char *end = nullptr;
  const double value = std::strtod(text, &end);
  if (end == text || *end != '\0')
    throw InputError(std::string("keyword ") + keyword + ": '" + text + "' is not a number");
  return value;
}

int whole(const char *keyword, const char *text, int least)
{
  char *end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (end == text || *end != '\0' || value < least || value > std::numeric_limits<int>::max())
    throw InputError(std::string(keyword) + " is '" + text + "'; a whole number of at least " + std::to_string(least) +
                     " is needed");
  return static_cast<int>(value);
}

double not_negative(const char *keyword, const char *text)
{
  const double value = real(keyword, text);
  if (!(value >= 0.0)) throw InputError(std::string("keyword ") + keyword + ": '" + text + "' must not be negative");
  return value;
}

std::string name_or_none(const char *text)
{
  return std::string(text) == "none" ? "" : text;
}

bool yes(const char *keyword, const std::string &text)
{
  if (text == "yes" || text == "on" || text == "true") return true;
  if (text == "no" || text == "off" || text == "false") return false;
  throw InputError(std::string("keyword ") + keyword + ": '" + text + "' is neither yes nor no");
}

dpgen::Kernel kernel_named(const std::string &text)
{
  if (text == "auto") return dpgen::Kernel::automatic;
  if (text == "native") return dpgen::Kernel::native;
  if (text == "deepmd") return dpgen::Kernel::deepmd;
  throw InputError("keyword kernel: '" + text + "' is none of auto, native, deepmd");
}

}    // namespace

FixDpgenOptions FixDpgenOptions::parse(int narg, char **arg, int n_types, double force_per_ev_per_angstrom)
{
  FixDpgenOptions options;
  options.trust.force.lo *= force_per_ev_per_angstrom;
  options.trust.force.hi *= force_per_ev_per_angstrom;
  if (narg < 1) throw InputError("needs N and at least two model files: fix ID group-ID dpgen N model_1 model_2 ...");
  options.every = whole("N", arg[0], 1);
  int i = 1;
  while (i < narg && keywords.count(arg[i]) == 0) options.models.emplace_back(arg[i++]);
  while (i < narg) {
    const int n = options.parse_keyword(narg - i, arg + i, n_types);
    if (n == 0) {
      std::string known;
      for (const std::string &keyword : keywords) known += " " + keyword;
      throw InputError(std::string("unknown keyword '") + arg[i] + "'; known are" + known);
    }
    i += n;
  }
  if (options.types.empty())
    throw InputError("keyword types is required: one element per LAMMPS atom type, " + std::to_string(n_types) +
                     " here, such as 'types Al'");
  if (options.models.size() < 2)
    throw InputError("got " + std::to_string(options.models.size()) +
                     " model file(s) before the first keyword; a deviation needs at least 2");
  options.check();
  return options;
}

void FixDpgenOptions::check() const
{
  if (stop == Stop::candidates && stop_candidates > max_frames)
    throw InputError("stop candidates " + std::to_string(stop_candidates) + " is never reached with max_frames " +
                     std::to_string(max_frames));
}

int FixDpgenOptions::parse_keyword(int narg, char **arg, int n_types)
{
  const std::string keyword = arg[0];
  const char *key = arg[0];
  if (keyword == "types") {
    need(narg, n_types, key);
    types.assign(arg + 1, arg + 1 + n_types);
    for (const std::string &element : types)
      if (keywords.count(element))
        throw InputError("keyword types needs one element per LAMMPS atom type, " + std::to_string(n_types) + " here");
    return 1 + n_types;
  }
  if (keyword == "trust" || keyword == "vtrust") {
    need(narg, 2, key);
    const dpgen::Window window{real(key, arg[1]), real(key, arg[2])};
    dpgen::TrustWindow{window, {}}.check();
    if (keyword == "trust") trust.force = window;
    else trust.virial = window;
    return 3;
  }
  if (keyword == "stop") {
    need(narg, 1, key);
    const std::string when = arg[1];
    if (when == "never") stop = Stop::never;
    else if (when == "failed") stop = Stop::failed;
    else if (when == "candidates") {
      need(narg, 2, "stop candidates");
      stop = Stop::candidates;
      stop_candidates = whole("stop candidates", arg[2], 1);
      return 3;
    } else throw InputError("keyword stop: '" + when + "' is none of never, failed, candidates K");
    return 2;
  }
  if (keyword == "stride") {
    need(narg, 1, key);
    const std::string stride = arg[1];
    if (stride != "fixed" && stride != "adaptive")
      throw InputError("keyword stride: '" + stride + "' is neither fixed nor adaptive");
    adaptive = stride == "adaptive";
    return 2;
  }
  if (keywords.count(keyword) == 0) return 0;
  need(narg, 1, key);
  if (keyword == "kernel") kernel = kernel_named(arg[1]);
  else if (keyword == "relative") relative = not_negative(key, arg[1]);
  else if (keyword == "relative_v") relative_v = not_negative(key, arg[1]);
  else if (keyword == "budget") {
    budget = real(key, arg[1]);
    if (!(budget > 0.0 && budget <= 1.0))
      throw InputError(std::string("keyword budget: '") + arg[1] +
                       "' is no share of the run's time above 0 and up to 1");
  } else if (keyword == "out_file") out_file = name_or_none(arg[1]);
  else if (keyword == "atomic") atomic = yes(key, arg[1]);
  else if (keyword == "frames") frames = name_or_none(arg[1]);
  else if (keyword == "max_frames") max_frames = whole(key, arg[1], 0);
  else if (keyword == "min_gap") min_gap = whole(key, arg[1], 0);
  return 2;
}

}    // namespace LAMMPS_NS
