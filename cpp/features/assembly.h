// From results to the tensors of the model, laid out in one buffer per type (docs/reference/features.md).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "columns/column.h"
#include "columns/model_inputs.h"

namespace recserve {

/// The tensors of one output feature.
///
///   kind             tensors
///   Dense            F.values float (rows, width)
///   Sparse           F.values int, F.lengths int (rows)          F.weights float where weighted
///   SequenceDense    F.values float (steps, width), F.lengths int (rows)
///   SequenceSparse   F.values int, F.lengths int (rows)          F.key_lengths int (steps) where keyed
struct Output {
  enum class Kind : uint8_t { Dense, Sparse, SequenceDense, SequenceSparse };

  std::string name;
  Kind kind = Kind::Sparse;
  int64_t width = 1;  // of the dense kinds
  bool weighted = false;
  bool keyed = false;   // value_dim != 1: a step may have any number of ids
  bool once = false;    // under INPUT_TILE: a user feature, one row
  int32_t beside = -1;  // sequences: the output that must have as many steps in every row; -1 = any
};

/// Who the tensors are for.
enum class Layout {
  Request,  // one request in a call of its own: under `tile` features marked `once` have one row
  Shared,   // a request that shares a call with others: all features have all rows, batch_size is 1
  Offline,  // rows of a training table: as Shared, and nothing is refused for its length
};

/// Fixed for one plan. `assemble` is const and shares nothing between threads.
class Assembly {
 public:
  /// `tile`: outputs marked `once` have one row, and the tensor `batch_size` (one int) is added.
  Assembly(std::vector<Output> outputs, bool tile);

  /// `results[i]` is the column of output i, of `rows` rows or one that stands for all of them. DataError
  /// where a column is not of its output's kind; RequestError where a sequence has not as many steps as the
  /// one that it stands `beside`, unless Offline.
  std::shared_ptr<ModelInputs> assemble(const std::vector<ColumnPtr>& results, int64_t rows,
                                        Layout layout) const;

  const std::vector<Output>& outputs() const { return outputs_; }
  const ModelInputs::Names& names() const { return *names_; }

 private:
  std::vector<Output> outputs_;
  bool tile_;
  std::shared_ptr<const ModelInputs::Names> names_;
};

}  // namespace recserve
