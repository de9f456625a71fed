#include "features/assembly.h"

#include "columns/error.h"
#include "features/cells.h"

namespace recserve {

namespace {

/// Writes the columns of one output behind what the buffers hold already.
class Writer {
 public:
  Writer(const Output& output, const Column& column, int64_t rows, ModelInputs& inputs)
      : output_(output), column_(column), inputs_(inputs) {
    if (column.rows != rows && column.rows != 1) {
      throw DataError("feature '" + output.name + "' has " + std::to_string(column.rows) +
                      " rows, its batch has " + std::to_string(rows));
    }
    // One row beside n: written once, then repeated.
    repeat_ = column.rows == rows ? 1 : rows;
    taken_ = column.rows == rows ? rows : std::min<int64_t>(rows, 1);
  }

  void write() {
    switch (output_.kind) {
      case Output::Kind::Dense: return write_dense();
      case Output::Kind::Sparse: return write_sparse();
      case Output::Kind::SequenceDense: return write_sequence_dense();
      case Output::Kind::SequenceSparse: return write_sequence_sparse();
    }
  }

 private:
  [[noreturn]] void refuse(const char* wanted) const {
    throw DataError("feature '" + output_.name + "': a " + name_of(column_.shape) + " column of " +
                    name_of(column_.values.type) + " (width " + std::to_string(column_.width) +
                    ") came where its result is " + wanted);
  }

  void write_dense() {
    if (column_.shape != Shape::Scalar || column_.width != output_.width) refuse("numbers of its value_dim");
    tensor_floats({0, taken_ * output_.width});
  }

  void write_sparse() {
    if (output_.weighted) {
      if (column_.shape != Shape::Map) refuse("a map of ids and weights");
      tensor_ints(column_.keys, covered());
      tensor_lengths(column_.offsets);
      tensor_floats(covered());
    } else if (column_.shape == Shape::List) {
      tensor_ints(column_.values, covered());
      tensor_lengths(column_.offsets);
    } else if (column_.shape == Shape::Scalar && column_.width == 1) {
      write_single();
    } else {
      refuse("a list of ids");
    }
  }

  /// At most one id in a row: nulls are rows of length 0.
  void write_single() {
    if (column_.valid.empty()) {
      tensor_ints(column_.values, {0, taken_});
      tensor(inputs_.ints, inputs_.int_sizes, [&] { inputs_.ints.insert(inputs_.ints.end(), taken_, 1); });
      return;
    }
    tensor(inputs_.ints, inputs_.int_sizes, [&] {
      for (int64_t row = 0; row < taken_; ++row) {
        if (column_.is_valid(row)) append_ints(column_.values, {row, row + 1});
      }
    });
    tensor(inputs_.ints, inputs_.int_sizes, [&] {
      for (int64_t row = 0; row < taken_; ++row) inputs_.ints.push_back(column_.is_valid(row) ? 1 : 0);
    });
  }

  void write_sequence_dense() {
    if (output_.width == 1 ? column_.shape != Shape::List : column_.shape != Shape::Nested) {
      refuse("a sequence of numbers");
    }
    tensor_floats(covered());
    tensor_lengths(column_.offsets);
  }

  void write_sequence_sparse() {
    if (column_.shape != (output_.keyed ? Shape::Nested : Shape::List)) refuse("a sequence of ids");
    tensor_ints(column_.values, covered());
    if (output_.keyed) {
      tensor(inputs_.ints, inputs_.int_sizes, [&] {
        for (int64_t s = first_step(); s < last_step(); ++s) {
          inputs_.ints.push_back(column_.inner[s + 1] - column_.inner[s]);
        }
      });
    }
    tensor_lengths(column_.offsets);
  }

  int64_t first_step() const { return column_.offsets[0]; }
  int64_t last_step() const { return column_.offsets[taken_]; }

  /// The values of the rows taken.
  Range covered() const {
    if (column_.shape == Shape::Nested) return {column_.inner[first_step()], column_.inner[last_step()]};
    return {first_step(), last_step()};
  }

  void tensor_ints(const Values& values, Range range) {
    tensor(inputs_.ints, inputs_.int_sizes, [&] { append_ints(values, range); });
  }

  void tensor_lengths(const Array<int32_t>& offsets) {
    tensor(inputs_.ints, inputs_.int_sizes, [&] {
      const size_t at = inputs_.ints.size();
      inputs_.ints.resize(at + taken_);
      int64_t* lengths = inputs_.ints.data() + at;
      for (int64_t row = 0; row < taken_; ++row) lengths[row] = offsets[row + 1] - offsets[row];
    });
  }

  void tensor_floats(Range range) {
    tensor(inputs_.floats, inputs_.float_sizes, [&] {
      const Values& values = column_.values;
      if (values.type == Type::Float32) {
        const float* data = values.as<float>().data();
        inputs_.floats.insert(inputs_.floats.end(), data + range.begin, data + range.end);
        return;
      }
      for_each_entry(values, range, [&]<class T>(T number) {
        if constexpr (std::is_same_v<T, std::string_view>)
          refuse("numbers");
        else
          inputs_.floats.push_back(static_cast<float>(number));
      });
    });
  }

  void append_ints(const Values& values, Range range) {
    if (values.type == Type::Int64) {
      const int64_t* data = values.as<int64_t>().data();
      inputs_.ints.insert(inputs_.ints.end(), data + range.begin, data + range.end);
    } else if (values.type == Type::Int32) {
      const int32_t* data = values.as<int32_t>().data();
      inputs_.ints.insert(inputs_.ints.end(), data + range.begin, data + range.end);
    } else {
      refuse("ids");
    }
  }

  /// Lets `write` append one row's worth (or all rows), repeats it, and notes the tensor's size.
  template <class T, class Write>
  void tensor(Numbers<T>& buffer, std::vector<int64_t>& sizes, Write&& write) {
    const size_t start = buffer.size();
    write();
    const size_t once = buffer.size() - start;
    if (repeat_ > 1 && once > 0) {
      const size_t all = once * repeat_;
      buffer.resize(start + all);
      T* data = buffer.data() + start;
      if (once == 1) {
        std::fill_n(data + 1, all - 1, data[0]);
      } else {
        // Each copy doubles what is there.
        for (size_t done = once; done < all;) {
          const size_t more = std::min(done, all - done);
          std::memcpy(data + done, data, more * sizeof(T));
          done += more;
        }
      }
    }
    sizes.push_back(static_cast<int64_t>(buffer.size() - start));
  }

  const Output& output_;
  const Column& column_;
  ModelInputs& inputs_;
  int64_t repeat_ = 1;
  int64_t taken_ = 0;
};

ModelInputs::Names names_of(const std::vector<Output>& outputs, bool tile) {
  ModelInputs::Names names;
  for (const Output& output : outputs) {
    const bool dense = output.kind == Output::Kind::Dense || output.kind == Output::Kind::SequenceDense;
    if (dense) {
      names.floats.push_back(output.name + ".values");
      names.float_widths.push_back(output.width);
    } else {
      names.ints.push_back(output.name + ".values");
      if (output.kind == Output::Kind::SequenceSparse && output.keyed) {
        names.ints.push_back(output.name + ".key_lengths");
      }
    }
    if (output.kind != Output::Kind::Dense) names.ints.push_back(output.name + ".lengths");
    if (output.weighted) {
      names.floats.push_back(output.name + ".weights");
      names.float_widths.push_back(0);
    }
  }
  if (tile) names.ints.push_back("batch_size");
  return names;
}

int64_t steps_of(const Column& column, int64_t row) {
  row = column.row_for(row);
  return column.offsets[row + 1] - column.offsets[row];
}

/// Models lay the members of a sequence group side by side, and fail or mix them up when one is shorter.
void check_steps(const Output& output, const Column& column, const Output& other, const Column& beside) {
  const int64_t rows = std::max(column.rows, beside.rows);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t steps = steps_of(column, row), wanted = steps_of(beside, row);
    if (steps == wanted) continue;
    throw RequestError("features '" + output.name + "' and '" + other.name + "' of one sequence have " +
                       std::to_string(steps) + " and " + std::to_string(wanted) +
                       " steps; send as many values as there are item ids");
  }
}

}  // namespace

Assembly::Assembly(std::vector<Output> outputs, bool tile)
    : outputs_(std::move(outputs)),
      tile_(tile),
      names_(std::make_shared<const ModelInputs::Names>(names_of(outputs_, tile))) {}

std::shared_ptr<ModelInputs> Assembly::assemble(const std::vector<ColumnPtr>& results, int64_t rows,
                                                Layout layout) const {
  auto inputs = std::make_shared<ModelInputs>();
  inputs->names = names_;
  size_t ints = 1;
  size_t floats = 0;
  for (const ColumnPtr& result : results) {
    // An upper bound would count what is repeated; growing by doubling costs less than asking each shape.
    const size_t repeat = result->rows == rows ? 1 : rows;
    const auto values = static_cast<size_t>(result->values.size) * repeat;
    if (result->values.type == Type::Float32 || result->values.type == Type::Float64) floats += values;
    ints += values + rows;
  }
  inputs->ints.reserve(ints);
  inputs->floats.reserve(floats);
  inputs->int_sizes.reserve(names_->ints.size());
  inputs->float_sizes.reserve(names_->floats.size());
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const bool once = tile_ && layout == Layout::Request && outputs_[i].once;
    Writer(outputs_[i], *results[i], once ? 1 : rows, *inputs).write();
    const int32_t beside = outputs_[i].beside;
    if (beside >= 0 && layout != Layout::Offline)
      check_steps(outputs_[i], *results[i], outputs_[beside], *results[beside]);
  }
  if (tile_) {
    inputs->ints.push_back(layout == Layout::Request ? rows : 1);
    inputs->int_sizes.push_back(1);
  }
  return inputs;
}

}  // namespace recserve
