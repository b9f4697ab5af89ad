#include "pair_dpgen_options.h"

#include "errors.h"

#include <cstdlib>
#include <map>
#include <set>

namespace LAMMPS_NS {

namespace {

using dpgen::InputError;
using dpgen::Kernel;
using dpgen::Precision;

const std::set<std::string> keywords = {"lead", "mean", "precision", "kernel"};
// A hybrid pair style takes "deepmd" for the name of its next sub-style.
const std::map<std::string, Kernel> kernels = {{"auto", Kernel::automatic},
                                               {"native", Kernel::native},
                                               {"deepmd", Kernel::deepmd},
                                               {"deepmd-kit", Kernel::deepmd}};
const std::map<std::string, Precision> precisions = {{"double", Precision::fp64}, {"single", Precision::fp32}};

template <typename Value>
Value choice(const std::string &keyword, const std::string &word, const std::map<std::string, Value> &choices)
{
  const auto found = choices.find(word);
  if (found != choices.end()) return found->second;
  std::string known;
  for (const auto &[name, value] : choices) known += (known.empty() ? "" : ", ") + name;
  throw InputError("keyword " + keyword + ": '" + word + "' is none of " + known);
}

template <typename Value> std::string word_for(Value value, const std::map<std::string, Value> &choices)
{
  for (const auto &[name, one] : choices)
    if (one == value) return name;
  return {};
}

int leading(const std::string &word, int n_models)
{
  char *end = nullptr;
  const long number = std::strtol(word.c_str(), &end, 10);
  if (end == word.c_str() || *end != '\0' || number < 1 || number > n_models)
    throw InputError("keyword lead: '" + word + "' is no model's number; 1 to " + std::to_string(n_models) +
                     " are there");
  return static_cast<int>(number) - 1;
}

}    // namespace

PairDpgenOptions PairDpgenOptions::parse(const std::vector<std::string> &words)
{
  PairDpgenOptions options;
  std::size_t i = 0;
  while (i < words.size() && keywords.count(words[i]) == 0) options.models.push_back(words[i++]);
  if (options.models.empty()) throw InputError("needs at least one model file: pair_style dpgen model_1 model_2 ...");
  bool leads = false;
  while (i < words.size()) {
    const std::string &keyword = words[i++];
    if (keywords.count(keyword) == 0)
      throw InputError("unknown keyword '" + keyword + "'; known are lead, mean, precision, kernel");
    if (keyword != "mean" && i >= words.size()) throw InputError("keyword " + keyword + " needs a value");
    if (keyword == "lead" || keyword == "mean") {
      if (leads) throw InputError("keyword " + keyword + ": one of 'lead K' and 'mean' can be given, once");
      leads = true;
    }
    if (keyword == "mean") options.lead = mean;
    else if (keyword == "lead") options.lead = leading(words[i++], static_cast<int>(options.models.size()));
    else if (keyword == "precision") options.precision = choice(keyword, words[i++], precisions);
    else options.kernel = choice(keyword, words[i++], kernels);
  }
  if (options.kernel == Kernel::deepmd && options.precision == Precision::fp32)
    throw InputError("precision single with kernel deepmd: DeePMD-kit takes the precision from the model file; leave "
                     "one of the two out");
  return options;
}

std::vector<std::string> PairDpgenOptions::words() const
{
  std::vector<std::string> words = models;
  if (lead == mean) words.push_back("mean");
  else words.insert(words.end(), {"lead", std::to_string(lead + 1)});
  words.insert(words.end(), {"precision", word_for(precision, precisions), "kernel", word_for(kernel, kernels)});
  return words;
}

}    // namespace LAMMPS_NS
