// What an image says of itself: which columns it keeps and where their bytes are.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "items/fields.h"
#include "items/heap.h"
#include "items/image_file.h"

namespace recserve::items {

/// The first section of an image. Numbers are little-endian, zeros fill it.
///
///   0 magic | 8 byte order | 12 version | 16 checksum | 24 bytes of the file | 32 directory: offset, bytes,
///   checksum
struct Preamble {
  static constexpr uint64_t kBytes = kSectionAlign;

  uint64_t file_bytes = 0;
  Section directory;

  std::vector<uint8_t> encoded() const;
  /// `bytes`: the first kBytes of the file, or all of it when it is smaller. Throws DataError, its text to be
  /// put behind the file's name, for anything that is no image of this version and of `file_bytes`.
  static Preamble decoded(std::span<const uint8_t> bytes, uint64_t file_bytes);
};

/// Everything but the bytes of the sections.
struct Directory {
  struct Column {
    std::string name, type;
    uint64_t limit = 0;
    bool always_raw = false;
    bool operator==(const Column&) const = default;
  };
  struct Texts {
    Section arena;  // the used bytes of each block, each aligned as a section is
    Section table;
    Heap::State state;  // without its table
  };

  bool text_keys = true;
  uint32_t raw_columns = 0;  // columns[0, raw_columns) are raw, the others finished
  std::vector<Column> columns;
  int64_t created_ms = 0;  // since 1970
  uint64_t rows = 0;       // items; the empty row stands before them
  std::string meta;        // what the caller wants to keep: JSON
  Section slots;
  std::vector<Texts>
      texts;  // of the columns that have a heap, in order, then of the keys when they are texts

  std::vector<uint8_t> encoded() const;
  /// Throws DataError as `Preamble::decoded` does. Sections are inside of the file and slots and blocks
  /// inside of their sections, whatever `bytes` say.
  static Directory decoded(std::span<const uint8_t> bytes, uint64_t file_bytes);

  /// Where the cells are: computed from the columns, never read from a file.
  Layout layout() const;
  int64_t heaps() const;
  /// Each block's place in the file.
  static std::vector<uint64_t> offsets(const Texts& texts);
  /// What is different in `other`, for an error message; empty when one's slots can be read as the other's.
  std::string difference(const Directory& other) const;
};

}  // namespace recserve::items
