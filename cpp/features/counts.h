// What feature generation met that was not as it should be, and how it is told: counted, collected or thrown.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace recserve {

class Alignment;

/// Kinds of what is answered as missing (docs/reference/missing.md).
enum class Problem : uint8_t { UnparsableNumber, MissingColumn };
inline constexpr size_t kProblems = 2;
inline constexpr std::array<const char*, kProblems> kProblemNames{"unparsable_number", "missing_column"};

/// How often each kind occurred in one step, since the plan was built. Any thread adds.
using ProblemCounts = std::array<std::atomic<int64_t>, kProblems>;

/// Of each row that had an unreadable cell, what its first step said: one message per row, however much of it
/// was unreadable. Which step is first depends on the plan alone, not on how a table was cut into batches.
using Failures = std::map<int64_t, std::string>;

/// The ledger of one evaluation. Where it stands (`feature`, `row`, ...) is set while it goes on.
struct Counts {
  bool strict = false;           // the first unreadable cell is a DataError
  Failures* failures = nullptr;  // collects the rows with one; null: nobody asks

  ProblemCounts* of_step = nullptr;
  const std::string* feature = nullptr;
  const int64_t* row = nullptr;         // of the kernel, which a sink counts
  const Alignment* elements = nullptr;  // sequences: the kernel's rows are elements

  void add(Problem problem) {
    (*of_step)[static_cast<size_t>(problem)].fetch_add(1, std::memory_order_relaxed);
  }

  /// Text that had to be a number. Online the cell counts as missing, a token whose bucketizer wants a number
  /// has id 0; strict: DataError. `column` is null where the value is the feature's own.
  void unparsable(std::string_view text, const std::string* column);
};

}  // namespace recserve
