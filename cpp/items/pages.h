// Large memory that is read at random.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

namespace recserve::items {

struct FreePages {
  void operator()(void* pages) const { std::free(pages); }
};
template <class T>
using Pages = std::unique_ptr<T[], FreePages>;

/// `bytes` of memory, not initialised and not touched. When it takes several megabytes the kernel is asked
/// for huge pages: with pages of 4 KiB nearly every row that is looked up is also a miss of the TLB (a gather
/// of 200 rows takes 1.3 times as long, benchmarks/items/gather.py). Throws std::bad_alloc.
void* allocate_pages(uint64_t bytes, bool huge = true);

/// A file as memory. What is written there stays in this process (copy on write). The file must not be cut
/// while it is mapped: whoever replaces it renames a new one over it.
class Mapping {
 public:
  /// Throws SourceError with `path` when the system refuses.
  Mapping(int file, uint64_t bytes, const std::string& path);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  uint8_t* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }

 private:
  uint8_t* data_;
  uint64_t bytes_;
};

/// Tells that this part of a mapping is not read any more: it takes no memory from now on.
void forget_pages(const uint8_t* from, uint64_t bytes);

}  // namespace recserve::items
