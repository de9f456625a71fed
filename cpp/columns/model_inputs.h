// What feature generation hands to an engine: the model's input tensors, laid out in one buffer per type.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace recserve {

/// A vector whose `resize` leaves new numbers as they are in memory: they are about to be written.
template <class T>
struct Unwritten : std::allocator<T> {
  template <class U>
  struct rebind {
    using other = Unwritten<U>;
  };
  template <class U>
  void construct(U* at) {
    ::new (static_cast<void*>(at)) U;
  }
  template <class U, class... Arguments>
  void construct(U* at, Arguments&&... arguments) {
    ::new (static_cast<void*>(at)) U(std::forward<Arguments>(arguments)...);
  }
};
template <class T>
using Numbers = std::vector<T, Unwritten<T>>;

/// Tensor i of a type is `data[offset(i), offset(i) + size(i))` of that type's buffer, in the order of its
/// names. The names are the model's own input keys ("age.values", "age.lengths") and never change for one
/// plan; the sizes do, with every request.
///
///   int_names   price.values price.lengths tags.values tags.lengths batch_size
///   int_sizes        3            3             5           3           1        (sum = ints.size())
///   float_names ctr.values emb.values
///   float_sizes     3         12         float_widths 1 4      -> tensors (3, 1) and (3, 4)
struct ModelInputs {
  struct Names {
    std::vector<std::string> ints;
    std::vector<std::string> floats;
    std::vector<int64_t> float_widths;  // of each dense tensor, (size / width, width); 0: weights, one per id
  };
  std::shared_ptr<const Names> names;
  Numbers<int64_t> ints;
  std::vector<int64_t> int_sizes;
  Numbers<float> floats;
  std::vector<int64_t> float_sizes;
};

/// The inputs of several requests as those of one: every tensor is that of the first request, then that of
/// the second, and so on, so row k of a request is row (rows before it) + k. `batch_size` is a property of
/// the whole call, and stays that of the first. All have the names of one plan.
ModelInputs concatenated(const std::vector<const ModelInputs*>& parts);

/// The same request for a model that takes the user's features in every row: the tensors at the positions
/// `once`, which have one row, come `rows` times, one behind the other, and `batch_size` is 1. Positions
/// count ints first, then floats.
ModelInputs repeated(const ModelInputs& inputs, const std::vector<size_t>& once, int64_t rows);

/// Whether the tensors at `positions` have these sizes; one of each for every position.
bool has_sizes(const ModelInputs& inputs, const std::vector<size_t>& positions,
               const std::vector<int64_t>& sizes);

/// The smallest number in the int tensors at `positions`, which ascend; the largest int64 if there is none.
int64_t least(const ModelInputs& inputs, const std::vector<size_t>& positions);

}  // namespace recserve
