#include "wire/feature.h"

#include <algorithm>

#include "wire/keep_last.h"

namespace recserve::wire {

const Member members[kMembers + 1] = {
    {},
    {Shape::Scalar, Type::String, Type::Int32},
    {Shape::Scalar, Type::String, Type::Int64},
    {Shape::Scalar, Type::String, Type::String},
    {Shape::Scalar, Type::String, Type::Float32},
    {Shape::Scalar, Type::String, Type::Float64},
    {Shape::Map, Type::Int64, Type::String},
    {Shape::Map, Type::Int64, Type::Int32},
    {Shape::Map, Type::Int64, Type::Int64},
    {Shape::Map, Type::Int64, Type::Float32},
    {Shape::Map, Type::Int64, Type::Float64},
    {Shape::Map, Type::String, Type::String},
    {Shape::Map, Type::String, Type::Int32},
    {Shape::Map, Type::String, Type::Int64},
    {Shape::Map, Type::String, Type::Float32},
    {Shape::Map, Type::String, Type::Float64},
    {Shape::Map, Type::Int32, Type::String},
    {Shape::Map, Type::Int32, Type::Int32},
    {Shape::Map, Type::Int32, Type::Int64},
    {Shape::Map, Type::Int32, Type::Float32},
    {Shape::Map, Type::Int32, Type::Float64},
    {Shape::List, Type::String, Type::Int32},
    {Shape::List, Type::String, Type::Int64},
    {Shape::List, Type::String, Type::String},
    {Shape::List, Type::String, Type::Float32},
    {Shape::List, Type::String, Type::Float64},
    {Shape::Nested, Type::String, Type::Int32},
    {Shape::Nested, Type::String, Type::Int64},
    {Shape::Nested, Type::String, Type::String},
    {Shape::Nested, Type::String, Type::Float32},
    {Shape::Nested, Type::String, Type::Float64},
};

bool read_scalar(Reader& reader, Tag tag, Type type, Scalar& scalar) {
  switch (type) {
    case Type::Int32:
      if (tag.type != WireType::Varint) return false;
      scalar = Scalar::of(int64_t{reader.int32()});
      return true;
    case Type::Int64:
      if (tag.type != WireType::Varint) return false;
      scalar = Scalar::of(reader.int64());
      return true;
    case Type::Float32:
      if (tag.type != WireType::Fixed32) return false;
      scalar = Scalar::of(double{reader.float32()});
      return true;
    case Type::Float64:
      if (tag.type != WireType::Fixed64) return false;
      scalar = Scalar::of(reader.float64());
      return true;
    case Type::String:
      if (tag.type != WireType::Bytes) return false;
      scalar = Scalar::of(reader.string());
      return true;
  }
  return false;
}

Cell read_cell(std::string_view feature, Pieces& pieces) {
  Cell cell;
  Reader reader(feature);
  for (Tag tag; reader.next(tag);) {
    if (tag.field > kMembers) {
      reader.skip(tag);
      continue;
    }
    const int member = static_cast<int>(tag.field);
    const bool is_message = members[member].shape != Shape::Scalar;
    // What another member replaces must be well-formed all the same.
    if (cell.member != member) check(cell);
    if (!is_message && read_scalar(reader, tag, members[member].value, cell.scalar)) {
      cell.member = member;
    } else if (is_message && tag.type == WireType::Bytes) {
      cell.message = pieces.join(cell.member == member ? cell.message : std::string_view(), reader.bytes());
      cell.member = member;
    } else {
      reader.skip(tag);
    }
  }
  return cell;
}

namespace {

Pair read_pair(std::string_view entry, const Member& holds) {
  Pair pair{Scalar::zero(holds.key), Scalar::zero(holds.value)};
  Reader reader(entry);
  for (Tag tag; reader.next(tag);) {
    const bool known = (tag.field == 1 && read_scalar(reader, tag, holds.key, pair.key)) ||
                       (tag.field == 2 && read_scalar(reader, tag, holds.value, pair.value));
    if (!known) reader.skip(tag);
  }
  return pair;
}

void keep_last_pairs(std::vector<Pair>& pairs, Type key) {
  auto dropped = [](const Pair&) {};
  if (key == Type::String) {
    keep_last(pairs, [](const Pair& p) { return p.key.text(); }, dropped);
  } else {
    keep_last(pairs, [](const Pair& p) { return static_cast<uint64_t>(p.key.whole()); }, dropped);
  }
}

}  // namespace

int64_t check(const Cell& cell) {
  int64_t elements = 0;
  switch (cell.holds().shape) {
    case Shape::Scalar:
      return cell.member != 0 && (cell.holds().value != Type::String || !cell.scalar.text().empty()) ? 1 : 0;
    case Shape::List:
      for_each_listed(cell.message, cell.holds().value, [&](const Scalar&) { ++elements; });
      break;
    case Shape::Map:
      for_each_message(cell.message, [&](std::string_view entry) {
        read_pair(entry, cell.holds());
        ++elements;
      });
      break;
    case Shape::Nested:
      for_each_message(cell.message, [&](std::string_view list) {
        for_each_listed(list, cell.holds().value, [](const Scalar&) {});
        ++elements;
      });
      break;
  }
  return elements;
}

void read_pairs(const Cell& cell, std::vector<Pair>& pairs) {
  // A map of two-byte entries with one key would otherwise take sixteen times its size.
  size_t next_sweep = 1 << 16;
  pairs.clear();
  for_each_message(cell.message, [&](std::string_view entry) {
    pairs.push_back(read_pair(entry, cell.holds()));
    if (pairs.size() >= next_sweep) {
      keep_last_pairs(pairs, cell.holds().key);
      next_sweep = std::max(next_sweep, pairs.size() * 2);
    }
  });
  keep_last_pairs(pairs, cell.holds().key);
}

}  // namespace recserve::wire
