#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/set.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bind/bind.h"
#include "bind/free_interpreter.h"
#include "bind/mask.h"
#include "items/refresh.h"

using namespace recserve;
using namespace recserve::items;

namespace {

using NamedTypes = std::vector<std::pair<std::string, std::string>>;

void make_store(ItemStore* self, bool text_keys, const NamedTypes& raw, const NamedTypes& dropped,
                std::shared_ptr<RowFinisher> finisher, std::map<std::string, std::set<std::string>> reads,
                std::set<std::string> always_raw, std::map<std::string, int64_t> limits) {
  StoreSpec spec{.text_keys = text_keys,
                 .raw = {},
                 .dropped = {},
                 .finisher = std::move(finisher),
                 .reads = std::move(reads),
                 .always_raw = std::move(always_raw),
                 .limits = std::move(limits)};
  for (const auto& [name, type] : raw) spec.raw.emplace_back(name, parse_type(type));
  for (const auto& [name, type] : dropped) spec.dropped.emplace_back(name, parse_type(type));
  nb::gil_scoped_release release;  // finishes the empty row
  new (self) ItemStore(std::move(spec));
}

nb::tuple gather(const ItemStore& store, const Epochs::Pin& pin, const Column& ids, int64_t rows,
                 const Selection& selection, const Batch& overrides) {
  Gathered gathered;
  {
    const FreeInterpreter free(std::max(rows, ids.rows) >= kManyRowsToGather);
    gathered = ids.rows == 0 ? store.gather_empty(rows, selection, overrides)
                             : store.gather(pin, Keys(store.text_keys(), ids), selection, overrides);
  }
  return nb::make_tuple(std::move(gathered.raw), std::move(gathered.finished),
                        mask(std::move(gathered.known)));
}

nb::tuple gather_found(const ItemStore& store, const Found& found, const Selection& selection) {
  Gathered gathered;
  {
    const FreeInterpreter free(static_cast<int64_t>(found.rows.size()) >= kManyRowsToGather);
    gathered = store.gather(found, selection);
  }
  return nb::make_tuple(std::move(gathered.raw), std::move(gathered.finished),
                        mask(std::move(gathered.known)));
}

nb::tuple gather_sequence(const ItemStore& store, const Epochs::Pin& pin, const Column& column,
                          const std::string& delimiter, int64_t length, const Selection& selection,
                          const std::string& group, const std::string& name) {
  Gathered gathered;
  {
    const FreeInterpreter free(column.values.size >= kManyRowsToGather ||
                               column.values.data.size() >= kLongMessageBytes);
    const Keys keys = sequence_keys(store.text_keys(), column, delimiter, length, group, name);
    gathered = store.gather(pin, keys, selection);
  }
  return nb::make_tuple(std::move(gathered.raw), std::move(gathered.finished));
}

nb::dict figures(const ItemStore& store) {
  const StoreFigures f = store.figures();
  nb::dict named;
  named["rows"] = f.rows;
  named["slots"] = f.slots;
  named["free_slots"] = f.free_slots;
  named["slot_bytes"] = f.slot_bytes;
  named["rows_bytes"] = f.rows_bytes;
  named["arena_bytes"] = f.arena_bytes;
  named["dictionary_bytes"] = f.dictionary_bytes;
  named["index_bytes"] = f.index_bytes;
  named["garbage_bytes"] = f.garbage_bytes;
  named["lookups"] = f.lookups;
  named["misses"] = f.misses;
  return named;
}

nb::list column_bytes(const ItemStore& store) {
  nb::list columns;
  for (const ColumnBytes& c : store.column_bytes())
    columns.append(nb::make_tuple(c.name, c.type, c.finished, c.slot_bytes, c.heap_bytes));
  return columns;
}

}  // namespace

void bind_items(nb::module_& core) {
  nb::class_<Epochs::Pin>(core, "EpochPin", "A reader's hold on the rows as they are now.")
      .def_prop_ro("epoch", &Epochs::Pin::epoch)
      .def("release", &Epochs::Pin::release);

  nb::class_<Selection>(core, "Selection", "Columns to gather.");

  nb::class_<ItemStore::Prepared>(core, "PreparedRows", "Item rows that are written but not yet visible.");

  nb::class_<ItemStore>(core, "ItemStore", "The native row store; recserve/items/store.py is its face.")
      .def("__init__", &make_store, nb::arg("text_keys"), nb::arg("raw"), nb::arg("dropped"),
           nb::arg("finisher").none(), nb::arg("reads"), nb::arg("always_raw"), nb::arg("limits"))
      .def("prepare", &ItemStore::prepare, nb::arg("raw"), nb::arg("keys"), nb::keep_alive<0, 1>(),
           nb::call_guard<nb::gil_scoped_release>())
      .def(
          "publish",
          [](ItemStore& store, ItemStore::Prepared& prepared, uint64_t since, Refresh* refresh) {
            const Published published = store.publish(std::move(prepared), since, refresh);
            return std::make_tuple(published.inserted, published.replaced, published.repeated);
          },
          nb::arg("prepared"), nb::arg("since"), nb::arg("refresh").none() = nb::none(),
          nb::call_guard<nb::gil_scoped_release>(),
          "Rows inserted, rows replaced, and of these the ones published after epoch `since`.")
      .def("remove", &ItemStore::remove, nb::arg("keys"), nb::call_guard<nb::gil_scoped_release>())
      .def("save", &ItemStore::save, nb::arg("path"), nb::arg("meta"),
           nb::call_guard<nb::gil_scoped_release>())
      .def(
          "compact",
          [](ItemStore& store, double threshold) {
            const Compaction compaction = store.compact(threshold);
            std::vector<std::tuple<std::string, int64_t, int64_t, int64_t>> columns;
            for (const auto& c : compaction.columns)
              columns.emplace_back(c.name, c.before_bytes, c.live_bytes, c.after_bytes);
            return std::make_tuple(columns, compaction.rows_moved);
          },
          nb::arg("threshold"), nb::call_guard<nb::gil_scoped_release>(),
          "Name, bytes before, live and after of each column that has an arena; rows moved.")
      .def("restore", &ItemStore::restore, nb::arg("image"), nb::call_guard<nb::gil_scoped_release>())
      .def("pin", &ItemStore::pin, nb::keep_alive<0, 1>())
      .def_prop_ro("epoch", &ItemStore::epoch)
      .def(
          "select_sent",
          [](const ItemStore& s, const std::vector<std::string>& sent) { return s.selection(sent); },
          nb::arg("sent"))
      .def(
          "select",
          [](const ItemStore& s, const std::set<std::string>& raw, const std::set<std::string>& finished) {
            return s.selection(raw, finished);
          },
          nb::arg("raw"), nb::arg("finished"))
      .def("gather", &gather, nb::arg("pin"), nb::arg("ids"), nb::arg("rows"), nb::arg("selection"),
           nb::arg("overrides"),
           nb::sig("def gather(self, pin: EpochPin, ids: Column, rows: int, selection: Selection, overrides: "
                   "Batch) "
                   "-> tuple[Batch, Batch, numpy.typing.NDArray[numpy.bool_]]"))
      .def(
          "find",
          [](const ItemStore& store, const Epochs::Pin& pin, const Column& ids, const Selection& selection) {
            const FreeInterpreter free(ids.rows >= kManyRowsToGather);
            return store.find(pin, Keys(store.text_keys(), ids), selection);
          },
          nb::arg("pin"), nb::arg("ids"), nb::arg("selection"))
      .def("gather_found", &gather_found, nb::arg("found"), nb::arg("selection"),
           nb::sig("def gather_found(self, found: FoundRows, selection: Selection) "
                   "-> tuple[Batch, Batch, numpy.typing.NDArray[numpy.bool_]]"))
      .def("gather_sequence", &gather_sequence, nb::arg("pin"), nb::arg("column"), nb::arg("delimiter"),
           nb::arg("length"), nb::arg("selection"), nb::arg("group"), nb::arg("name"),
           nb::sig("def gather_sequence(self, pin: EpochPin, column: Column, delimiter: str, length: int, "
                   "selection: Selection, group: str, name: str) -> tuple[Batch, Batch]"))
      .def_prop_ro("columns",
                   [](const ItemStore& store) {
                     NamedTypes columns;
                     for (const Field& field : store.layout().fields) {
                       columns.emplace_back(field.name, name_of(field.type));
                     }
                     return columns;
                   })
      .def("column_bytes", &column_bytes,
           nb::sig("def column_bytes(self) -> list[tuple[str, str, bool, int, int]]"))
      .def("figures", &figures, nb::sig("def figures(self) -> dict[str, int]"));
}
