// The type that a request column gets: from the bundle's input schema, else from what was sent.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "wire/feature.h"

namespace recserve::wire {

struct ColumnType {
  Shape shape = Shape::Scalar;
  Type key = Type::String;  // maps only
  Type value = Type::String;
};

/// Reads "int64", "list<float32>", "map<string,float32>" or "list<list<int64>>". Throws ConfigError.
ColumnType parse_column_type(std::string_view text);

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

/// Types by column name, for the columns of one side of a request.
using ColumnTypes = std::unordered_map<std::string, ColumnType, TextHash, std::equal_to<>>;

/// What the entries of one column hold, gathered before the column is built.
class Seen {
 public:
  /// `cell` has `elements` of them, at least one: missing entries say nothing about a type.
  void add(const Cell& cell);

  /// The column's type; the tables are in the docstring of src/recserve/wire/torchrec.py.
  /// `declared` is the schema's type, `fallback` stands in when every entry is missing; both may be null.
  ColumnType resolve(const ColumnType* declared, const ColumnType* fallback) const;

 private:
  bool has(Shape shape) const { return (shapes_ >> static_cast<int>(shape) & 1) != 0; }
  Shape shape(const ColumnType* declared) const;

  unsigned shapes_ = 0;  // one bit per Shape
  bool text_scalars_ = false;
  std::optional<Type> value_;  // of the first entry, widened by the numbers that follow
  std::optional<Type> key_;
};

}  // namespace recserve::wire
