#include "items/pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "columns/error.h"

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

Mapping::Mapping(int file, uint64_t bytes, const std::string& path) : bytes_(bytes) {
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  if (mapped == MAP_FAILED) {
    throw SourceError("cannot map '" + path + "', " + std::to_string(bytes) +
                      " bytes: " + std::strerror(errno));
  }
  data_ = static_cast<uint8_t*>(mapped);
}

Mapping::~Mapping() { munmap(data_, bytes_); }

void forget_pages(const uint8_t* from, uint64_t bytes) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t start = (reinterpret_cast<uintptr_t>(from) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(from) + bytes) / page * page;
  if (start < end) madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTNEED);
}

}  // namespace recserve::items
