// Damaged messages for every decoder, guided by coverage: fuzz_wire [options of libFuzzer] [corpus folder].
// Built by clang with the sanitizers (make fuzz). It fails when a decoder throws anything but RequestError,
// reads or writes outside of its memory, or builds a column or tensor that does not hold together.
//
// The first byte of an input chooses the declared types of the decoder, the others are the message.
#include <algorithm>
#include <array>
#include <memory>
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

/// Decodes; RequestError is the one answer to what cannot be read, and anything else ends the fuzzer.
template <class Decode>
void attempt(Decode&& decode) {
  try {
    decode();
  } catch (const RequestError&) {
  }
}

/// Gives the message to every decoder, whichever it was made for. The exact copy lets the sanitizer see a
/// read past the end.
void feed(std::string_view message, const TorchrecDecoder& decoder) {
  const std::vector<char> exact(message.begin(), message.end());
  const std::string_view body(exact.data(), exact.size());
  attempt([&] {
    const TorchrecRequest request = decoder.decode(body);
    for (const Batch* batch : {&request.user, &request.context, &request.item_features}) check_batch(*batch);
    decoder.decode(encode(request));
  });
  attempt([&] {
    for (const auto& [name, tensor] : decode_torchrec_response(body).outputs) check_tensor(tensor);
  });
  attempt([&] {
    const auto request = decode_predict_request(body);
    for (const Tensor& tensor : request.inputs) check_tensor(tensor);
    for (const auto& [name, tensor] : request.named_inputs) check_tensor(tensor);
  });
  attempt([&] {
    for (const Tensor& tensor : decode_predict_response(body).outputs) check_tensor(tensor);
  });
  lz4_block_size(body);
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

constexpr size_t kDecoders = 16;

/// Number 0 knows no types; the others each their own.
const TorchrecDecoder& decoder_of(uint8_t number) {
  static const auto* decoders = [] {
    auto* made = new std::vector<std::unique_ptr<TorchrecDecoder>>;
    for (uint64_t seed = 0; seed < kDecoders; ++seed) {
      Dice dice(seed);
      auto types = [&] { return SideTypes{seed == 0 ? ColumnTypes{} : random_types(dice), {}}; };
      made->push_back(std::make_unique<TorchrecDecoder>(types(), types(), types()));
    }
    return made;
  }();
  return *(*decoders)[number % kDecoders];
}

}  // namespace

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);

/// Messages that parse are rare among bytes: one input in four is drawn anew, one is damaged as messages are,
/// the rest is libFuzzer's own.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned int seed) {
  Dice dice(seed);
  const uint64_t way = dice.below(4);
  if (way > 1 || most < 2) return LLVMFuzzerMutate(data, size, most);
  std::string message;
  if (way == 0) {
    message = dice.one_in(3) ? random_predict(dice) : random_request(dice);
    data[0] = static_cast<uint8_t>(dice.bits());
  } else if (size > 1) {
    message.assign(reinterpret_cast<const char*>(data) + 1, size - 1);
    damage(dice, message);
  }
  message.resize(std::min(message.size(), most - 1));
  std::copy(message.begin(), message.end(), data + 1);
  return message.size() + 1;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  feed({reinterpret_cast<const char*>(data) + 1, size - 1}, decoder_of(data[0]));
  return 0;
}
