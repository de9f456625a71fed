#include <nanobind/stl/map.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include <map>

#include "bind/bind.h"
#include "wire/torchrec_request.h"

using namespace recserve;
using namespace recserve::wire;

namespace {

using TypesByName = std::map<std::string, std::string>;

std::string_view view(const nb::bytes& body) { return {body.c_str(), body.size()}; }

nb::bytes bytes(const std::string& text) { return nb::bytes(text.data(), text.size()); }

ColumnTypes column_types(const TypesByName& texts) {
  ColumnTypes types;
  for (const auto& [name, text] : texts) types.emplace(name, parse_column_type(text));
  return types;
}

template <class Pairs>
nb::dict dict(const Pairs& pairs) {
  nb::dict out;
  for (const auto& [name, value] : pairs) out[nb::str(name.data(), name.size())] = value;
  return out;
}

nb::tuple decode_request(const TorchrecDecoder& decoder, const nb::bytes& body) {
  TorchrecRequest request;
  {
    nb::gil_scoped_release release;
    request = decoder.decode(view(body));
  }
  return nb::make_tuple(std::move(request.user), request.item_ids, std::move(request.context),
                        std::move(request.item_features), request.rows, request.debug_level,
                        request.neighbours, dict(request.meta));
}

nb::bytes encode_request(const Batch& user, ColumnPtr item_ids, const Batch& context,
                         const Batch& item_features, int32_t debug_level, int32_t neighbours,
                         const std::map<std::string, std::string>& meta) {
  std::string out;
  {
    nb::gil_scoped_release release;
    out = encode(TorchrecRequest{user,
                                 std::move(item_ids),
                                 context,
                                 item_features,
                                 context.rows(),
                                 debug_level,
                                 neighbours,
                                 {meta.begin(), meta.end()}});
  }
  return bytes(out);
}

void bind_torchrec(nb::module_& core) {
  nb::class_<TorchrecDecoder>(core, "TorchrecDecoder", "Decodes torchrec PBRequests to columns.")
      .def(
          "__init__",
          [](TorchrecDecoder* self, const TypesByName& user, const TypesByName& context,
             const TypesByName& item, const TypesByName& user_fallback, const TypesByName& context_fallback,
             const TypesByName& item_fallback) {
            new (self) TorchrecDecoder({column_types(user), column_types(user_fallback)},
                                       {column_types(context), column_types(context_fallback)},
                                       {column_types(item), column_types(item_fallback)});
          },
          nb::arg("user"), nb::arg("context"), nb::arg("item"), nb::arg("user_fallback"),
          nb::arg("context_fallback"), nb::arg("item_fallback"))
      .def("decode", &decode_request, nb::arg("body"),
           nb::sig("def decode(self, body: bytes) -> "
                   "tuple[Batch, Column, Batch, Batch, int, int, int, dict[str, str]]"),
           "user, item_ids, context, item_features, rows, debug_level, neighbours, meta")
      .def_prop_ro("unparsable", &TorchrecDecoder::unparsable,
                   "Values so far that their column's type could not hold.");
  core.def("encode_torchrec_request", &encode_request, nb::arg("user"), nb::arg("item_ids"),
           nb::arg("context"), nb::arg("item_features"), nb::arg("debug_level"), nb::arg("neighbours"),
           nb::arg("meta"));
}

}  // namespace

void bind_wire(nb::module_& core) { bind_torchrec(core); }
