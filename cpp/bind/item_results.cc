#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind/bind.h"
#include "bind/free_interpreter.h"
#include "bind/mask.h"
#include "columns/error.h"
#include "items/results.h"

using namespace recserve;
using namespace recserve::items;

namespace {

using Floats = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Positions = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::span<const int64_t> span_of(const Positions& positions) { return {positions.data(), positions.size()}; }

nb::ndarray<nb::numpy, const int64_t> array_of(std::vector<int64_t> numbers) {
  auto* owned = new std::vector<int64_t>(std::move(numbers));
  nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<std::vector<int64_t>*>(p); });
  return nb::ndarray<nb::numpy, const int64_t>(owned->data(), {owned->size()}, owner);
}

/// The memory of one array for each name, of so many rows.
std::vector<const float*> checked(const ItemResults& results, const std::vector<Floats>& floats,
                                  size_t rows) {
  const std::vector<int64_t>& widths = results.widths();
  std::vector<const float*> memory;
  for (const Floats& array : floats) {
    const size_t k = memory.size();
    if (k >= widths.size() || array.shape(0) != rows || static_cast<int64_t>(array.shape(1)) != widths[k]) {
      throw DataError("item results: an array is not what was declared");
    }
    memory.push_back(array.data());
  }
  if (memory.size() != widths.size()) throw DataError("item results: an array is missing");
  return memory;
}

nb::dict figures(const ItemResults& results) {
  const ResultFigures f = results.figures();
  nb::dict named;
  named["items"] = f.entries;
  named["bytes"] = f.bytes;
  named["hits"] = f.hits;
  named["misses"] = f.misses;
  named["evicted"] = f.evicted;
  return named;
}

}  // namespace

void bind_item_results(nb::module_& core) {
  nb::class_<Found>(core, "FoundRows",
                    "Versions of item rows, as of a pin that lives as long as this is used.")
      .def("__len__", [](const Found& found) { return found.rows.size(); })
      .def(
          "at", [](const Found& found, const Positions& positions) { return found.at(span_of(positions)); },
          nb::arg("positions"),
          nb::sig("def at(self, positions: numpy.typing.NDArray[numpy.int64]) -> FoundRows"));

  nb::class_<ItemResults>(core, "ItemResults",
                          "What a model makes of items alone; recserve/items/results.py is its face.")
      .def(nb::init<std::vector<std::string>, std::vector<int64_t>, uint64_t>(), nb::arg("names"),
           nb::arg("widths"), nb::arg("budget_bytes"))
      .def(
          "with_results",
          [](ItemResults& results, const ModelInputs& inputs, const Found& found) {
            std::pair<std::shared_ptr<ModelInputs>, std::vector<int64_t>> made;
            {
              const FreeInterpreter free(static_cast<int64_t>(found.rows.size()) >= kManyRowsToGather);
              made = results.with_results(inputs, found);
            }
            return nb::make_tuple(std::move(made.first), array_of(std::move(made.second)));
          },
          nb::arg("inputs"), nb::arg("found"),
          nb::sig("def with_results(self, inputs: ModelInputs, found: FoundRows) "
                  "-> tuple[ModelInputs, numpy.typing.NDArray[numpy.int64]]"))
      .def(
          "missing",
          [](ItemResults& results, const Found& found) { return array_of(results.missing(found)); },
          nb::arg("found"),
          nb::sig("def missing(self, found: FoundRows) -> numpy.typing.NDArray[numpy.int64]"))
      .def(
          "add",
          [](ItemResults& results, const Found& found, const std::vector<Floats>& floats) {
            const std::vector<const float*> memory = checked(results, floats, found.rows.size());
            nb::gil_scoped_release release;  // it may wait for another writer
            results.add(found, memory);
          },
          nb::arg("found"), nb::arg("floats"),
          nb::sig("def add(self, found: FoundRows, floats: Sequence[numpy.typing.NDArray[numpy.float32]]) "
                  "-> None"))
      .def(
          "fill",
          [](const ItemResults& results, ModelInputs& inputs, const Positions& missing,
             const std::vector<Floats>& floats) {
            results.fill(inputs, span_of(missing), checked(results, floats, missing.size()));
          },
          nb::arg("inputs"), nb::arg("missing"), nb::arg("floats"),
          nb::sig("def fill(self, inputs: ModelInputs, missing: numpy.typing.NDArray[numpy.int64], "
                  "floats: Sequence[numpy.typing.NDArray[numpy.float32]]) -> None"))
      .def_prop_ro("bytes_per_item", &ItemResults::bytes_per_item)
      .def("figures", &figures, nb::sig("def figures(self) -> dict[str, int]"));
}
