// Memory that the columns of one request share: a request of 30 columns takes one allocation for their arrays
// instead of 100 (benchmarks/stages.py). It lives as long as any of them.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "columns/column.h"

namespace recserve::wire {

class Block {
 public:
  /// Room for `expected` bytes is taken at the first `keep`; more follows as needed.
  explicit Block(size_t expected) : expected_(expected) {}

  /// A copy of the elements, which start at a multiple of 8 bytes.
  template <class T>
  Array<T> keep(const std::vector<T>& elements) {
    const size_t size = elements.size() * sizeof(T);
    if (size == 0) return {};
    const size_t taken = (size + 7) / 8 * 8;
    if (taken > left_) {
      left_ = std::max(taken, expected_);
      memory_ = std::make_shared_for_overwrite<uint8_t[]>(left_);
      next_ = memory_.get();
    }
    auto* data = reinterpret_cast<T*>(next_);
    std::memcpy(data, elements.data(), size);
    next_ += taken;
    left_ -= taken;
    return Array<T>(data, static_cast<int64_t>(elements.size()), memory_);
  }

 private:
  size_t expected_;
  size_t left_ = 0;
  uint8_t* next_ = nullptr;
  std::shared_ptr<uint8_t[]> memory_;
};

}  // namespace recserve::wire
