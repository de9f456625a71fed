// One cell of a torchrec request: a PBFeature, one of 30 kinds of value, read where it lies.
//
//   scalars 1-5 · maps 6-20 (key x value) · lists 21-25 · lists of lists 26-30
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "columns/column.h"
#include "wire/protobuf.h"

namespace recserve::wire {

/// What a member of PBFeature's oneof holds.
struct Member {
  Shape shape = Shape::Scalar;
  Type key = Type::String;  // maps only
  Type value = Type::String;
};

inline constexpr int kMembers = 30;
extern const Member members[kMembers + 1];  // by field number; 0 stands for an unset feature

/// One number or one text, in the widest form.
class Scalar {
 public:
  enum class Kind : uint8_t { Whole, Real, Text };

  static Scalar of(int64_t number) {
    Scalar scalar(Kind::Whole);
    scalar.whole_ = number;
    return scalar;
  }
  static Scalar of(double number) {
    Scalar scalar(Kind::Real);
    scalar.real_ = number;
    return scalar;
  }
  static Scalar of(std::string_view text) {
    Scalar scalar(Kind::Text);
    scalar.text_ = text.data();
    scalar.size_ = static_cast<uint32_t>(text.size());
    return scalar;
  }
  /// What a field of that type holds when nobody wrote it: 0 or no text.
  static Scalar zero(Type type) {
    if (type == Type::String) return of(std::string_view());
    return type == Type::Float32 || type == Type::Float64 ? of(0.0) : of(int64_t{0});
  }

  Kind kind() const { return kind_; }
  int64_t whole() const { return whole_; }
  double real() const { return real_; }
  std::string_view text() const { return {text_, size_}; }

 private:
  explicit Scalar(Kind kind) : whole_(0), kind_(kind) {}
  union {
    int64_t whole_;
    double real_;
    const char* text_;
  };
  uint32_t size_ = 0;
  Kind kind_;
};

struct Pair {
  Scalar key;
  Scalar value;
};

/// A PBFeature: `scalar` for members 1 to 5, else the member's message.
struct Cell {
  int member = 0;
  Scalar scalar = Scalar::of(std::string_view());
  std::string_view message;

  const Member& holds() const { return members[member]; }
};

/// Reads a PBFeature: of several members the last wins, and repeats of that one message are merged.
Cell read_cell(std::string_view feature, Pieces& pieces);

/// Reads a number or text of the given type; false (and nothing read) when the wire type is another one.
bool read_scalar(Reader& reader, Tag tag, Type type, Scalar& scalar);

/// Checks all that the cell holds. Returns its number of elements: 0 = missing.
int64_t check(const Cell& cell);

/// The pairs of a map cell, one per key. `pairs` is scratch that a caller keeps from cell to cell.
void read_pairs(const Cell& cell, std::vector<Pair>& pairs);

/// Calls `each(scalar)` for every element of a list message (an IntList, a StringList, ...).
template <class Each>
void for_each_listed(std::string_view list, Type type, Each&& each) {
  Reader reader(list);
  for (Tag tag; reader.next(tag);) {
    bool known = false;
    if (tag.field == 1) {
      switch (type) {
        case Type::Int32:
          known = read_repeated(reader, tag, WireType::Varint,
                                [&](Reader& r) { each(Scalar::of(int64_t{r.int32()})); });
          break;
        case Type::Int64:
          known =
              read_repeated(reader, tag, WireType::Varint, [&](Reader& r) { each(Scalar::of(r.int64())); });
          break;
        case Type::Float32:
          known = read_repeated(reader, tag, WireType::Fixed32,
                                [&](Reader& r) { each(Scalar::of(double{r.float32()})); });
          break;
        case Type::Float64:
          known = read_repeated(reader, tag, WireType::Fixed64,
                                [&](Reader& r) { each(Scalar::of(r.float64())); });
          break;
        case Type::String:
          known = tag.type == WireType::Bytes;
          if (known) each(Scalar::of(reader.string()));
          break;
      }
    }
    if (!known) reader.skip(tag);
  }
}

/// Calls `each(message)` for every occurrence of message field 1: the lists of a cell of lists, the entries
/// of a map cell, the features of a ContextFeatures.
template <class Each>
void for_each_message(std::string_view message, Each&& each) {
  Reader reader(message);
  for (Tag tag; reader.next(tag);) {
    if (tag.is(1, WireType::Bytes)) {
      each(reader.bytes());
    } else {
      reader.skip(tag);
    }
  }
}

}  // namespace recserve::wire
