#include "items/image_directory.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "columns/error.h"
#include "items/hash.h"
#include "items/key_cells.h"

namespace recserve::items {

namespace {

constexpr char kMagic[8] = {'R', 'S', 'I', 'T', 'E', 'M', 'S', '\n'};  // a text conversion breaks its end
constexpr uint32_t kByteOrder = 0x01020304;
constexpr uint32_t kOtherByteOrder = 0x04030201;
/// Goes up whenever slots, cells, tables of handles or the directory change.
constexpr uint32_t kVersion = 1;
constexpr size_t kChecksumAt = 16;

[[noreturn]] void refuse(const std::string& why) { throw DataError(why); }

class Encoder {
 public:
  template <class T>
  void number(T value) {
    static_assert(std::is_integral_v<T>);
    const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof(T));
  }
  void text(std::string_view text) {
    number<uint64_t>(text.size());
    bytes_.insert(bytes_.end(), text.begin(), text.end());
  }
  void section(const Section& section) {
    number(section.offset);
    number(section.bytes);
    number(section.checksum);
  }
  std::vector<uint8_t> finish() { return std::move(bytes_); }

 private:
  std::vector<uint8_t> bytes_;
};

class Decoder {
 public:
  Decoder(std::span<const uint8_t> bytes, uint64_t file_bytes) : bytes_(bytes), file_bytes_(file_bytes) {}

  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)), sizeof(T));
    return value;
  }
  std::string text() {
    const auto size = number<uint64_t>();
    const auto* from = reinterpret_cast<const char*>(take(size));
    return {from, size};
  }
  /// Of things that take `least` bytes each.
  uint64_t count(uint64_t least) {
    const auto count = number<uint64_t>();
    if (count > bytes_.size() / least) refuse("is corrupted: its directory is cut off");
    return count;
  }
  Section section() {
    Section section{number<uint64_t>(), number<uint64_t>(), number<uint64_t>()};
    const bool inside = section.offset % kSectionAlign == 0 && section.bytes <= file_bytes_ &&
                        section.offset <= file_bytes_ &&
                        aligned(section.bytes) <= file_bytes_ - section.offset;
    if (!inside) refuse("is corrupted: a section lies outside of the file");
    return section;
  }

 private:
  const uint8_t* take(uint64_t size) {
    if (size > bytes_.size()) refuse("is corrupted: its directory is cut off");
    const uint8_t* from = bytes_.data();
    bytes_ = bytes_.subspan(size);
    return from;
  }

  std::span<const uint8_t> bytes_;
  uint64_t file_bytes_;
};

/// Of a preamble, but for the place where the checksum is.
uint64_t checksum_of(std::span<const uint8_t> bytes) {
  std::vector<uint8_t> others(bytes.begin(), bytes.end());
  others.resize(Preamble::kBytes);
  std::memset(&others[kChecksumAt], 0, sizeof(uint64_t));
  Checksum checksum;
  checksum.add(others);
  return checksum.value();
}

/// Throws where the types cannot be those of a store's columns.
void check_columns(const Directory& directory) {
  constexpr int64_t kMostBytes = 1 << 28;  // of a slot
  int64_t bytes = 0;
  for (const Directory::Column& column : directory.columns)
    bytes += 16 + 8 * int64_t{parse_type(column.type).width};
  if (directory.raw_columns > directory.columns.size() || bytes > kMostBytes)
    refuse("is corrupted: it lacks columns");
}

void check_blocks(const Directory::Texts& texts) {
  uint64_t bytes = 0;
  for (const Heap::Block& block : texts.state.blocks) {
    if (block.used > texts.arena.bytes) refuse("is corrupted: a block of texts lies outside of its section");
    bytes += aligned(block.used);
  }
  if (bytes != texts.arena.bytes || texts.table.bytes % sizeof(Heap::Cell) != 0) {
    refuse("is corrupted: blocks of texts do not fill their section");
  }
}

}  // namespace

// --- preamble ----------------------------------------------------------------------------------------------

std::vector<uint8_t> Preamble::encoded() const {
  Encoder out;
  for (const char c : kMagic) out.number(c);
  out.number(kByteOrder);
  out.number(kVersion);
  out.number(uint64_t{0});
  out.number(file_bytes);
  out.section(directory);
  std::vector<uint8_t> bytes = out.finish();
  bytes.resize(kBytes);
  const uint64_t checksum = checksum_of(bytes);
  std::memcpy(bytes.data() + kChecksumAt, &checksum, sizeof(checksum));
  return bytes;
}

Preamble Preamble::decoded(std::span<const uint8_t> bytes, uint64_t file_bytes) {
  if (bytes.empty()) refuse("is empty");
  if (std::memcmp(bytes.data(), kMagic, std::min(bytes.size(), sizeof(kMagic))) != 0)
    refuse("is no item image");
  if (bytes.size() < kBytes) refuse("is cut off: it has " + std::to_string(file_bytes) + " bytes");
  Decoder in(bytes.subspan(sizeof(kMagic)), file_bytes);
  const auto order = in.number<uint32_t>();
  const auto version = in.number<uint32_t>();
  if (order == kOtherByteOrder) refuse("was written on a machine of the other byte order");
  if (order == kByteOrder && version != kVersion) {
    refuse("has format " + std::to_string(version) + "; this recserve reads format " +
           std::to_string(kVersion));
  }
  if (in.number<uint64_t>() != checksum_of(bytes)) refuse("is corrupted: its first bytes were changed");
  Preamble preamble;
  preamble.file_bytes = in.number<uint64_t>();
  if (preamble.file_bytes != file_bytes) {
    refuse((file_bytes < preamble.file_bytes ? "is cut off: it has " : "is corrupted: it has ") +
           std::to_string(file_bytes) + " of " + std::to_string(preamble.file_bytes) + " bytes");
  }
  preamble.directory = in.section();
  return preamble;
}

// --- directory ---------------------------------------------------------------------------------------------

std::vector<uint8_t> Directory::encoded() const {
  Encoder out;
  // Tables of handles hold hashes; they are of no use to a build that hashes differently.
  out.number(hash_bytes("recserve"));
  out.number(uint8_t{text_keys});
  out.number(raw_columns);
  out.number<uint64_t>(columns.size());
  for (const Column& column : columns) {
    out.text(column.name);
    out.text(column.type);
    out.number(column.limit);
    out.number(uint8_t{column.always_raw});
  }
  out.number(layout().slot_bytes);
  out.number(created_ms);
  out.number(rows);
  out.text(meta);
  out.section(slots);
  out.number<uint64_t>(texts.size());
  for (const Texts& heap : texts) {
    out.section(heap.arena);
    out.section(heap.table);
    out.number(heap.state.open);
    out.number(heap.state.saved);
    out.number<uint64_t>(heap.state.blocks.size());
    for (const Heap::Block& block : heap.state.blocks) {
      out.number(block.first);
      out.number(block.chunks);
      out.number(block.used);
    }
  }
  return out.finish();
}

Directory Directory::decoded(std::span<const uint8_t> bytes, uint64_t file_bytes) {
  Decoder in(bytes, file_bytes);
  Directory directory;
  const bool hashes_alike = in.number<uint64_t>() == hash_bytes("recserve");
  directory.text_keys = in.number<uint8_t>() != 0;
  directory.raw_columns = in.number<uint32_t>();
  directory.columns.resize(in.count(25));
  for (Column& column : directory.columns) {
    column.name = in.text();
    column.type = in.text();
    column.limit = in.number<uint64_t>();
    column.always_raw = in.number<uint8_t>() != 0;
  }
  check_columns(directory);
  const auto slot_bytes = in.number<int32_t>();
  if (!hashes_alike || slot_bytes != directory.layout().slot_bytes) {
    refuse("was written by another build of recserve, which lays rows out differently");
  }
  directory.created_ms = in.number<int64_t>();
  directory.rows = in.number<uint64_t>();
  directory.meta = in.text();
  directory.slots = in.section();
  if (directory.rows >= UINT32_MAX ||
      directory.slots.bytes != (directory.rows + 1) * static_cast<uint64_t>(slot_bytes)) {
    refuse("is corrupted: its rows do not fill their section");
  }
  directory.texts.resize(in.count(60));
  for (Texts& heap : directory.texts) {
    heap.arena = in.section();
    heap.table = in.section();
    heap.state.open = in.number<uint32_t>();
    heap.state.saved = in.number<uint64_t>();
    heap.state.blocks.resize(in.count(16));
    for (Heap::Block& block : heap.state.blocks) {
      block.first = in.number<uint32_t>();
      block.chunks = in.number<uint32_t>();
      block.used = in.number<uint64_t>();
    }
    check_blocks(heap);
  }
  if (static_cast<int64_t>(directory.texts.size()) != directory.heaps())
    refuse("is corrupted: it lacks texts");
  return directory;
}

Layout Directory::layout() const {
  ColumnTypes raw, finished;
  std::map<std::string, int64_t> limits;
  std::set<std::string> always;
  for (size_t i = 0; i < columns.size(); ++i) {
    (i < raw_columns ? raw : finished).emplace_back(columns[i].name, parse_type(columns[i].type));
    if (columns[i].limit > 0) limits[columns[i].name] = static_cast<int64_t>(columns[i].limit);
    if (columns[i].always_raw) always.insert(columns[i].name);
  }
  return Layout(KeyCells::bytes(text_keys), raw, finished, limits, always);
}

int64_t Directory::heaps() const {
  int64_t heaps = text_keys ? 1 : 0;
  for (const Field& field : layout().fields) heaps += field.storage != Storage::Inline;
  return heaps;
}

std::vector<uint64_t> Directory::offsets(const Texts& texts) {
  std::vector<uint64_t> offsets;
  uint64_t from = texts.arena.offset;
  for (const Heap::Block& block : texts.state.blocks) {
    offsets.push_back(from);
    from += aligned(block.used);
  }
  return offsets;
}

std::string Directory::difference(const Directory& other) const {
  const auto keys = [](bool text) { return std::string(text ? "texts" : "int64"); };
  if (text_keys != other.text_keys)
    return "its keys are " + keys(text_keys) + ", not " + keys(other.text_keys);
  const auto described = [](const Column& column) {
    std::string text = "'" + column.name + "' " + column.type;
    if (column.limit > 0) text += " below " + std::to_string(column.limit);
    return text + (column.always_raw ? ", always gathered" : "");
  };
  for (size_t i = 0; i < std::max(columns.size(), other.columns.size()); ++i) {
    const bool here = i < columns.size(), there = i < other.columns.size();
    const bool kind = (i < raw_columns) == (i < other.raw_columns);
    if (here && there && kind && columns[i] == other.columns[i]) continue;
    const std::string place = "column " + std::to_string(i) + " is ";
    const auto shown = [&](const Directory& d, bool has) {
      return has ? (i < d.raw_columns ? "raw " : "finished ") + described(d.columns[i])
                 : std::string("absent");
    };
    return place + shown(*this, here) + ", not " + shown(other, there);
  }
  return "";
}

}  // namespace recserve::items
