#include "features/plan.h"

#include <algorithm>
#include <chrono>

#include "columns/error.h"

namespace recserve {

namespace {

const Column* find(const Batch* batch, const std::string& name) {
  return batch == nullptr ? nullptr : batch->find(name);
}

ColumnPtr share(const Batch* batch, const std::string& name) {
  return batch == nullptr ? nullptr : batch->share(name);
}

/// Kernels trust the row counts, so they are checked at the door.
void check_rows(const char* side, const Batch* batch, int64_t rows) {
  if (batch == nullptr || batch->columns().empty() || batch->rows() == rows) return;
  throw RequestError(std::string("the ") + side + " columns have " + std::to_string(batch->rows()) +
                     " rows where the request has " + std::to_string(rows));
}

void check_rows(const Sources& sources) {
  check_rows("user", sources.user, 1);
  check_rows("context", sources.context, sources.rows);
  check_rows("item", sources.raw, sources.rows);
  check_rows("finished item", sources.finished, sources.rows);
}

Sources joined_sources(const Batch& joined) {
  Sources sources;
  sources.joined = &joined;
  sources.rows = joined.rows();
  return sources;
}

}  // namespace

/// One call: results are computed when they are asked for and kept until the call ends.
class Evaluation {
 public:
  Evaluation(const FeaturePlan& plan, const Sources& sources, bool strict, Failures* failures = nullptr)
      : plan_(plan), sources_(sources), results_(plan.constants_) {
    counts_.strict = strict;
    counts_.failures = failures;
  }

  /// Chains of features may be long: those that wait for others stand in a list, not on the thread's stack.
  const ColumnPtr& result(int32_t wanted) {
    waiting_.assign(1, wanted);
    while (!waiting_.empty()) {
      const int32_t at = waiting_.back();
      const Step& step = plan_.steps_[at];
      if (!results_[at]) results_[at] = kept(step);
      if (!results_[at]) {
        if (wait_for_producers(step)) continue;
        results_[at] = evaluate(step);
      }
      waiting_.pop_back();
    }
    return results_[wanted];
  }

 private:
  /// Puts the producers without result before a step, the first one next; false if there is none.
  bool wait_for_producers(const Step& step) {
    const size_t before = waiting_.size();
    for (auto input = step.inputs.rbegin(); input != step.inputs.rend(); ++input) {
      if (input->side == Side::Feature && !results_[input->producer]) waiting_.push_back(input->producer);
    }
    return waiting_.size() > before;
  }

  /// What the item rows hold already; null when nothing does.
  ColumnPtr kept(const Step& step) const {
    if (!step.finished.empty()) {
      if (ColumnPtr column = share(sources_.finished, step.finished)) return column;
    }
    if (step.element < 0) return nullptr;
    int32_t group = -1;
    for (const Input& input : step.inputs) {
      if (input.side != Side::Group) continue;
      group = input.group;
      // What the request brings itself wins over the store.
      if (find(sources_.user, input.joined) != nullptr) return nullptr;
    }
    const Clicked clicked = clicked_in(group);
    const Column* elements = find(clicked.finished, plan_.steps_[step.element].finished);
    if (elements == nullptr || clicked.finished->rows() == 0) return nullptr;
    int64_t length = clicked.finished->rows();
    if (step.cut.length > 0) length = std::min(length, step.cut.length);
    if (elements->rows >= length) return regroup(*elements, {0, static_cast<int32_t>(length)});
    return regroup(*take(*elements, std::vector<int64_t>(length, 0)), {0, static_cast<int32_t>(length)});
  }

  Clicked clicked_in(int32_t group) const {
    return static_cast<size_t>(group) < sources_.clicked.size() ? sources_.clicked[group] : Clicked{};
  }

  /// The column that an input reads. Gathered: one row per element of the user's list, rather than cells to
  /// be cut.
  struct Read {
    ColumnPtr column;
    bool gathered = false;
  };

  Read read(const Input& input) {
    Read read;
    switch (input.side) {
      case Side::Const: return {input.constant};
      case Side::Feature: return {results_[input.producer]};
      case Side::User: read.column = share(batch(sources_.user), input.name); break;
      case Side::Context: read.column = share(batch(sources_.context), input.name); break;
      case Side::Item: read.column = share(batch(sources_.raw), input.name); break;
      case Side::Group: read.column = share(batch(sources_.user), input.joined); break;
    }
    if (const Batch* clicked = clicked_in(input.group).raw; !read.column && clicked != nullptr) {
      read = {clicked->share(input.name), true};
    }
    if (!read.column) {
      counts_.add(Problem::MissingColumn);
      read.column = input.constant;
    }
    return read;
  }

  const Batch* batch(const Batch* side) const { return sources_.joined != nullptr ? sources_.joined : side; }

  ColumnPtr evaluate(const Step& step) {
    reads_.clear();
    enter(step);
    for (const Input& input : step.inputs) reads_.push_back(read(input));
    try {
      return step.sequence ? evaluate_sequence(step, reads_) : evaluate_rows(step, reads_);
    } catch (const RequestError& error) {
      throw RequestError("feature '" + step.name + "' " + error.what());
    } catch (const DataError& error) {
      throw DataError("feature '" + step.name + "' " + error.what());
    }
  }

  void enter(const Step& step) {
    counts_.of_step = &plan_.problems_[&step - plan_.steps_.data()];
    counts_.feature = &step.name;
    counts_.row = nullptr;
    counts_.elements = nullptr;
  }

  ColumnPtr evaluate_rows(const Step& step, const std::vector<Read>& reads) {
    cells_.clear();
    int64_t rows = step.every_row ? sources_.rows : 1;
    for (size_t k = 0; k < reads.size(); ++k) {
      cells_.push_back(cells_of(step.inputs[k], *reads[k].column, nullptr));
      if (reads[k].column->rows != 1) rows = sources_.rows;
    }
    return std::make_shared<const Column>(run(step, cells_, rows));
  }

  Column run(const Step& step, const std::vector<Cells>& cells, int64_t rows) {
    if (!step.rules->before_bucketizer) {  // the short cuts end in ids
      if (auto whole = step.kernel->whole(cells, rows, *step.rules)) return *std::move(whole);
    }
    Sink sink(*step.rules, rows, counts_);
    step.kernel->run(cells, rows, sink);
    return sink.finish();
  }

  ColumnPtr evaluate_sequence(const Step& step, const std::vector<Read>& reads) {
    if (step.inputs.size() == 1 && !reads[0].gathered && !step.rules->before_bucketizer) {
      const Cells cells = cells_of(step.inputs[0], *reads[0].column, nullptr);
      if (auto whole = step.kernel->whole_sequence(cells, step.cut, *step.rules)) {
        return std::make_shared<const Column>(*std::move(whole));
      }
    }
    std::vector<Elements> sequences;
    int64_t rows = step.every_row ? sources_.rows : 1;
    for (size_t k = 0; k < reads.size(); ++k) {
      if (step.inputs[k].sequence) sequences.push_back(elements_of(step, step.inputs[k], reads[k]));
      const int64_t own = step.inputs[k].sequence ? sequences.back().rows() : reads[k].column->rows;
      if (own != 1) rows = sources_.rows;
    }
    Alignment alignment(sequences, rows, step.cut.length, step.broadcast);
    std::vector<Cells> cells;
    cells.reserve(reads.size());
    size_t sequence = 0;
    for (size_t k = 0; k < reads.size(); ++k) {
      if (step.inputs[k].sequence) {
        cells.push_back(cells_of(step.inputs[k], *sequences[sequence].column, alignment.rows_of(sequence)));
        ++sequence;
      } else {
        const Column& column = *reads[k].column;
        cells.push_back(
            cells_of(step.inputs[k], column, column.rows == 1 ? nullptr : alignment.row_of_elements()));
      }
    }
    counts_.elements = &alignment;
    if (const auto kept = step.kernel->kept(cells, alignment.elements(), counts_)) alignment.keep(*kept);
    const Column results = run(step, cells, alignment.elements());
    return regroup(results, alignment.take_offsets());
  }

  static Cells cells_of(const Input& input, const Column& column, const int64_t* rows) {
    return Cells{&column, rows, input.side == Side::Feature, &input.shown()};
  }

  Elements elements_of(const Step& step, const Input& input, const Read& read) const {
    if (!read.gathered) return split(read.column, step.cut, input.shown());
    return gathered_elements(read.column, clicked_in(input.group).raw->rows());
  }

  /// Cells gathered by the user's keys are elements already.
  static Elements gathered_elements(const ColumnPtr& column, int64_t elements) {
    ColumnPtr rows = column;
    if (column->rows != elements) {
      rows = take(*column, std::vector<int64_t>(elements, 0));
    }
    return Elements{std::move(rows), {0, static_cast<int32_t>(elements)}};
  }

  const FeaturePlan& plan_;
  const Sources& sources_;
  std::vector<ColumnPtr> results_;
  std::vector<Read> reads_;  // of the step at hand, kept for their memory
  std::vector<Cells> cells_;
  std::vector<int32_t> waiting_;  // a step above those that wait for it
  Counts counts_;
};

FeaturePlan::FeaturePlan(std::vector<Step> steps, std::vector<Output> outputs,
                         std::vector<int32_t> output_steps, bool tile)
    : steps_(std::move(steps)),
      constants_(steps_.size()),
      output_steps_(std::move(output_steps)),
      assembly_(std::move(outputs), tile),
      problems_(std::make_unique<ProblemCounts[]>(steps_.size())) {
  Sources none;
  none.rows = 1;
  Evaluation evaluation(*this, none, false);
  try {
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (steps_[i].constant) constants_[i] = evaluation.result(static_cast<int32_t>(i));
    }
  } catch (const RequestError& error) {
    throw ConfigError(error.what());  // no request is to blame for a constant
  }
}

std::shared_ptr<ModelInputs> FeaturePlan::generate(const Sources& sources, bool shared) const {
  const Layout layout = shared ? Layout::Shared : Layout::Request;
  return assembly_.assemble(results(sources, output_steps_, false), sources.rows, layout);
}

std::shared_ptr<ModelInputs> FeaturePlan::generate_joined(const Batch& joined, bool strict) const {
  const Sources sources = joined_sources(joined);
  return assembly_.assemble(results(sources, output_steps_, strict), sources.rows, Layout::Offline);
}

Batch FeaturePlan::columns(const Sources& sources, std::span<const int32_t> steps) const {
  return named(results(sources, steps, false), steps, sources.rows);
}

Batch FeaturePlan::columns_joined(const Batch& joined, std::span<const int32_t> steps, bool strict,
                                  Failures* failures) const {
  return named(results(joined_sources(joined), steps, strict, failures), steps, joined.rows());
}

std::vector<int64_t> FeaturePlan::time_steps(const Sources& sources, std::span<const int32_t> steps) const {
  using Clock = std::chrono::steady_clock;
  check_rows(sources);
  Evaluation evaluation(*this, sources, false);
  std::vector<int64_t> spent;
  spent.reserve(steps.size());
  for (int32_t step : steps) {
    const Clock::time_point start = Clock::now();
    evaluation.result(step);
    spent.push_back(std::chrono::nanoseconds(Clock::now() - start).count());
  }
  return spent;
}

std::vector<ColumnPtr> FeaturePlan::results(const Sources& sources, std::span<const int32_t> steps,
                                            bool strict, Failures* failures) const {
  check_rows(sources);
  Evaluation evaluation(*this, sources, strict, failures);
  std::vector<ColumnPtr> results;
  results.reserve(steps.size());
  for (int32_t step : steps) results.push_back(evaluation.result(step));
  return results;
}

Batch FeaturePlan::named(std::vector<ColumnPtr> results, std::span<const int32_t> steps, int64_t rows) const {
  Batch batch(rows);
  for (size_t k = 0; k < steps.size(); ++k) batch.add(steps_[steps[k]].name, std::move(results[k]));
  return batch;
}

Batch FeaturePlan::finish(const Batch& raw) const try {
  Sources sources;
  sources.raw = &raw;
  sources.rows = raw.rows();
  Evaluation evaluation(*this, sources, false);
  Batch finished(raw.rows());
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (!steps_[i].finished.empty())
      finished.add(steps_[i].finished, evaluation.result(static_cast<int32_t>(i)));
  }
  return finished;
} catch (const RequestError& error) {
  throw DataError(error.what());  // no request is to blame for an item table
}

std::vector<StepProblems> FeaturePlan::problems() const {
  std::vector<StepProblems> found;
  for (size_t i = 0; i < steps_.size(); ++i) {
    for (size_t kind = 0; kind < kProblems; ++kind) {
      const int64_t count = problems_[i][kind].load(std::memory_order_relaxed);
      if (count != 0) found.push_back({steps_[i].name, static_cast<Problem>(kind), count});
    }
  }
  return found;
}

}  // namespace recserve
