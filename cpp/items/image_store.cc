// A store becomes an image, and an image a store.
#include <chrono>

#include "items/cell_codec.h"
#include "items/scan.h"

namespace recserve::items {

namespace {

/// Rows that are looked at side by side, so that their cache misses overlap.
constexpr size_t kBlockRows = 64;
constexpr int64_t kScanRows = 4096;

std::span<const uint8_t> bytes_of(const void* data, uint64_t size) {
  return {static_cast<const uint8_t*>(data), size};
}

int64_t now_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

Directory::Texts write_texts(FileReplacement& file, Heap& heap) {
  Directory::Texts texts;
  {
    std::lock_guard lock(heap.mutex());
    texts.state = heap.state();
  }
  // Bytes below `used` do not change any more.
  static constexpr uint8_t kZeros[kSectionAlign] = {};
  file.start();
  for (const Heap::Block& block : texts.state.blocks) {
    file.write(
        {heap.at(static_cast<uint32_t>(block.first * Heap::kChunkBytes / Heap::kGranule)), block.used});
    file.write({kZeros, aligned(block.used) - block.used});
  }
  texts.arena = file.finish();
  file.start();
  file.write(bytes_of(texts.state.table.data(), texts.state.table.size() * sizeof(Heap::Cell)));
  texts.table = file.finish();
  texts.state.table = {};
  return texts;
}

}  // namespace

Directory ItemStore::directory() const {
  Directory directory;
  directory.text_keys = spec_.text_keys;
  directory.raw_columns = static_cast<uint32_t>(layout_.raw_fields);
  for (const Field& field : layout_.fields) {
    const bool raw = static_cast<int32_t>(directory.columns.size()) < layout_.raw_fields;
    directory.columns.push_back(
        {field.name, name_of(field.type), field.limit, raw && spec_.always_raw.contains(field.name)});
  }
  return directory;
}

std::vector<Heap*> ItemStore::all_heaps() {
  std::vector<Heap*> heaps;
  for (const auto& heap : heaps_) {
    if (heap != nullptr) heaps.push_back(heap.get());
  }
  if (spec_.text_keys) heaps.push_back(&key_cells_.texts());
  return heaps;
}

uint64_t ItemStore::save(const std::string& path, const std::string& meta) {
  std::lock_guard lock(maintenance_);
  FileReplacement file(path);
  file.start();
  file.write(std::vector<uint8_t>(kSectionAlign));  // where the preamble goes when all else is known
  file.finish();
  Scan scan(*this, nullptr);
  Directory directory = this->directory();
  directory.created_ms = now_ms();
  directory.meta = meta;
  file.start();
  file.write({slots_.at(0), static_cast<size_t>(layout_.slot_bytes)});
  std::vector<uint8_t> slot(layout_.slot_bytes);
  constexpr uint64_t kBorn = 1;
  for (auto slots = scan.next_slots(kScanRows); !slots.empty(); slots = scan.next_slots(kScanRows)) {
    for (const uint8_t* at : slots) {
      std::memcpy(slot.data(), at, slot.size());
      std::memcpy(slot.data() + Layout::kBorn, &kBorn, sizeof(kBorn));
      std::memset(slot.data() + Layout::kPrevious, 0, sizeof(uint32_t));
      file.write(slot);
    }
    directory.rows += slots.size();
  }
  directory.slots = file.finish();
  // Taken after the scan's pin, the heaps hold every string of the rows above.
  for (Heap* heap : all_heaps()) directory.texts.push_back(write_texts(file, *heap));
  file.start();
  file.write(directory.encoded());
  Preamble preamble;
  preamble.directory = file.finish();
  preamble.file_bytes = file.bytes();
  file.overwrite(preamble.encoded());
  file.commit();
  return preamble.file_bytes;
}

void ItemStore::restore(const Image& image) {
  const std::string difference = image.directory().difference(directory());
  if (!difference.empty()) {
    throw DataError("item image '" + image.path() + "' keeps other columns than this store: " + difference +
                    "; read its rows with Image.scan and write them");
  }
  if (rows_ > 0 || epochs_.current() != 1) throw DataError("only a new store is restored from an image");
  image.check();
  image_ = image.map();
  std::vector<std::unique_ptr<Heap>> heaps = image.heaps(*image_, true);
  if (spec_.text_keys) {
    key_cells_.adopt(std::move(heaps.back()));
    heaps.pop_back();
  }
  auto next = heaps.begin();
  for (auto& heap : heaps_) {
    if (heap != nullptr) heap = std::move(*next++);
  }
  const uint64_t rows = image.directory().rows;
  slots_.adopt(image_->data() + image.directory().slots.offset, rows + 1);
  rows_ = static_cast<int64_t>(rows);
  index_.reserve(rows_);
  std::vector<uint32_t> hashes(kBlockRows);
  for (uint64_t from = 1; from <= rows; from += kBlockRows) {
    const uint64_t to = std::min(from + kBlockRows, rows + 1);
    for (uint64_t row = from; row < to; ++row) {
      hashes[row - from] =
          key_cells_.hash(slots_.at(static_cast<uint32_t>(row)) + Layout::kKey, spec_.text_keys);
      index_.table().prefetch(hashes[row - from]);
    }
    for (uint64_t row = from; row < to; ++row) index_.insert(hashes[row - from], static_cast<uint32_t>(row));
  }
}

}  // namespace recserve::items
