#include <nanobind/stl/pair.h>
#include <nanobind/stl/set.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bind/bind.h"
#include "items/image.h"

using namespace recserve;
using namespace recserve::items;

void bind_item_image(nb::module_& core) {
  nb::class_<Image>(core, "ItemImage", "A store's rows in a file; recserve/items/image.py is its face.")
      .def(nb::init<const std::string&>(), nb::arg("path"), nb::call_guard<nb::gil_scoped_release>())
      .def("check", &Image::check, nb::call_guard<nb::gil_scoped_release>())
      .def("read", &Image::read, nb::arg("start"), nb::arg("stop"), nb::arg("names"),
           nb::call_guard<nb::gil_scoped_release>(), "Keys and raw columns of these items.")
      .def_prop_ro("text_keys", [](const Image& image) { return image.directory().text_keys; })
      .def_prop_ro("rows", [](const Image& image) { return image.directory().rows; })
      .def_prop_ro("bytes", &Image::bytes)
      .def_prop_ro("created_ms", [](const Image& image) { return image.directory().created_ms; })
      .def_prop_ro("meta", [](const Image& image) { return image.directory().meta; })
      .def_prop_ro(
          "columns",
          [](const Image& image) {
            std::vector<std::tuple<std::string, std::string, bool, uint64_t>> columns;
            for (const Directory::Column& column : image.directory().columns) {
              const bool raw = columns.size() < image.directory().raw_columns;
              columns.emplace_back(column.name, column.type, raw, column.limit);
            }
            return columns;
          },
          "Name, type, whether it is raw, and the limit of its integers (0: none).");
}
