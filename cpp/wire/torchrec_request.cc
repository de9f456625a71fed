#include "wire/torchrec_request.h"

#include <algorithm>

#include "wire/cell_writer.h"
#include "wire/column_writer.h"
#include "wire/keep_last.h"

namespace recserve::wire {

namespace {

/// A map field of the request whose entries are collected first: of a name that comes twice the last wins.
template <class Check>
class Named {
 public:
  Named(const char* what, Check check) : what_(what), check_(check) {}

  void add(Entry entry) {
    entries_.push_back(entry);
    if (entries_.size() >= 2 * kMaxColumns) close();
  }
  /// The entries, one per name.
  const std::vector<Entry>& close() {
    if (entries_.size() == closed_) return entries_;
    keep_last(entries_, [](const Entry& e) { return e.key; }, [&](const Entry& e) { check_(e.value); });
    closed_ = entries_.size();
    if (entries_.size() > kMaxColumns) {
      throw RequestError("failed to read request: more than " + std::to_string(kMaxColumns) + " " + what_ +
                         "s");
    }
    return entries_;
  }

 private:
  const char* what_;
  Check check_;  // what a later entry of the same name replaces must be well-formed all the same
  std::vector<Entry> entries_;
  size_t closed_ = 0;  // entries known to have a name each of their own
};

/// The cells of one context or item feature.
template <class Each>
void for_each_cell(std::string_view features, Each&& each) {
  Pieces pieces;
  for_each_message(features, [&](std::string_view feature) { each(read_cell(feature, pieces)); });
}

const ColumnType* find(const ColumnTypes& types, std::string_view name) {
  auto at = types.find(name);
  return at == types.end() ? nullptr : &at->second;
}

class Decoding {
 public:
  Decoding(TorchrecRequest& request, std::string_view body)
      : request_(request), body_(body), block_(body.size() * 2) {}

  void read();
  void add_user_columns(const SideTypes& types);
  void add_item_columns(const SideTypes& context, const SideTypes& item);
  int64_t unparsable() const { return unparsable_; }

 private:
  static int64_t count(std::string_view features);
  void count_rows();
  ColumnPtr user_column(const Entry& entry, const SideTypes& types);
  ColumnPtr item_column(const char* side, const Entry& entry, const SideTypes& types);
  int64_t rows_of(const char* side, const Entry& entry, int64_t entries) const;
  void note(const char* side, const Entry& entry, int64_t surplus);

  TorchrecRequest& request_;
  std::string_view body_;
  Block block_;
  ColumnWriter column_;
  int64_t unparsable_ = 0;
  int64_t ids_ = 0;
  int64_t longest_ = 0;
  Pieces pieces_;

  static void check_cell(std::string_view feature) {
    Pieces pieces;
    check(read_cell(feature, pieces));
  }
  static void check_cells(std::string_view features) {
    for_each_cell(features, [](const Cell& cell) { check(cell); });
  }
  static void check_nothing(std::string_view) {}
  using Check = void (*)(std::string_view);
  Named<Check> user_{"user feature", check_cell};
  Named<Check> context_{"context feature", check_cells};
  Named<Check> item_{"item feature", check_cells};
  Named<Check> meta_{"meta data entry", check_nothing};
};

void Decoding::read() {
  ValuesWriter ids;
  ids.start(Type::String);
  Reader reader(body_);
  for (Tag tag; reader.next(tag);) {
    if (tag.is(1, WireType::Varint)) {
      request_.debug_level = reader.int32();
    } else if (tag.is(2, WireType::Bytes)) {
      user_.add(read_message_entry(reader.bytes(), pieces_));
    } else if (tag.is(3, WireType::Bytes)) {
      ids.append(Scalar::of(reader.string()));
    } else if (tag.is(4, WireType::Bytes)) {
      context_.add(read_message_entry(reader.bytes(), pieces_));
    } else if (tag.is(5, WireType::Varint)) {
      request_.neighbours = reader.int32();
    } else if (tag.is(6, WireType::Bytes)) {
      item_.add(read_message_entry(reader.bytes(), pieces_));
    } else if (tag.is(7, WireType::Bytes)) {
      meta_.add(read_string_entry(reader.bytes()));
    } else {
      reader.skip(tag);
    }
  }
  ids_ = ids.size();
  auto column = std::make_shared<Column>();
  column->rows = ids_;
  column->values = ids.finish(block_);
  request_.item_ids = std::move(column);
  for (const Entry& entry : meta_.close()) request_.meta.emplace_back(entry.key, entry.value);
}

/// Runs `read`, so that a parse error says where it was.
template <class Read>
auto in(const char* what, std::string_view name, Read&& read) {
  try {
    return read();
  } catch (const ParseError& error) {
    throw ParseError(std::string(what) + " " + quoted(name) + ": " + error.what());
  }
}

void Decoding::add_user_columns(const SideTypes& types) {
  for (const Entry& entry : user_.close()) {
    request_.user.add(std::string(entry.key),
                      in("user feature", entry.key, [&] { return user_column(entry, types); }));
  }
}

ColumnPtr Decoding::user_column(const Entry& entry, const SideTypes& types) {
  const ColumnType* declared = find(types.declared, entry.key);
  const Cell cell = read_cell(entry.value, pieces_);
  Seen seen;
  if (cell.member != 0) seen.add(cell);
  column_.start(seen.resolve(declared, find(types.fallback, entry.key)), 1);
  column_.append(cell);
  note("user", entry, 0);
  if (column_.has_null() && column_.unparsable() == 0) {  // an empty text, list or map: it says no type
    column_.start(Seen().resolve(declared, find(types.fallback, entry.key)), 1);
    column_.append(Cell());
  }
  return column_.finish(block_);
}

void Decoding::note(const char* side, const Entry& entry, int64_t surplus) {
  const int64_t unfit = column_.unparsable();
  unparsable_ += unfit;
  if (unfit != 0 || surplus > 0) request_.oddities.push_back({side, std::string(entry.key), unfit, surplus});
}

int64_t Decoding::count(std::string_view features) {
  int64_t entries = 0;
  for_each_message(features, [&](std::string_view) { ++entries; });
  return entries;
}

void Decoding::count_rows() {
  request_.rows = std::max<int64_t>(ids_, 1);
  if (ids_ != 0) return;
  for (auto [what, side] : {std::pair("context feature", &context_), std::pair("item feature", &item_)}) {
    for (const Entry& entry : side->close()) {
      longest_ = std::max(longest_, in(what, entry.key, [&] { return count(entry.value); }));
    }
  }
  request_.rows = std::max<int64_t>(longest_, 1);
}

void Decoding::add_item_columns(const SideTypes& context, const SideTypes& item) {
  count_rows();
  request_.context = Batch(request_.rows);
  request_.item_features = Batch(request_.rows);
  auto add = [&](Batch& batch, const char* side, Named<Check>& entries, const SideTypes& types) {
    const std::string what = std::string(side) + " feature";
    for (const Entry& entry : entries.close()) {
      batch.add(std::string(entry.key),
                in(what.c_str(), entry.key, [&] { return item_column(side, entry, types); }));
    }
  };
  add(request_.context, "context", context_, context);
  add(request_.item_features, "item", item_, item);
}

/// Rows of the column: one per item, or one for all.
int64_t Decoding::rows_of(const char* side, const Entry& entry, int64_t entries) const {
  if (entries >= request_.rows) return request_.rows;
  const bool says_nothing = entries == 0 && ids_ == 0 && longest_ == 0;
  if (entries == 1 || says_nothing) return 1;
  throw RequestError(std::string(side) + " feature " + quoted(entry.key) + " has " + std::to_string(entries) +
                     " entries for " + std::to_string(request_.rows) +
                     " items; send one per item, or one for all");
}

ColumnPtr Decoding::item_column(const char* side, const Entry& entry, const SideTypes& types) {
  int64_t entries = 0;
  Seen seen;
  for_each_cell(entry.value, [&](const Cell& cell) {
    const int64_t elements = check(cell);  // a surplus entry too must be well-formed
    if (entries++ < request_.rows && elements != 0) seen.add(cell);
  });
  const int64_t rows = rows_of(side, entry, entries);
  column_.start(seen.resolve(find(types.declared, entry.key), find(types.fallback, entry.key)), rows);
  int64_t row = 0;
  for_each_cell(entry.value, [&](const Cell& cell) {
    if (row++ < rows) column_.append(cell);
  });
  for (; row < rows; ++row) column_.append(Cell());
  note(side, entry, entries - request_.rows);
  return column_.finish(block_);
}

}  // namespace

TorchrecRequest TorchrecDecoder::decode(std::string_view body) const {
  // Offsets of columns are 32 bits, and no element is shorter than a byte.
  if (body.size() >= INT32_MAX) throw RequestError("failed to read request: its body is larger than 2 GiB");
  TorchrecRequest request;
  Decoding decoding(request, body);
  try {
    decoding.read();
    decoding.add_user_columns(user_);
    decoding.add_item_columns(context_, item_);
  } catch (const ParseError& error) {
    throw RequestError(std::string("failed to parse request: ") + error.what());
  }
  if (decoding.unparsable() != 0) unparsable_.fetch_add(decoding.unparsable(), std::memory_order_relaxed);
  return request;
}

namespace {

void write_item_columns(Writer& writer, uint32_t field, const Batch& batch) {
  for (const auto& [name, column] : batch.columns()) {
    writer.message(field, [&] {
      writer.bytes(1, name);
      writer.message(2, [&] {
        for (int64_t row = 0; row < column->rows; ++row) write_cell(writer, 1, *column, row);
      });
    });
  }
}

}  // namespace

std::string encode(const TorchrecRequest& request) {
  std::string out;
  Writer writer(out);
  if (request.debug_level != 0) writer.integer(1, request.debug_level);
  for (const auto& [name, column] : request.user.columns()) {
    writer.message(2, [&] {
      writer.bytes(1, name);
      write_cell(writer, 2, *column, 0);
    });
  }
  for (int64_t row = 0; row < request.item_ids->rows; ++row) {
    writer.bytes(3, request.item_ids->values.text(row));
  }
  write_item_columns(writer, 4, request.context);
  if (request.neighbours != 0) writer.integer(5, request.neighbours);
  write_item_columns(writer, 6, request.item_features);
  for (const auto& [name, value] : request.meta) writer.entry(7, name, value);
  return out;
}

}  // namespace recserve::wire
