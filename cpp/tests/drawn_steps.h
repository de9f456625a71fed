// Steps of a plan, drawn from a fuzzer's bytes: every native feature type over given columns.
#pragma once

#include <string>
#include <vector>

#include "features/plan.h"
#include "tests/drawn_bytes.h"

namespace recserve::testing {

/// A column that steps may read, and where it is.
struct Source {
  Side side;
  std::string name;
  bool flat;  // scalars or lists: cells that may be elements of a sequence
};

/// The steps and, for each, what is written about it.
struct Drawn {
  std::vector<Step> steps;
  std::vector<std::string> texts;
};

/// One to five features, some of them sequences, which may read one another. Throws ConfigError where what
/// was drawn is refused. Rates are those that the Python planner would find.
Drawn draw_steps(Bytes& bytes, const std::vector<Source>& sources);

/// The tensors of a step.
Output output_of(const Step& step);

}  // namespace recserve::testing
