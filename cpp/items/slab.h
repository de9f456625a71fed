// Memory for the columns of one gather: few allocations for many columns.
#pragma once

#include <algorithm>
#include <memory>

#include "columns/column.h"

namespace recserve::items {

/// Hands out uninitialised arrays from blocks that live as long as any column made from them. Blocks stay
/// below the size from which malloc maps fresh pages for every request.
class Slab {
 public:
  template <class T>
  T* take(int64_t size) {
    const int64_t bytes = (size * static_cast<int64_t>(sizeof(T)) + 7) / 8 * 8;
    if (bytes > left_ || at_ == nullptr) refill(bytes);
    auto* taken = reinterpret_cast<T*>(at_);
    at_ += bytes;
    left_ -= bytes;
    return taken;
  }

  /// An array over what `take` gave last.
  template <class T>
  Array<T> share(const T* data, int64_t size) const {
    return Array<T>(data, size, block_);
  }
  template <class T>
  Values share_values(const T* data, int64_t size) const {
    const int64_t bytes = size * static_cast<int64_t>(sizeof(T));
    return Values{type_of<T>(), size, share(reinterpret_cast<const uint8_t*>(data), bytes), {}};
  }

 private:
  static constexpr int64_t kBlockBytes = 64 << 10;

  void refill(int64_t bytes) {
    left_ = std::max(bytes, kBlockBytes);
    std::shared_ptr<uint64_t[]> block(new uint64_t[left_ / 8]);
    at_ = reinterpret_cast<uint8_t*>(block.get());
    block_ = std::move(block);
  }

  std::shared_ptr<const void> block_;
  uint8_t* at_ = nullptr;
  int64_t left_ = 0;
};

}  // namespace recserve::items
