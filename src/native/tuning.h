// Finds out by trying how far models can be reduced.
#ifndef DPGEN_NATIVE_TUNING_H
#define DPGEN_NATIVE_TUNING_H

#include "native/evaluator.h"

namespace dpgen::native {

/// The reduction that costs least and changes no force on some test frames by more than a quarter of `tolerance`
/// (eV/Å); the finest there is where none does, or `tolerance` is 0. Throws ModelError for nets that no spline gives.
Reduction find_reduction(const EvaluatorSource &source, double tolerance);

}    // namespace dpgen::native

#endif
