#include "features/expr.h"

#include <algorithm>
#include <array>

#include "columns/error.h"
#include "features/plain.h"

namespace recserve {

void ExprKernel::read(const Cells& cells, int64_t row, Counts& counts, std::vector<double>& numbers) const {
  numbers.clear();
  bool readable = true;
  for_each_token(cells, row, separator_, [&]<class T>(T token) {
    if constexpr (std::is_same_v<T, std::string_view>) {
      auto number = parse_double(token);
      if (number) return numbers.push_back(*number);
      if (readable) counts.unparsable(token, cells.name);
      readable = false;
    } else {
      numbers.push_back(static_cast<double>(static_cast<float>(token)));
    }
  });
  if (!readable) numbers.clear();
}

void ExprKernel::run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const {
  for (const Cells& cells : inputs) {
    if (cells.column->shape == Shape::Map && !cells.produced) {
      throw RequestError("reads column '" + *cells.name +
                         "', which is a map; a formula reads numbers or text");
    }
  }
  std::vector<std::vector<double>> variables(inputs.size());
  for (size_t k = 0; k < inputs.size(); ++k) {
    if (inputs[k].constant()) read(inputs[k], 0, sink.counts(), variables[k]);
  }
  std::vector<std::span<const double>> vectors(variables.begin(), variables.end());
  const Expression::Folded folded = formula_.fold(vectors, fill_missing_);
  const size_t all = inputs.size() + folded.terms.size();
  vectors.insert(vectors.end(), folded.terms.begin(), folded.terms.end());
  std::vector<char> wanted(all, 1);  // what has become part of a term is no matter any more
  std::vector<double> scalars(all);
  for (size_t k = 0; k < all; ++k) {
    wanted[k] = folded.formula.reads(k);
    if (!vectors[k].empty()) scalars[k] = vectors[k][0];
  }
  std::vector<double> results;
  for (int64_t i = 0; i < rows; ++i) {
    bool missing = false;
    for (size_t k = 0; k < inputs.size(); ++k) {
      if (!inputs[k].constant()) {
        read(inputs[k], i, sink.counts(), variables[k]);
        vectors[k] = variables[k];
        if (!vectors[k].empty()) scalars[k] = vectors[k][0];
      }
      missing |= vectors[k].empty();
    }
    bool all_scalar = true;
    for (size_t k = 0; k < all; ++k) all_scalar &= !wanted[k] || vectors[k].size() == 1;
    if (!missing && all_scalar) {
      sink.parsed(folded.formula.scalar(scalars));
    } else if (!missing) {
      folded.formula.evaluate(vectors, fill_missing_, results);
      for (double result : results) sink.parsed(result);
    }
    sink.end_row();
  }
}

namespace {

/// Numbers of another shape, and texts, are read cell by cell.
bool is_plain(const Cells& cells) {
  const Column& column = *cells.column;
  return column.shape == Shape::Scalar && column.width == 1 && column.values.type != Type::String;
}

/// Rows [begin, begin + numbers.size()) of a plain column; what lies under a missing one is no matter.
void read_block(const Cells& cells, int64_t begin, std::span<double> numbers) {
  const Values& values = cells.column->values;
  const auto fill = [&](auto from) {
    for (size_t i = 0; i < numbers.size(); ++i) {
      const int64_t row = cells.at(begin + static_cast<int64_t>(i));
      numbers[i] = row < 0 ? 0.0 : static_cast<double>(static_cast<float>(from[static_cast<size_t>(row)]));
    }
  };
  switch (values.type) {
    case Type::Int32: return fill(values.as<int32_t>());
    case Type::Int64: return fill(values.as<int64_t>());
    case Type::Float32: return fill(values.as<float>());
    case Type::Float64: return fill(values.as<double>());
    case Type::String: return;
  }
}

}  // namespace

std::optional<Column> ExprKernel::whole(std::span<const Cells> inputs, int64_t rows,
                                        const Rules& rules) const {
  if (!takes_plain_numbers(rules) || !std::all_of(inputs.begin(), inputs.end(), is_plain)) return {};
  constexpr size_t kBlock = 512;
  std::vector<std::array<double, kBlock>> blocks(inputs.size());
  std::vector<std::span<const double>> variables(inputs.size());
  for (size_t k = 0; k < inputs.size(); ++k) {
    if (!inputs[k].constant()) continue;
    if (inputs[k].missing(0)) return {};
    read_block(inputs[k], 0, std::span(blocks[k]).first(1));
    variables[k] = std::span(blocks[k]).first(1);
  }
  const Expression::Folded folded = formula_.fold(variables, fill_missing_);
  if (!folded.formula.elementwise()) return {};
  variables.insert(variables.end(), folded.terms.begin(), folded.terms.end());

  std::vector<float> numbers(rows);
  std::vector<double> results;
  for (int64_t begin = 0; begin < rows; begin += kBlock) {
    const auto size = static_cast<size_t>(std::min<int64_t>(kBlock, rows - begin));
    for (size_t k = 0; k < inputs.size(); ++k) {
      if (inputs[k].constant()) continue;
      read_block(inputs[k], begin, std::span(blocks[k]).first(size));
      variables[k] = std::span(blocks[k]).first(size);
    }
    folded.formula.evaluate(variables, fill_missing_, results);
    if (results.size() == 1) results.resize(size, results[0]);
    float* out = numbers.data() + begin;
    if (rules.normalizer.none()) {
      for (size_t i = 0; i < size; ++i) out[i] = static_cast<float>(results[i]);
    } else {
      for (size_t i = 0; i < size; ++i) out[i] = rules.normalizer.text(results[i]);
    }
  }
  return column_of_numbers(rules, std::move(numbers), missing_rows(inputs, rows));
}

}  // namespace recserve
