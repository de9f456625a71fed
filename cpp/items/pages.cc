#include "items/pages.h"

#include <sys/mman.h>

#include <new>

namespace recserve::items {

void* allocate_pages(uint64_t bytes, bool huge) {
  constexpr uint64_t kHugePage = 2 << 20;
  huge = huge && bytes >= 2 * kHugePage;
  const uint64_t page = huge ? kHugePage : 64;
  const uint64_t whole = (bytes + page - 1) / page * page;
  void* pages = std::aligned_alloc(page, whole);
  if (pages == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  if (huge) madvise(pages, whole, MADV_HUGEPAGE);
#endif
  return pages;
}

}  // namespace recserve::items
