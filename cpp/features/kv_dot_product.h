// kv_dot_product: the dot product of two maps of weights (docs/reference/features.md).
#pragma once

#include "features/kernel.h"

namespace recserve {

/// Inputs: query, document. Each is a native map, an array of "k:v", or text "k:v\x1dk:v"; a key without
/// value has 1. Pairs are cut at the first delimiter, of a repeated key the last counts, keys compare as
/// text.
///
///   query a:0.5 b:0.5     document b:2 c    1       = 0.5 * 2
///         a b c                    [a c]    2
///         a                        b        0
///         a                        (none)   (missing)
///
/// The products are added as doubles, in the order of the query's keys. A value that is no number makes its
/// cell missing. A side that is constant is read and hashed once.
class KvDotProductKernel : public Kernel {
 public:
  KvDotProductKernel(char separator, char delimiter) : separator_(separator), delimiter_(delimiter) {}
  void run(std::span<const Cells> inputs, int64_t rows, Sink& sink) const override;

 private:
  char separator_;
  char delimiter_;
};

}  // namespace recserve
