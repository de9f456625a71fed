// The contract of a feature type: columns in, one result per row out.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "features/cells.h"
#include "features/sequence.h"
#include "features/sink.h"

namespace recserve {

/// A kernel is built once, when the model is loaded, and run by many threads at once: `run` is const and
/// keeps its scratch on the stack.
///
///   map     {a:1 b:2}       one row stands for all (a user value): read once, before the loop
///   key     a  b  c         rows = 3
///   sink    [1][2][]        row i depends on row i of the inputs only
///
/// A kernel knows neither sides nor rates; for a sequence its rows are the elements.
class Kernel {
 public:
  virtual ~Kernel() = default;
  /// Calls `sink.end_row()` exactly `rows` times. Inputs are in the order of the type's own keys.
  virtual void run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const = 0;
  /// The column that `run` and a sink of these rules would make, to the bit, without a look at every row (see
  /// plain.h). Nothing where the inputs or the rules are not plain: then `run` is called. Not asked for what
  /// stands before a bucketizer.
  virtual std::optional<Column> whole(std::span<const Cells> inputs, int64_t rows, const Rules& rules) const {
    return {};
  }
  /// The same for a sequence whose one input is not cut into elements yet: the result of the whole feature.
  virtual std::optional<Column> whole_sequence(const Cells& input, const SequenceRule& cut,
                                               const Rules& rules) const {
    return {};
  }
  /// Of a sequence: whether each element stays in it. Nothing: all do; then every row of `inputs` is run,
  /// else those that stay, and of a sequence without any one row, whose sequence inputs are missing.
  virtual std::optional<std::vector<bool>> kept(std::span<const Cells> inputs, int64_t elements,
                                                Counts& counts) const {
    return {};
  }
  /// Two runs may differ (`rnd`): the result belongs to no rate but pair.
  virtual bool random() const { return false; }
};

}  // namespace recserve
