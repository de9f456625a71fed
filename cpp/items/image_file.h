// A file that is replaced whole or not at all.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "items/checksum.h"

namespace recserve::items {

/// Sections start at multiples of it, so that they can be mapped, on machines of 16 KiB pages too.
constexpr uint64_t kSectionAlign = 16384;

inline uint64_t aligned(uint64_t bytes) {
  return (bytes + kSectionAlign - 1) / kSectionAlign * kSectionAlign;
}

/// Where bytes lie in an image, and what they must add up to, the zeros up to the next section included.
struct Section {
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t checksum = 0;
};

/// An open file descriptor.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

/// Writes beside `path`, into a file of mode 0600 that only one writer at a time can have, and moves it there
/// at the end: whenever the power goes, `path` is the old file or the new one. Every function throws
/// SourceError, naming the path and the bytes written, when the system refuses (a full disk); the unfinished
/// file is removed then, and whenever this is destroyed before `commit`.
class FileReplacement {
 public:
  explicit FileReplacement(std::string path);
  FileReplacement(const FileReplacement&) = delete;
  FileReplacement& operator=(const FileReplacement&) = delete;
  ~FileReplacement();

  /// Starts a section; `write` adds to it, `finish` fills it up.
  void start();
  void write(std::span<const uint8_t> bytes);
  Section finish();
  /// Bytes at the beginning of the file, where a place was kept by a section.
  void overwrite(std::span<const uint8_t> bytes);
  /// Everything is on the disk, under its name.
  void commit();

  uint64_t bytes() const { return end_; }

 private:
  void open();
  void flush();
  void put(const uint8_t* bytes, uint64_t size, uint64_t offset);
  [[noreturn]] void refuse(const char* what);

  std::string path_, unfinished_;
  File file_{-1};
  uint64_t end_ = 0;    // of what is written, a multiple of the alignment between sections
  uint64_t start_ = 0;  // of this section
  uint64_t size_ = 0;   // of this section so far
  Checksum checksum_;
  std::vector<uint8_t> buffer_;
};

}  // namespace recserve::items
