#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/set.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind/bind.h"
#include "bind/mask.h"
#include "items/refresh.h"
#include "items/row_hash.h"
#include "items/scan.h"

using namespace recserve;
using namespace recserve::items;

namespace {

nb::dict figures(const Refresh& refresh) {
  const RefreshFigures f = refresh.figures();
  nb::dict named;
  named["seen"] = f.seen;
  named["unchanged"] = f.unchanged;
  named["written"] = f.written;
  named["repeated"] = f.repeated;
  named["protected"] = f.protected_;
  return named;
}

}  // namespace

void bind_item_refresh(nb::module_& core) {
  core.def("hash_rows", &hash_rows, nb::arg("batch"), nb::call_guard<nb::gil_scoped_release>(),
           nb::sig("def hash_rows(batch: Batch) -> Column"));

  nb::class_<Refresh>(core, "Refresh", "A streamed diff of one table; recserve/items/refresh.py is its face.")
      .def(nb::init<ItemStore&, const std::string&>(), nb::arg("store"), nb::arg("hash_column"),
           nb::keep_alive<1, 2>())
      .def(
          "changed",
          [](Refresh& refresh, const Column& keys, const Column& hashes, const Column* order) {
            std::vector<uint8_t> write;
            {
              nb::gil_scoped_release release;
              write = refresh.changed(keys, hashes, order);
            }
            return mask(std::move(write));
          },
          nb::arg("keys"), nb::arg("hashes"), nb::arg("order").none(),
          nb::sig("def changed(self, keys: Column, hashes: Column, order: Column | None) "
                  "-> numpy.typing.NDArray[numpy.bool_]"))
      .def("protect", &Refresh::protect, nb::arg("keys"), nb::call_guard<nb::gil_scoped_release>())
      .def("figures", &figures, nb::sig("def figures(self) -> dict[str, int]"));

  nb::class_<Refresh::Unseen>(core, "Unseen", "A walk over the keys that a refresh did not see.")
      .def(nb::init<Refresh&>(), nb::arg("refresh"), nb::keep_alive<1, 2>())
      .def("next", &Refresh::Unseen::next, nb::arg("rows"), nb::call_guard<nb::gil_scoped_release>(),
           nb::sig("def next(self, rows: int) -> Column | None"));

  nb::class_<Scan>(core, "Scan", "All rows of a store as of one moment.")
      .def(
          "__init__",
          [](Scan* self, ItemStore& store, const std::optional<std::set<std::string>>& columns) {
            new (self) Scan(store, columns ? &*columns : nullptr);
          },
          nb::arg("store"), nb::arg("columns").none(), nb::keep_alive<1, 2>())
      .def(
          "next",
          [](Scan& scan, int64_t rows) -> nb::object {
            std::pair<ColumnPtr, Batch> read;
            {
              nb::gil_scoped_release release;
              read = scan.next(rows);
            }
            if (read.first == nullptr) return nb::none();
            return nb::make_tuple(std::move(read.first), std::move(read.second));
          },
          nb::arg("rows"), nb::sig("def next(self, rows: int) -> tuple[Column, Batch] | None"));
}
