// When a native call lets other Python threads run.
#pragma once

#include <nanobind/nanobind.h>

#include <optional>

/// Frees the interpreter for the length of a scope, if the work in it is `long_enough`. Handing it over and
/// back wakes two threads, some 10 us on busy cores: for shorter work that costs more than it frees.
class FreeInterpreter {
 public:
  explicit FreeInterpreter(bool long_enough) {
    if (long_enough) release_.emplace();
  }

 private:
  std::optional<nanobind::gil_scoped_release> release_;
};

/// Where work of each kind takes some 30 us.
inline constexpr int64_t kLongMessageBytes = 16 * 1024;
inline constexpr int64_t kManyRowsToEncode = 2048;
inline constexpr int64_t kManyRowsToGather = 100;
inline constexpr int64_t kManyRowsToGenerate = 50;
