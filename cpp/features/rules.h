// What happens to a result on its way from the operator to the column (docs/reference/features.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "features/bucketize.h"
#include "features/normalize.h"

namespace recserve {

/// The transforms of one feature, in their order: default if missing (never normalized, never prefixed) ->
/// normalizer -> value_dim -> prefix -> bucketizer. Immutable once `prepare`d.
struct Rules {
  using ValueType = Bucketizer::ValueType;

  bool discrete = true;                       // results are tokens; else numbers
  ValueType value_type = ValueType::Float32;  // of numbers, before the bucketizer
  int64_t limit = 0;                          // values of a row at most; 0: any number
  int64_t width = 0;          // numbers: values of a row exactly (padded by 0.0); 0: `limit` rules
  bool weighted = false;      // every token has a weight
  std::string prefix;         // put before each token
  std::string default_value;  // "" = none
  int64_t default_count = 0;  // a default of one number is repeated this often
  char separator = '\x1d';    // between the numbers of a default
  Normalizer normalizer;
  Bucketizer bucketizer;
  /// The rows are those of the ids, but of what the bucketizer would read: texts, or numbers.
  bool before_bucketizer = false;

  // What `default_value` comes to; by `prepare`.
  std::vector<int64_t> default_ids;
  std::vector<double> default_numbers;

  /// Works the default out; ConfigError where it is not what the bucketizer needs.
  void prepare();

  bool bucketized() const { return bucketizer.kind() != Bucketizer::Kind::None; }
  bool makes_ids() const { return bucketized() && !before_bucketizer; }
  /// The result is ids or texts, any number in a row, rather than `width` numbers.
  bool sparse() const { return discrete || bucketized(); }
  /// At most one id in a row: the result is a scalar column, its nulls being rows without value.
  bool single() const { return bucketized() && limit == 1 && !weighted; }
  bool has_default() const { return !default_value.empty(); }
};

}  // namespace recserve
