#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind/bind.h"
#include "sources/packed_rows.h"

using namespace recserve;

namespace {

struct PackedFields {
  std::vector<PackedField> fields;

  PackedFields(const std::vector<std::string>& names, const std::vector<std::string>& types) {
    if (names.size() != types.size()) throw DataError("packed rows: as many names as types, please");
    for (size_t i = 0; i < names.size(); ++i) fields.push_back(packed_field(names[i], types[i]));
  }
};

}  // namespace

void bind_packed_rows(nb::module_& core) {
  nb::class_<PackedFields>(core, "PackedFields",
                           "The fields of packed rows, by name and type, in their order.")
      .def(nb::init<std::vector<std::string>, std::vector<std::string>>(), nb::arg("names"), nb::arg("types"))
      .def(
          "pack",
          [](const PackedFields& self, const std::vector<ColumnPtr>& columns, int64_t rows) {
            return pack_rows(self.fields, columns, rows);
          },
          nb::arg("columns"), nb::arg("rows"),
          nb::sig("def pack(self, columns: collections.abc.Sequence[Column | None], rows: int) -> Column"),
          nb::call_guard<nb::gil_scoped_release>(), "One row of bytes per row; no column: nulls.")
      .def(
          "unpack",
          [](const PackedFields& self, const std::vector<bool>& wanted, const Column& rows,
             const Column& keys, const std::string& where) {
            const std::vector<uint8_t> bytes(wanted.begin(), wanted.end());
            return unpack_rows(self.fields, bytes, rows, keys, where);
          },
          nb::arg("wanted"), nb::arg("rows"), nb::arg("keys"), nb::arg("where"),
          nb::call_guard<nb::gil_scoped_release>(),
          "The columns of the wanted fields; DataError begins with `where` and the key.");
}
