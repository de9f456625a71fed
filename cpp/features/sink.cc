#include "features/sink.h"

namespace recserve {

Sink::Sink(const Rules& rules, int64_t rows, Counts& counts)
    : rules_(rules),
      counts_(counts),
      makes_ids_(rules.makes_ids()),
      kind_(rules.bucketizer.kind()),
      limit_(rules.limit),
      prefixed_(rules.prefix) {
  counts.row = &rows_;
  if (rules_.sparse()) offsets_.reserve(rows + 1);
  offsets_.push_back(0);
  const int64_t values = rows * (rules.width > 0 ? rules.width : 1);
  if (makes_ids_ || (!rules.discrete && rules.value_type == Rules::ValueType::Int64)) {
    ids_.reserve(values);
  } else if (!rules.discrete && rules.value_type == Rules::ValueType::Float32) {
    floats_.reserve(values);
  }
}

void Sink::token(std::string_view text, float weight) {
  if (full()) return;
  if (rules_.prefix.empty() || kind_ == Bucketizer::Kind::NumBuckets) return put(text, weight);
  prefixed_.resize(rules_.prefix.size());
  prefixed_.append(text);
  put(prefixed_, weight);
}

void Sink::token(int64_t integer, float weight) {
  if (full()) return;
  if (makes_ids_ && (rules_.prefix.empty() || kind_ == Bucketizer::Kind::NumBuckets)) {
    return put_id(rules_.bucketizer.integer(integer), weight);
  }
  with_text(integer, [&](std::string_view text) { token(text, weight); });
}

void Sink::token(double number, float weight) {
  with_text(number, [&](std::string_view text) { token(text, weight); });
}

void Sink::token_or(std::string_view full_token, std::string_view bare) {
  if (full()) return;
  const bool use_bare = kind_ == Bucketizer::Kind::NumBuckets ||
                        (kind_ == Bucketizer::Kind::Vocab && !rules_.bucketizer.knows(full_token));
  put(use_bare ? bare : full_token, 1);
}

void Sink::put(std::string_view text, float weight) {
  if (!makes_ids_) {
    texts_.append(text);
    if (rules_.weighted) weights_.push_back(weight);
    ++row_values_;
    return;
  }
  auto id = rules_.bucketizer.text(text);
  if (!id) counts_.unparsable(text, nullptr);
  put_id(id.value_or(0), weight);
}

void Sink::put_id(int64_t id, float weight) {
  ids_.push_back(id);
  if (rules_.weighted) weights_.push_back(weight);
  ++row_values_;
}

void Sink::number(float number) {
  append(rules_.normalizer.none() ? double{number} : double{rules_.normalizer.number(number)});
}

void Sink::number(double number) {
  append(rules_.normalizer.none() ? number : double{rules_.normalizer.number(static_cast<float>(number))});
}

void Sink::number(int64_t number) {
  if (!rules_.normalizer.none()) return append(rules_.normalizer.number(static_cast<float>(number)));
  if (rules_.value_type == Rules::ValueType::Int64) return append_integer(number);
  // Through float32 at once: by way of double it would be rounded twice.
  append(rules_.value_type == Rules::ValueType::Float32 ? double{static_cast<float>(number)}
                                                        : static_cast<double>(number));
}

void Sink::parsed(double number) {
  append(rules_.normalizer.none() ? number : double{rules_.normalizer.text(number)});
}

void Sink::append(double number) {
  if (rules_.discrete) return token(number);
  if (rules_.value_type == Rules::ValueType::Int64) return append_integer(truncated(number));
  if (full()) return;
  ++row_values_;
  if (makes_ids_) {
    ids_.push_back(rules_.bucketizer.result(number, rules_.value_type));
  } else if (rules_.value_type == Rules::ValueType::Float64) {
    doubles_.push_back(number);
  } else {
    floats_.push_back(static_cast<float>(number));
  }
}

void Sink::append_integer(int64_t number) {
  if (full()) return;
  ++row_values_;
  ids_.push_back(makes_ids_ ? rules_.bucketizer.number_integer(number) : number);
}

void Sink::drop_row() {
  const auto drop = [&](auto& values) {
    if (!values.empty()) values.resize(values.size() - row_values_);
  };
  drop(ids_);
  drop(floats_);
  drop(doubles_);
  row_values_ = 0;
}

void Sink::append_default() {
  if (makes_ids_) {
    for (int64_t id : rules_.default_ids) put_id(id, 1);
  } else if (rules_.discrete) {
    put(rules_.default_value, 1);
  } else {
    for (double number : rules_.default_numbers) append(number);
  }
}

void Sink::end_row() {
  const bool missing = row_values_ == 0;
  if (missing && rules_.has_default()) append_default();
  // A dense row is never missing; a bucketized one without a value stays empty.
  if (!missing || !rules_.bucketized()) {
    while (row_values_ < rules_.width) append(0.0);
  }
  if (rules_.single()) {
    if (row_values_ == 0) append_null();
    valid_.append(row_values_ != 0);
  } else if (rules_.sparse()) {
    offsets_.push_back(offsets_.back() + static_cast<int32_t>(row_values_));
  }
  ++rows_;
  row_values_ = 0;
}

/// What stands where a `single` row has no value.
void Sink::append_null() {
  if (rules_.discrete && !makes_ids_)
    texts_.append({});
  else if (makes_ids_ || rules_.value_type == Rules::ValueType::Int64)
    ids_.push_back(0);
  else if (rules_.value_type == Rules::ValueType::Float64)
    doubles_.push_back(0);
  else
    floats_.push_back(0);
}

Values Sink::numbers() {
  switch (rules_.value_type) {
    case Rules::ValueType::Float32: return values_of(std::move(floats_));
    case Rules::ValueType::Float64: return values_of(std::move(doubles_));
    case Rules::ValueType::Int64: break;
  }
  return values_of(std::move(ids_));
}

Column Sink::finish() {
  Column column;
  column.rows = rows_;
  if (!rules_.sparse()) {
    column.width = static_cast<int32_t>(rules_.width);
    column.values = numbers();
    return column;
  }
  Values values = makes_ids_ ? values_of(std::move(ids_)) : rules_.discrete ? texts_.finish() : numbers();
  if (rules_.single()) {
    column.valid = valid_.finish();
    column.values = std::move(values);
    return column;
  }
  column.offsets = Array<int32_t>(std::move(offsets_));
  if (rules_.weighted) {
    column.shape = Shape::Map;
    column.keys = std::move(values);
    column.values = values_of(std::move(weights_));
  } else {
    column.shape = Shape::List;
    column.values = std::move(values);
  }
  return column;
}

}  // namespace recserve
