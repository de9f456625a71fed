// What the row store needs of feature generation, so that neither includes the other.
#pragma once

#include "columns/batch.h"

namespace recserve {

/// Finishes raw item rows into the columns that requests gather: every item-rate feature, its final bucket
/// ids and floats. A finished column's row depends on its raw row alone. `const` and free of shared scratch:
/// many threads may call it at once.
class RowFinisher {
 public:
  virtual ~RowFinisher() = default;
  virtual Batch finish(const Batch& raw) const = 0;
};

}  // namespace recserve
