// Protobuf's wire format, read without copies and without trusting a byte.
//
//   message = (tag value)*          tag = field number << 3 | wire type, a varint
//   value   = varint | 8 bytes | 4 bytes | length bytes | group
//
// A Reader walks one message of at most 2 GiB; every length is checked against what is left, groups (which no
// message of ours has) are skipped to a bounded depth. https://protobuf.dev/programming-guides/encoding/
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <deque>
#include <stdexcept>
#include <string>
#include <string_view>

namespace recserve::wire {

static_assert(std::endian::native == std::endian::little, "the wire format is read as it lies in memory");

/// Bytes that are not the message they should be. Never leaves `decode`: it becomes a RequestError there.
struct ParseError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class WireType : uint8_t {
  Varint = 0,
  Fixed64 = 1,
  Bytes = 2,
  StartGroup = 3,
  EndGroup = 4,
  Fixed32 = 5
};

struct Tag {
  uint32_t field = 0;
  WireType type = WireType::Varint;
  bool is(uint32_t wanted_field, WireType wanted_type) const {
    return field == wanted_field && type == wanted_type;
  }
};

/// Eight bytes at a time; the last ones overlap those before.
inline bool is_ascii(std::string_view text) {
  constexpr uint64_t kHighBits = 0x8080808080808080;
  const char* at = text.data();
  uint64_t seen = 0, word = 0;
  if (text.size() < 8) {
    for (char c : text) seen |= static_cast<uint8_t>(c);
    return seen < 0x80;
  }
  for (size_t i = 0; i + 8 < text.size(); i += 8) {
    std::memcpy(&word, at + i, 8);
    seen |= word;
  }
  std::memcpy(&word, at + text.size() - 8, 8);
  return ((seen | word) & kHighBits) == 0;
}

/// Well-formed as proto3 strings must be: no surrogates, no overlong forms.
bool is_utf8(std::string_view text);

/// A name as an error message quotes it: cut after 100 bytes.
std::string quoted(std::string_view name);

class Reader {
 public:
  explicit Reader(std::string_view message) : at_(message.data()), end_(message.data() + message.size()) {}

  /// The tag of the next field, whose value the caller then reads or skips; false at the end.
  bool next(Tag& tag) {
    if (at_ == end_) return false;
    tag = read_tag();
    if (tag.type == WireType::EndGroup) throw ParseError("a group ends that never started");
    return true;
  }
  uint64_t varint() {
    if (at_ != end_ && static_cast<uint8_t>(*at_) < 0x80) return static_cast<uint8_t>(*at_++);
    return long_varint(10);
  }
  /// int32 fields are varints cut to their low 32 bits, as every protobuf library reads them.
  int32_t int32() { return static_cast<int32_t>(static_cast<uint32_t>(varint())); }
  int64_t int64() { return static_cast<int64_t>(varint()); }
  float float32() { return fixed<float>(); }
  double float64() { return fixed<double>(); }
  /// The bytes of a length-delimited field, inside the message that the reader walks.
  std::string_view bytes() {
    uint64_t size =
        at_ != end_ && static_cast<uint8_t>(*at_) < 0x80 ? static_cast<uint8_t>(*at_++) : long_varint(5);
    if (size > static_cast<uint64_t>(end_ - at_)) throw ParseError("a length runs past the end");
    at_ += size;
    return {at_ - size, static_cast<size_t>(size)};
  }
  std::string_view string() {
    std::string_view text = bytes();
    if (!is_ascii(text) && !is_utf8(text)) throw ParseError("invalid UTF-8 in a string");
    return text;
  }
  /// Skips the value of an unknown field.
  void skip(Tag tag) { skip(tag, kMaxGroups); }
  bool done() const { return at_ == end_; }

 private:
  static constexpr int kMaxGroups = 100;  // the depth limit of the usual libraries

  Tag read_tag() {
    uint64_t raw = static_cast<uint8_t>(*at_) < 0x80 ? static_cast<uint8_t>(*at_++) : long_varint(5);
    if (raw > UINT32_MAX || raw >> 3 == 0 || (raw & 7) > 5) throw ParseError("a field tag is malformed");
    return {static_cast<uint32_t>(raw >> 3), static_cast<WireType>(raw & 7)};
  }
  uint64_t long_varint(int max_bytes);
  void skip(Tag tag, int groups_left);
  template <class T>
  T fixed() {
    if (static_cast<size_t>(end_ - at_) < sizeof(T)) throw ParseError("a number is cut short");
    T number;
    std::memcpy(&number, at_, sizeof(T));
    at_ += sizeof(T);
    return number;
  }

  const char* at_;
  const char* end_;
};

/// Calls `each(reader)` for every element of a repeated number, packed or not; `tag` has its field number.
/// False when the wire type is neither, so that the field is unknown.
template <class Each>
bool read_repeated(Reader& reader, Tag tag, WireType element, Each&& each) {
  if (tag.type == element) {
    each(reader);
    return true;
  }
  if (tag.type != WireType::Bytes) return false;
  for (Reader packed(reader.bytes()); !packed.done();) each(packed);
  return true;
}

/// Keeps the bytes of messages that came in pieces. A message field that occurs twice is merged, and protobuf
/// defines the merge of two messages as the message of their joined bytes.
class Pieces {
 public:
  /// `first` and `more` in one; `first` must not be used any more. Each must end where a field ends, or the
  /// end of one would be completed by the start of the next.
  std::string_view join(std::string_view first, std::string_view more);

 private:
  std::deque<std::string> joined_;
};

/// An entry of a map<string, ...>: its key, and its value as bytes, whether they are a message or a string.
struct Entry {
  std::string_view key;
  std::string_view value;
};

/// Reads an entry whose value is a message; a repeated value is merged.
Entry read_message_entry(std::string_view entry, Pieces& pieces);

/// Reads an entry whose value is a string; of a repeated value the last wins.
Entry read_string_entry(std::string_view entry);

/// Writes a message at the end of a string.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void tag(uint32_t field, WireType type) { varint(field << 3 | static_cast<uint32_t>(type)); }
  void varint(uint64_t number) {
    while (number >= 0x80) {
      out_.push_back(static_cast<char>(number | 0x80));
      number >>= 7;
    }
    out_.push_back(static_cast<char>(number));
  }
  void raw(const void* data, size_t size) { out_.append(static_cast<const char*>(data), size); }

  void integer(uint32_t field, int64_t number) {
    tag(field, WireType::Varint);
    varint(static_cast<uint64_t>(number));
  }
  void float32(uint32_t field, float number) {
    tag(field, WireType::Fixed32);
    raw(&number, sizeof number);
  }
  void float64(uint32_t field, double number) {
    tag(field, WireType::Fixed64);
    raw(&number, sizeof number);
  }
  void bytes(uint32_t field, std::string_view text) {
    tag(field, WireType::Bytes);
    varint(text.size());
    out_.append(text);
  }
  /// A nested message or a packed field: `fill()` writes its content through this writer.
  template <class Fill>
  void message(uint32_t field, Fill&& fill) {
    tag(field, WireType::Bytes);
    const size_t start = out_.size();
    out_.push_back(0);  // one byte of length is enough for most; a longer message is moved up
    fill();
    size_t size = out_.size() - start - 1;
    char length[5];
    int used = 0;
    for (; size >= 0x80; size >>= 7) length[used++] = static_cast<char>(size | 0x80);
    length[used++] = static_cast<char>(size);
    out_[start] = length[0];
    if (used > 1) out_.insert(start + 1, length + 1, used - 1);
  }
  /// One entry of a map whose keys and values are strings.
  void entry(uint32_t field, std::string_view key, std::string_view value) {
    message(field, [&] {
      bytes(1, key);
      bytes(2, value);
    });
  }

 private:
  std::string& out_;
};

}  // namespace recserve::wire
