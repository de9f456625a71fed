// A store's rows in a file, for a start in seconds.
//
//   | preamble | rows: the empty one, then each item's | per heap: blocks, table of handles | directory |
//
// Sections are as they lie in memory, so a store maps them and goes on (`ItemStore::restore`): no value is
// parsed or copied, and only the index is built, from the keys. Slots say `born` 1 and no previous row.
//
// Nothing in a file is believed: the directory (image_directory.h) is bounded and its layout computed, every
// section has a checksum, and every handle and key of every row is looked at. What lies behind a handle rests
// on the checksum.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "columns/batch.h"
#include "items/image_directory.h"
#include "items/key_cells.h"

namespace recserve::items {

/// An image that is open. It stays what it is when the file is replaced (renamed over), and so do the stores
/// that were made from it. Any thread may call anything.
class Image {
 public:
  /// Reads the directory. Throws SourceError when the system refuses, DataError for what is no image of this
  /// format or was cut off; both name the file and what to do.
  explicit Image(const std::string& path);

  const Directory& directory() const { return directory_; }
  const std::string& path() const { return path_; }
  uint64_t bytes() const { return preamble_.file_bytes; }

  /// Reads all of the file, the first time. Throws DataError when a bit of it changed. Cost: about that of
  /// reading the file.
  void check() const;
  /// The keys and the raw columns `names` of items [from, to). `check` first.
  std::pair<ColumnPtr, Batch> read(uint64_t from, uint64_t to, const std::set<std::string>& names) const;

  /// The bytes, for one store that writes there.
  std::unique_ptr<Mapping> map() const;
  /// The heaps over such bytes: one for each column that has one, in order, then that of the keys' texts.
  std::vector<std::unique_ptr<Heap>> heaps(const Mapping& bytes, bool append) const;

 private:
  std::vector<uint8_t> bytes_at(uint64_t offset, uint64_t bytes) const;
  void check_section(const Section& section) const;
  void check_rows() const;
  const uint8_t* slot(uint64_t row) const;

  std::string path_;
  File file_;
  Preamble preamble_;
  Directory directory_;
  Layout layout_;
  std::unique_ptr<Mapping> bytes_;
  mutable std::vector<std::unique_ptr<Heap>> heaps_;  // by field, null where cells need none
  mutable KeyCells keys_;
  mutable std::mutex mutex_;
  mutable bool checked_ = false;
};

}  // namespace recserve::items
