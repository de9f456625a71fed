// The plan: a flat list of features, each generated at its own rate.
//
//   rate    computed                               from                                rows of the result
//   const   once, when the plan is built           const:                              1
//   item    when an item row is written (finish)   item:                               the items written
//   user    once per request                       user:, sequences of the user        1
//   pair    per candidate                          context:, user x item, rnd          n
//
// Rates are row counts: a feature whose inputs have one row is evaluated on one row. So `generate` and
// `generate_joined`, where every input has n rows, run the same kernels, and give the same bits.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "columns/batch.h"
#include "columns/row_finisher.h"
#include "features/assembly.h"
#include "features/kernel.h"
#include "features/sequence.h"

namespace recserve {

/// Where a cell comes from. Group: an item column, at the items that the user's keys name.
enum class Side : uint8_t { User, Context, Item, Group, Const, Feature };

struct Input {
  Side side = Side::User;
  std::string name;       // of the column in its batch, or of the feature; Group: of the item column
  std::string joined;     // Group: the column's name in a joined row or in a request, "S__X"
  int32_t producer = -1;  // Feature: the step
  int32_t group = -1;     // Group: which
  bool sequence = false;  // its cells are cut into elements
  ColumnPtr constant;     // Const: one row. Else what an absent column is: one null of the type it would have

  /// What messages call it.
  const std::string& shown() const { return joined.empty() ? name : joined; }
};

/// One feature.
struct Step {
  std::string name;
  std::shared_ptr<const Kernel> kernel;
  std::shared_ptr<const Rules> rules;
  std::vector<Input> inputs;
  bool sequence = false;
  SequenceRule cut;
  bool broadcast = false;  // sequences: one element stands for all
  std::string finished;    // the column that holds its result in an item row; "" = it is not kept there
  int32_t element = -1;    // sequences: the step whose finished column holds the elements
  bool constant = false;   // rate const
  bool every_row = false;  // random: evaluated on every row, whatever its inputs
};

/// The rows of the items in a user's list: raw and finished columns, one row per element.
struct Clicked {
  const Batch* raw = nullptr;  // null: nothing was gathered
  const Batch* finished = nullptr;
};

/// What one request brings. Absent batches stand for "no columns".
struct Sources {
  const Batch* user = nullptr;
  const Batch* context = nullptr;
  const Batch* raw = nullptr;
  const Batch* finished = nullptr;
  std::vector<Clicked> clicked;   // by group
  const Batch* joined = nullptr;  // all sides in one batch; then the others are null
  int64_t rows = 0;
};

/// How often a step answered missing, since the plan was built, for one kind of reason.
struct StepProblems {
  std::string step;
  Problem problem;
  int64_t count;
};

/// Immutable once built, used by many threads at once.
class FeaturePlan {
 public:
  /// `outputs[i]` is made from step `output_steps[i]`. Steps may refer to later ones, never in a circle.
  FeaturePlan(std::vector<Step> steps, std::vector<Output> outputs, std::vector<int32_t> output_steps,
              bool tile);

  /// The tensors for one request: user columns have one row, the others `sources.rows` or one. `shared`: they
  /// will be concatenated with those of other requests.
  std::shared_ptr<ModelInputs> generate(const Sources& sources, bool shared) const;

  /// The same, naively: every column of `joined` is a column of the training table, every feature is
  /// evaluated on every row. `strict`: text that should be a number is a DataError, as offline runs want it.
  std::shared_ptr<ModelInputs> generate_joined(const Batch& joined, bool strict) const;

  /// The final results of `steps`, under their names, before they are laid out as tensors: each with as many
  /// rows as there are, or one that stands for all.
  Batch columns(const Sources& sources, std::span<const int32_t> steps) const;
  Batch columns_joined(const Batch& joined, std::span<const int32_t> steps, bool strict,
                       Failures* failures = nullptr) const;

  /// Nanoseconds that each of `steps` takes in one such call. A step that reads others stands behind them in
  /// the list, and then its time is its own.
  std::vector<int64_t> time_steps(const Sources& sources, std::span<const int32_t> steps) const;

  /// Every finished column of the rows of `raw`.
  Batch finish(const Batch& raw) const;

  /// What was answered as missing, without the zeros.
  std::vector<StepProblems> problems() const;
  const Assembly& assembly() const { return assembly_; }

 private:
  friend class Evaluation;
  std::vector<ColumnPtr> results(const Sources& sources, std::span<const int32_t> steps, bool strict,
                                 Failures* failures = nullptr) const;
  Batch named(std::vector<ColumnPtr> results, std::span<const int32_t> steps, int64_t rows) const;

  std::vector<Step> steps_;
  std::vector<ColumnPtr> constants_;  // by step; null unless of rate const
  std::vector<int32_t> output_steps_;
  Assembly assembly_;
  std::unique_ptr<ProblemCounts[]> problems_;  // by step
};

/// Writes the item rate: what the row store calls when a row changes.
class PlanFinisher : public RowFinisher {
 public:
  explicit PlanFinisher(std::shared_ptr<const FeaturePlan> plan) : plan_(std::move(plan)) {}
  Batch finish(const Batch& raw) const override { return plan_->finish(raw); }

 private:
  std::shared_ptr<const FeaturePlan> plan_;
};

}  // namespace recserve
