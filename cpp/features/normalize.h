// The normalizer of a numeric feature: log10, zscore, minmax or a formula over x
// (docs/reference/features.md).
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "features/expression.h"

namespace recserve {

/// Immutable once parsed, used by many threads at once. Parameters are float32. Never applied to defaults.
class Normalizer {
 public:
  /// No normalizer: numbers pass through.
  Normalizer() = default;

  /// Reads "method=zscore,mean=0.5,standard_deviation=2"; for `expression` all after `expr=` is the formula.
  /// An empty text is no normalizer. ConfigError names the method and the key that is wrong, unknown or
  /// missing.
  static Normalizer parse(std::string_view config);

  /// The number of a numeric column. The formula is float32 (log10 computed in double and rounded once; an
  /// `expression` is double throughout).
  float number(float x) const;

  /// As `number`, of each in place.
  void column(std::span<float> numbers) const;

  /// A number parsed from text. The formula is double, parameters widened (minmax: max - min formed in
  /// float32 first); the result is rounded once.
  float text(double x) const;

  bool none() const { return method_ == Method::None; }

  /// The formula draws random numbers.
  bool uses_random() const { return formula_ && formula_->uses_random(); }

 private:
  enum class Method { None, Log10, Zscore, Minmax, Expression };

  Method method_ = Method::None;
  float first_ = 0;   // threshold, mean, min
  float second_ = 0;  // default, standard_deviation, max - min
  std::shared_ptr<const Expression> formula_;
};

}  // namespace recserve
