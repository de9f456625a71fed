#include "items/image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "columns/error.h"
#include "items/cell_codec.h"
#include "items/cells.h"

namespace recserve::items {

namespace {

/// Opens to read; a pipe must not make us wait.
int open_file(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file >= 0) return file;
  throw SourceError("cannot read the item image '" + path + "': " + std::strerror(errno) +
                    (errno == EACCES ? "; it is readable for the user who wrote it" : ""));
}

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw DataError("item image '" + path + "' " + why +
                  "; delete it: items are loaded from their tables then");
}

}  // namespace

// The members are gone when the handler runs, so it names `path`.
Image::Image(const std::string& path) try
    : path_(path), file_(open_file(path_)), layout_(Directory().layout()) {
  struct stat status;
  if (fstat(file_.get(), &status) != 0) throw SourceError("cannot read the item image '" + path_ + "'");
  if (!S_ISREG(status.st_mode))
    throw DataError(S_ISDIR(status.st_mode) ? "is a directory" : "is no regular file");
  const auto size = static_cast<uint64_t>(status.st_size);
  preamble_ = Preamble::decoded(bytes_at(0, std::min(size, Preamble::kBytes)), size);
  const Section& section = preamble_.directory;
  const std::vector<uint8_t> bytes = bytes_at(section.offset, aligned(section.bytes));
  Checksum checksum;
  checksum.add(bytes);
  if (checksum.value() != section.checksum) throw DataError("is corrupted: its directory was changed");
  directory_ = Directory::decoded(std::span(bytes).first(section.bytes), size);
  layout_ = directory_.layout();
  bytes_ = map();
} catch (const DataError& error) {
  refuse(path, error.what());
}

std::vector<uint8_t> Image::bytes_at(uint64_t offset, uint64_t size) const {
  std::vector<uint8_t> bytes(size);
  for (uint64_t from = 0; from < size;) {
    const ssize_t read =
        pread(file_.get(), bytes.data() + from, size - from, static_cast<off_t>(offset + from));
    if (read < 0 && errno == EINTR) continue;
    if (read < 0) throw SourceError("cannot read the item image '" + path_ + "': " + std::strerror(errno));
    if (read == 0) throw DataError("is cut off");
    from += static_cast<uint64_t>(read);
  }
  return bytes;
}

std::unique_ptr<Mapping> Image::map() const {
  return std::make_unique<Mapping>(file_.get(), preamble_.file_bytes, path_);
}

std::vector<std::unique_ptr<Heap>> Image::heaps(const Mapping& bytes, bool append) const {
  std::vector<std::unique_ptr<Heap>> heaps;
  auto add = [&](const std::string& name) {
    const Directory::Texts& texts = directory_.texts[heaps.size()];
    Heap::State state = texts.state;
    state.table.resize(texts.table.bytes / sizeof(Heap::Cell));
    if (!state.table.empty())
      std::memcpy(state.table.data(), bytes.data() + texts.table.offset, texts.table.bytes);
    std::vector<const uint8_t*> blocks;
    for (const uint64_t offset : Directory::offsets(texts)) blocks.push_back(bytes.data() + offset);
    heaps.push_back(std::make_unique<Heap>(name, std::move(state), blocks, append));
  };
  for (const Field& field : layout_.fields) {
    if (field.storage != Storage::Inline) add(field.name);
  }
  if (directory_.text_keys) add("the key");
  return heaps;
}

// --- checking ----------------------------------------------------------------------------------------------

void Image::check() const {
  std::lock_guard lock(mutex_);
  if (checked_) return;
  madvise(bytes_->data(), bytes_->bytes(), MADV_WILLNEED);
  try {
    check_section(directory_.slots);
    for (const Directory::Texts& texts : directory_.texts) {
      check_section(texts.arena);
      check_section(texts.table);
    }
    std::vector<std::unique_ptr<Heap>> read = heaps(*bytes_, false);
    if (directory_.text_keys) {
      keys_.adopt(std::move(read.back()));
      read.pop_back();
    }
    heaps_.clear();
    auto next = read.begin();
    for (const Field& field : layout_.fields) {
      heaps_.push_back(field.storage == Storage::Inline ? nullptr : std::move(*next++));
    }
    check_rows();
  } catch (const DataError& error) {
    refuse(path_, error.what());
  }
  checked_ = true;
}

void Image::check_section(const Section& section) const {
  Checksum checksum;
  checksum.add({bytes_->data() + section.offset, aligned(section.bytes)});
  if (checksum.value() != section.checksum) {
    throw DataError("is corrupted: of its bytes " + std::to_string(section.offset) + " to " +
                    std::to_string(section.offset + section.bytes) + " some were changed");
  }
}

void Image::check_rows() const {
  for (uint64_t row = 0; row <= directory_.rows; ++row) {
    const uint8_t* at = slot(row);
    bool sound = load<uint64_t>(at + Layout::kBorn) <= 1 && load<uint32_t>(at + Layout::kPrevious) == 0;
    if (directory_.text_keys && row > 0) sound = sound && keys_.sound(at + Layout::kKey);
    for (size_t i = 0; i < heaps_.size(); ++i) {
      if (heaps_[i] == nullptr) continue;
      const Field& field = layout_.fields[i];
      const auto bit = static_cast<uint32_t>(std::max(field.one_bit, 0));
      const bool one = field.one_bit >= 0 && ((at[layout_.bits + (bit >> 3)] >> (bit & 7)) & 1) != 0;
      sound = sound && (one || heaps_[i]->holds(load<uint32_t>(at + field.offset)));
    }
    if (!sound) throw DataError("is corrupted: row " + std::to_string(row) + " points outside of it");
  }
}

// --- reading -----------------------------------------------------------------------------------------------

const uint8_t* Image::slot(uint64_t row) const {
  return bytes_->data() + directory_.slots.offset + row * static_cast<uint64_t>(layout_.slot_bytes);
}

std::pair<ColumnPtr, Batch> Image::read(uint64_t from, uint64_t to,
                                        const std::set<std::string>& names) const {
  to = std::min(to, directory_.rows);
  from = std::min(from, to);
  std::vector<const uint8_t*> slots;
  for (uint64_t row = from; row < to; ++row) slots.push_back(slot(row + 1));
  std::vector<int32_t> fields;
  for (int32_t i = 0; i < layout_.raw_fields; ++i) {
    if (names.contains(layout_.fields[i].name)) fields.push_back(i);
  }
  Batch batch(static_cast<int64_t>(slots.size()));
  std::vector<ColumnPtr> columns = SlotReader(layout_, slots).read(fields, heaps_);
  for (size_t i = 0; i < fields.size(); ++i) batch.add(layout_.fields[fields[i]].name, std::move(columns[i]));
  KeysBuilder keys(directory_.text_keys);
  for (const uint8_t* at : slots) keys.add(keys_.bytes_of(at + Layout::kKey, directory_.text_keys));
  return {keys.finish(), std::move(batch)};
}

}  // namespace recserve::items
