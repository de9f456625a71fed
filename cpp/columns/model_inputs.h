// What feature generation hands to an engine: the model's input tensors, laid out in one buffer per type.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace recserve {

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
  std::vector<int64_t> ints;
  std::vector<int64_t> int_sizes;
  std::vector<float> floats;
  std::vector<int64_t> float_sizes;
};

}  // namespace recserve
