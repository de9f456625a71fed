#include "features/normalize.h"

#include <array>
#include <cmath>

#include "columns/error.h"
#include "columns/text.h"

namespace recserve {

namespace {

/// A method with two numbers: their names, and what they are when the text does not say.
struct TwoNumbers {
  std::string_view name;
  std::array<std::string_view, 2> keys;
  std::array<std::optional<float>, 2> absent;  // nothing: the key is required
};

constexpr TwoNumbers kLog10{"log10", {"threshold", "default"}, {1.0F, 0.0F}};
constexpr TwoNumbers kZscore{"zscore", {"mean", "standard_deviation"}, {}};
constexpr TwoNumbers kMinmax{"minmax", {"min", "max"}, {}};

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n\v\f\r";
  size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
}

/// "key=value" up to the next comma, which `rest` then begins behind.
struct Setting {
  std::string_view key, value;

  static Setting next(std::string_view& rest) {
    std::string_view piece = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(piece.size() + 1, rest.size()));
    size_t equals = piece.find('=');
    if (equals == std::string_view::npos) {
      throw ConfigError("normalizer: " + quoted(trimmed(piece)) + " is not key=value");
    }
    return {trimmed(piece.substr(0, equals)), trimmed(piece.substr(equals + 1))};
  }
};

std::array<float, 2> numbers(const TwoNumbers& method, std::string_view rest) {
  auto about = [&](std::string_view key) {
    return "normalizer " + quoted(method.name) + ": key " + quoted(key);
  };
  std::array<std::optional<float>, 2> given;
  while (!trimmed(rest).empty()) {
    auto [key, value] = Setting::next(rest);
    size_t which = key == method.keys[0] ? 0 : 1;
    if (key != method.keys[which]) {
      throw ConfigError(about(key) + " is unknown; known: " + std::string(method.keys[0]) + ", " +
                        std::string(method.keys[1]));
    }
    std::optional<double> number = parse_double(value);
    if (!number) throw ConfigError(about(key) + ": " + quoted(value) + " is not a number");
    if (given[which]) throw ConfigError(about(key) + " is given twice");
    given[which] = static_cast<float>(*number);
  }
  std::array<float, 2> all;
  for (size_t i = 0; i < 2; ++i) {
    if (!given[i]) given[i] = method.absent[i];
    if (!given[i]) throw ConfigError(about(method.keys[i]) + " is missing");
    all[i] = *given[i];
  }
  return all;
}

/// All that follows `expr=`: a formula may contain commas and equals signs.
Expression formula(std::string_view rest) {
  rest = trimmed(rest);
  size_t equals = rest.find('=');
  if (std::string_view key = trimmed(rest.substr(0, equals));
      key != "expr" || equals == std::string_view::npos) {
    throw ConfigError("normalizer 'expression': expected key 'expr' after the method, found " + quoted(rest));
  }
  try {
    return Expression::parse(std::string(trimmed(rest.substr(equals + 1))), {"x"});
  } catch (const ConfigError& error) {
    throw ConfigError(std::string("normalizer 'expression': key 'expr': ") + error.what());
  }
}

}  // namespace

Normalizer Normalizer::parse(std::string_view config) {
  Normalizer made;
  std::string_view rest = trimmed(config);
  if (rest.empty()) return made;
  auto [key, method] = Setting::next(rest);
  if (key != "method") {
    throw ConfigError("normalizer " + quoted(config) + ": expected key 'method' first, found " + quoted(key));
  }
  auto take = [&](Method kind, const TwoNumbers& description) {
    made.method_ = kind;
    std::tie(made.first_, made.second_) = std::tuple_cat(numbers(description, rest));
  };
  if (method == kLog10.name) {
    take(Method::Log10, kLog10);
  } else if (method == kZscore.name) {
    take(Method::Zscore, kZscore);
  } else if (method == kMinmax.name) {
    take(Method::Minmax, kMinmax);
    made.second_ -= made.first_;
  } else if (method == "expression") {
    made.method_ = Method::Expression;
    made.formula_ = std::make_shared<const Expression>(formula(rest));
  } else {
    throw ConfigError("normalizer: unknown method " + quoted(method) +
                      "; known: log10, zscore, minmax, expression");
  }
  return made;
}

float Normalizer::number(float x) const {
  switch (method_) {
    case Method::None: return x;
    case Method::Log10: return x > first_ ? static_cast<float>(std::log10(double{x})) : second_;
    case Method::Zscore:
    case Method::Minmax: return (x - first_) / second_;
    case Method::Expression: break;
  }
  return text(x);
}

void Normalizer::column(std::span<float> numbers) const {
  switch (method_) {
    case Method::None: return;
    case Method::Zscore:
    case Method::Minmax:
      for (float& x : numbers) x = (x - first_) / second_;
      return;
    case Method::Log10:
    case Method::Expression:
      for (float& x : numbers) x = number(x);
  }
}

float Normalizer::text(double x) const {
  switch (method_) {
    case Method::None: break;
    case Method::Log10: return x > first_ ? static_cast<float>(std::log10(x)) : second_;
    case Method::Zscore:
    case Method::Minmax: return static_cast<float>((x - first_) / second_);
    case Method::Expression: return static_cast<float>(formula_->scalar({&x, 1}));
  }
  return static_cast<float>(x);
}

}  // namespace recserve
