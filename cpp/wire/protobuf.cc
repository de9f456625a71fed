#include "wire/protobuf.h"

namespace recserve::wire {

namespace {

/// Bytes of the well-formed sequence that starts with the non-ASCII byte at `at`; 0: there is none.
/// Table 3-7 of the Unicode standard.
int sequence_length(const unsigned char* at, const unsigned char* end) {
  const unsigned char lead = at[0];
  const int length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || end - at < length) return 0;
  unsigned char low = 0x80, high = 0xBF;  // of the second byte
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  if (at[1] < low || at[1] > high) return 0;
  for (int i = 2; i < length; ++i) {
    if (at[i] < 0x80 || at[i] > 0xBF) return 0;
  }
  return length;
}

}  // namespace

bool is_utf8(std::string_view text) {
  auto* at = reinterpret_cast<const unsigned char*>(text.data());
  auto* end = at + text.size();
  while (at < end) {
    const int length = *at < 0x80 ? 1 : sequence_length(at, end);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

std::string quoted(std::string_view name) {
  constexpr size_t kShown = 100;
  std::string text = "'";
  text.append(name.substr(0, kShown));
  return text + (name.size() > kShown ? "...'" : "'");
}

uint64_t Reader::long_varint(int max_bytes) {
  uint64_t number = 0;
  for (int i = 0; i < max_bytes; ++i) {
    if (at_ == end_) throw ParseError("a number is cut short");
    const auto byte = static_cast<uint8_t>(*at_++);
    number |= static_cast<uint64_t>(byte & 0x7F) << (7 * i);
    if (byte < 0x80) return number;
  }
  throw ParseError("a number is too long");
}

void Reader::skip(Tag tag, int groups_left) {
  switch (tag.type) {
    case WireType::Varint: varint(); return;
    case WireType::Fixed64: fixed<uint64_t>(); return;
    case WireType::Fixed32: fixed<uint32_t>(); return;
    case WireType::Bytes: bytes(); return;
    case WireType::EndGroup: throw ParseError("a group ends that never started");
    case WireType::StartGroup: break;
  }
  if (groups_left == 0) throw ParseError("groups are nested too deep");
  while (at_ != end_) {
    const Tag inner = read_tag();
    if (inner.type != WireType::EndGroup) {
      skip(inner, groups_left - 1);
    } else if (inner.field == tag.field) {
      return;
    } else {
      throw ParseError("a group ends that never started");
    }
  }
  throw ParseError("a group never ends");
}

namespace {

/// Throws unless the bytes are whole fields.
void check_fields(std::string_view message) {
  Reader reader(message);
  for (Tag tag; reader.next(tag);) reader.skip(tag);
}

}  // namespace

std::string_view Pieces::join(std::string_view first, std::string_view more) {
  if (first.empty()) return more;
  if (joined_.empty() || joined_.back().data() != first.data()) {
    check_fields(first);
    joined_.emplace_back(first);
  }
  check_fields(more);
  return joined_.back().append(more);
}

namespace {

/// `value(reader)` reads field 2 where its wire type is right.
template <class Value>
std::string_view read_entry(std::string_view entry, Value&& value) {
  std::string_view key;
  Reader reader(entry);
  for (Tag tag; reader.next(tag);) {
    if (tag.is(1, WireType::Bytes)) {
      key = reader.string();
    } else if (tag.is(2, WireType::Bytes)) {
      value(reader);
    } else {
      reader.skip(tag);
    }
  }
  return key;
}

}  // namespace

Entry read_message_entry(std::string_view entry, Pieces& pieces) {
  std::string_view value;
  std::string_view key = read_entry(entry, [&](Reader& r) { value = pieces.join(value, r.bytes()); });
  return {key, value};
}

Entry read_string_entry(std::string_view entry) {
  std::string_view value;
  std::string_view key = read_entry(entry, [&](Reader& r) { value = r.string(); });
  return {key, value};
}

}  // namespace recserve::wire
