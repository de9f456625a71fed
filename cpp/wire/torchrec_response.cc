#include "wire/torchrec_response.h"

#include "wire/keep_last.h"

namespace recserve::wire {

std::string encode(const TorchrecResponseView& response) {
  std::string out;
  Writer writer(out);
  for (const auto& [name, tensor] : response.outputs) write_named_tensor(writer, 1, name, tensor);
  for (const auto& [id, text] : response.generate_features) writer.entry(2, id, text);
  for (const auto& [id, text] : response.raw_features) writer.entry(3, id, text);
  const Column& ids = *response.item_ids;
  for (int64_t row = 0; row < ids.rows; ++row) writer.bytes(4, ids.values.text(row));
  for (const auto& [name, value] : response.pass_through) writer.entry(5, name, value);
  return out;
}

namespace {

using Views = std::vector<std::pair<std::string_view, std::string_view>>;

Texts texts(Views& entries) {
  keep_last(entries, [](const auto& entry) { return entry.first; }, [](const auto&) {});
  return {entries.begin(), entries.end()};
}

TorchrecResponse read_response(std::string_view body) {
  NamedTensors outputs;
  Views generate_features, raw_features, pass_through;
  StringsBuilder ids;
  Reader reader(body);
  auto add = [](Views& entries, const Entry& entry) { entries.emplace_back(entry.key, entry.value); };
  for (Tag tag; reader.next(tag);) {
    if (tag.type != WireType::Bytes || tag.field > 5) {
      reader.skip(tag);
      continue;
    }
    switch (tag.field) {
      case 1: outputs.add(reader.bytes()); break;
      case 2: add(generate_features, read_string_entry(reader.bytes())); break;
      case 3: add(raw_features, read_string_entry(reader.bytes())); break;
      case 4: ids.append(reader.string()); break;
      case 5: add(pass_through, read_string_entry(reader.bytes())); break;
    }
  }
  auto item_ids = std::make_shared<Column>();
  item_ids->rows = ids.size();
  item_ids->values = ids.finish();
  return {std::move(item_ids), outputs.read("output"), texts(generate_features), texts(raw_features),
          texts(pass_through)};
}

}  // namespace

TorchrecResponse decode_torchrec_response(std::string_view body) {
  try {
    return read_response(body);
  } catch (const ParseError& error) {
    throw RequestError(std::string("failed to parse response: ") + error.what());
  }
}

}  // namespace recserve::wire
