#include "features/expr.h"

#include "columns/error.h"

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
  std::vector<double> scalars(inputs.size());
  std::vector<std::span<const double>> vectors(inputs.size());
  std::vector<double> results;
  for (int64_t i = 0; i < rows; ++i) {
    bool missing = false;
    bool all_scalar = true;
    for (size_t k = 0; k < inputs.size(); ++k) {
      if (!inputs[k].constant()) read(inputs[k], i, sink.counts(), variables[k]);
      missing |= variables[k].empty();
      all_scalar &= variables[k].size() == 1;
      if (!variables[k].empty()) scalars[k] = variables[k][0];
      vectors[k] = variables[k];
    }
    if (!missing && all_scalar) {
      sink.parsed(formula_.scalar(scalars));
    } else if (!missing) {
      formula_.evaluate(vectors, fill_missing_, results);
      for (double result : results) sink.parsed(result);
    }
    sink.end_row();
  }
}

}  // namespace recserve
