// Throws damaged messages at every decoder: fuzz_wire [seconds] [seed]. Build it with the sanitizers; it
// fails when a decoder throws anything but RequestError, or builds a column or tensor that does not hold
// together.
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "wire/feature.h"
#include "wire/lz4.h"
#include "wire/predict.h"
#include "wire/torchrec_request.h"
#include "wire/torchrec_response.h"

using namespace recserve;
using namespace recserve::wire;

namespace {

class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}
  uint64_t below(uint64_t end) { return engine_() % end; }
  bool one_in(uint64_t n) { return below(n) == 0; }
  uint64_t bits() { return engine_(); }

 private:
  std::mt19937_64 engine_;
};

std::string random_text(Dice& dice) {
  static const char* kTexts[] = {"",      "a",   "17", "-3.5", "x:1", "a\035b", "\xE4\xB8\xAD",
                                 "1e400", " 5 ", "nan"};
  return kTexts[dice.below(std::size(kTexts))];
}

void write_value(Dice& dice, Writer& writer, uint32_t field, Type type) {
  switch (type) {
    case Type::Int32:
    case Type::Int64: return writer.integer(field, static_cast<int64_t>(dice.bits() >> dice.below(64)));
    case Type::Float32: return writer.float32(field, static_cast<float>(dice.below(100)) / 7);
    case Type::Float64: return writer.float64(field, static_cast<double>(dice.below(100)) / 7);
    case Type::String: return writer.bytes(field, random_text(dice));
  }
}

void write_member(Dice& dice, Writer& writer, int number) {
  const Member& member = members[number];
  const auto field = static_cast<uint32_t>(number);
  if (member.shape == Shape::Scalar) return write_value(dice, writer, field, member.value);
  writer.message(field, [&] {
    for (uint64_t i = dice.below(4); i > 0; --i) {
      if (member.shape == Shape::List) {
        write_value(dice, writer, 1, member.value);  // unpacked; the packed form comes by mutation
        continue;
      }
      writer.message(1, [&] {
        if (member.shape == Shape::Map) {
          write_value(dice, writer, 1, member.key);
          write_value(dice, writer, 2, member.value);
        } else {
          for (uint64_t j = dice.below(3); j > 0; --j) write_value(dice, writer, 1, member.value);
        }
      });
    }
  });
}

void write_feature(Dice& dice, Writer& writer, uint32_t field) {
  writer.message(field, [&] {
    for (uint64_t i = dice.below(3); i > 0; --i) {
      write_member(dice, writer, 1 + static_cast<int>(dice.below(kMembers)));
    }
  });
}

std::string random_request(Dice& dice) {
  std::string out;
  Writer writer(out);
  for (uint64_t i = dice.below(4); i > 0; --i) writer.bytes(3, "item");
  for (uint64_t i = dice.below(6); i > 0; --i) {
    const uint32_t field = std::array<uint32_t, 3>{2, 4, 6}[dice.below(3)];
    writer.message(field, [&] {
      writer.bytes(1, std::string(1, static_cast<char>('a' + dice.below(8))));
      if (field == 2) return write_feature(dice, writer, 2);
      writer.message(2, [&] {
        for (uint64_t row = dice.below(5); row > 0; --row) write_feature(dice, writer, 1);
      });
    });
  }
  if (dice.one_in(2)) writer.entry(7, "request_id", "r");
  if (dice.one_in(4)) writer.integer(1, static_cast<int64_t>(dice.below(1000)));
  return out;
}

std::string random_predict(Dice& dice) {
  const std::vector<int64_t> numbers(64, static_cast<int64_t>(dice.below(256)));
  auto tensor = [&] {
    static constexpr DType kSent[] = {DType::Float, DType::Double, DType::Int32, DType::UInt8,  DType::Int16,
                                      DType::Int8,  DType::Int64,  DType::Half,  DType::Invalid};
    return TensorView{kSent[dice.below(std::size(kSent))],
                      {static_cast<int64_t>(dice.below(4)), static_cast<int64_t>(dice.below(4))},
                      numbers.data()};
  };
  if (dice.one_in(2))
    return encode(PredictRequest<TensorView>{{tensor(), tensor()}, {{"x", tensor()}}, {1, 0}, 3});
  return encode(PredictResponse<TensorView>{{tensor()}, {{"y", tensor()}, {"z", tensor()}}});
}

/// Flips, inserts, removes, copies and cuts.
void damage(Dice& dice, std::string& message) {
  for (uint64_t i = dice.below(4); i > 0; --i) {
    if (message.empty()) return;
    const size_t at = dice.below(message.size());
    switch (dice.below(6)) {
      case 0: message[at] = static_cast<char>(dice.bits()); break;
      case 1: message[at] = static_cast<char>(message[at] ^ (1 << dice.below(8))); break;
      case 2: message.insert(at, 1, static_cast<char>(dice.bits())); break;
      case 3: message.erase(at, 1 + dice.below(4)); break;
      case 4: message.insert(at, message.substr(dice.below(message.size()), dice.below(20))); break;
      case 5: message.resize(at); break;
    }
  }
}

void check_batch(const Batch& batch) {
  for (const auto& [name, column] : batch.columns()) {
    validate(*column);
    if (column->rows != 1 && column->rows != batch.rows()) throw DataError("rows of " + name);
    for (int64_t row = 0; row < column->rows; ++row) {
      if (column->is_valid(row) && column->shape != Shape::Scalar && column->missing(row)) {
        throw DataError("an empty row of " + name + " is not null");
      }
    }
  }
}

void check_tensor(const Tensor& tensor) {
  int64_t elements = tensor.dtype == DType::Invalid ? 0 : 1;
  for (int64_t dim : tensor.shape) elements *= dim;
  if (tensor.data.size() != elements * element_size(tensor.dtype)) throw DataError("a tensor's size");
}

template <class Decode>
bool accepts(Decode&& decode) {
  try {
    decode();
    return true;
  } catch (const RequestError&) {
    return false;  // the one answer to what cannot be read
  }
}

struct Counts {
  int64_t executions = 0;
  int64_t accepted = 0;
};

/// Gives the message to every decoder, whichever it was made for. The exact copy lets the sanitizer see a
/// read past the end.
void feed(const std::string& message, const std::vector<const TorchrecDecoder*>& decoders, Counts& counts) {
  const std::vector<char> exact(message.begin(), message.end());
  const std::string_view body(exact.data(), exact.size());
  auto count = [&](bool accepted) {
    ++counts.executions;
    counts.accepted += accepted ? 1 : 0;
  };
  for (const auto* decoder : decoders) {
    count(accepts([&] {
      const TorchrecRequest request = decoder->decode(body);
      for (const Batch* batch : {&request.user, &request.context, &request.item_features})
        check_batch(*batch);
      decoder->decode(encode(request));
    }));
  }
  count(accepts([&] {
    for (const auto& [name, tensor] : decode_torchrec_response(body).outputs) check_tensor(tensor);
  }));
  count(accepts([&] {
    const auto request = decode_predict_request(body);
    for (const Tensor& tensor : request.inputs) check_tensor(tensor);
    for (const auto& [name, tensor] : request.named_inputs) check_tensor(tensor);
  }));
  count(accepts([&] {
    for (const Tensor& tensor : decode_predict_response(body).outputs) check_tensor(tensor);
  }));
  count(lz4_block_size(body).has_value());
}

ColumnTypes random_types(Dice& dice) {
  static const char* kTypes[] = {"int32",
                                 "int64",
                                 "float32",
                                 "float64",
                                 "string",
                                 "list<int64>",
                                 "list<string>",
                                 "list<float32>",
                                 "map<int32,int64>",
                                 "map<string,float32>",
                                 "list<list<int64>>",
                                 "map<string,string>"};
  ColumnTypes types;
  for (char name = 'a'; name <= 'h'; ++name) {
    if (dice.one_in(4)) continue;
    types.emplace(std::string(1, name), parse_column_type(kTypes[dice.below(std::size(kTypes))]));
  }
  return types;
}

}  // namespace

int main(int argc, char** argv) {
  const int seconds = argc > 1 ? std::atoi(argv[1]) : 10;
  const uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  Dice dice(seed);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  Counts counts;
  const TorchrecDecoder plain({}, {}, {});
  while (std::chrono::steady_clock::now() < end) {
    const TorchrecDecoder typed({random_types(dice), {}}, {random_types(dice), {}}, {random_types(dice), {}});
    for (int i = 0; i < 200; ++i) {
      std::string message = dice.one_in(3) ? random_predict(dice) : random_request(dice);
      if (!dice.one_in(8)) damage(dice, message);
      if (dice.one_in(20)) {
        for (char& c : message) c = static_cast<char>(dice.bits());
      }
      feed(message, {&plain, &typed}, counts);
    }
  }
  std::printf("fuzz_wire: seed %llu, %lld executions in %d s, %lld accepted, 0 findings\n",
              static_cast<unsigned long long>(seed), static_cast<long long>(counts.executions), seconds,
              static_cast<long long>(counts.accepted));
  return 0;
}
