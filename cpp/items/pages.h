// Large memory that is read at random.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

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

}  // namespace recserve::items
