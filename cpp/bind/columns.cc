#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind/bind.h"
#include "columns/arrow.h"
#include "columns/batch.h"
#include "columns/model_inputs.h"
#include "columns/row_finisher.h"
#include "columns/text.h"

using namespace recserve;

namespace {

/// Numbers of a column without a copy; the array keeps the column alive.
nb::object numbers(const ColumnPtr& column) {
  const Values& values = column->values;
  auto* keep = new ColumnPtr(column);
  nb::capsule owner(keep, [](void* p) noexcept { delete static_cast<ColumnPtr*>(p); });
  auto array = [&]<class T>(T) -> nb::object {
    size_t shape[2] = {static_cast<size_t>(values.size / column->width), static_cast<size_t>(column->width)};
    return nb::cast(
        nb::ndarray<nb::numpy, const T>(values.data.data(), column->width == 1 ? 1 : 2, shape, owner));
  };
  switch (values.type) {
    case Type::Int32: return array(int32_t{});
    case Type::Int64: return array(int64_t{});
    case Type::Float32: return array(float{});
    case Type::Float64: return array(double{});
    case Type::String: break;
  }
  throw DataError("a string column has no numbers; use to_arrow()");
}

template <class Struct>
void release_capsule(PyObject* capsule, const char* name) {
  auto* exported = static_cast<Struct*>(PyCapsule_GetPointer(capsule, name));
  if (exported->release != nullptr) exported->release(exported);
  delete exported;
}

nb::tuple arrow_c_array(const ColumnPtr& column, nb::handle) {
  auto* schema = new ArrowSchema{};
  auto* array = new ArrowArray{};
  export_arrow(column, schema, array);
  auto schema_capsule = nb::steal(PyCapsule_New(
      schema, "arrow_schema", [](PyObject* c) { release_capsule<ArrowSchema>(c, "arrow_schema"); }));
  auto array_capsule = nb::steal(PyCapsule_New(
      array, "arrow_array", [](PyObject* c) { release_capsule<ArrowArray>(c, "arrow_array"); }));
  return nb::make_tuple(schema_capsule, array_capsule);
}

ColumnPtr from_arrow(nb::object exporter, const std::string& name) {
  nb::tuple capsules = nb::cast<nb::tuple>(exporter.attr("__arrow_c_array__")());
  auto* schema =
      static_cast<ArrowSchema*>(PyCapsule_GetPointer(nb::object(capsules[0]).ptr(), "arrow_schema"));
  auto* array = static_cast<ArrowArray*>(PyCapsule_GetPointer(nb::object(capsules[1]).ptr(), "arrow_array"));
  if (schema == nullptr || array == nullptr) throw nb::python_error();
  return import_arrow(schema, array, name);
}

/// The array keeps the inputs alive. It is writable because torch takes no other memory without a copy, and
/// because fbgemm writes: it sets ids that are out of range to row 0, in place.
template <class T>
nb::ndarray<nb::numpy, T> view(const std::shared_ptr<ModelInputs>& inputs, Numbers<T>& data) {
  auto* keep = new std::shared_ptr<ModelInputs>(inputs);
  nb::capsule owner(keep, [](void* p) noexcept { delete static_cast<std::shared_ptr<ModelInputs>*>(p); });
  return nb::ndarray<nb::numpy, T>(data.data(), {data.size()}, owner);
}

using Ints = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;

/// Copies arrays into the two buffers, as feature generation lays them out.
ModelInputs join(std::vector<std::string> int_names, const std::vector<Ints>& int_arrays,
                 std::vector<std::string> float_names, const std::vector<Floats>& float_arrays) {
  if (int_names.size() != int_arrays.size() || float_names.size() != float_arrays.size()) {
    throw DataError("model inputs: as many names as arrays, please");
  }
  ModelInputs inputs;
  auto names = std::make_shared<ModelInputs::Names>();
  for (const Ints& array : int_arrays) {
    inputs.ints.insert(inputs.ints.end(), array.data(), array.data() + array.size());
    inputs.int_sizes.push_back(static_cast<int64_t>(array.size()));
  }
  for (size_t k = 0; k < float_arrays.size(); ++k) {
    const Floats& array = float_arrays[k];
    const int64_t flat = float_names[k].ends_with(".weights") ? 0 : 1;
    inputs.floats.insert(inputs.floats.end(), array.data(), array.data() + array.size());
    inputs.float_sizes.push_back(static_cast<int64_t>(array.size()));
    names->float_widths.push_back(array.ndim() == 2 ? static_cast<int64_t>(array.shape(1)) : flat);
  }
  names->ints = std::move(int_names);
  names->floats = std::move(float_names);
  inputs.names = std::move(names);
  return inputs;
}

}  // namespace

void bind_columns(nb::module_& core) {
  nb::class_<Column>(core, "Column", "Ragged rows of values: scalars, lists, maps or lists of lists.")
      .def_prop_ro("rows", [](const Column& c) { return c.rows; })
      .def_prop_ro(
          "width", [](const Column& c) { return c.width; }, "Values per row of a scalar column.")
      .def_prop_ro("type", [](const Column& c) { return name_of(c.values.type); })
      .def_prop_ro("shape", [](const Column& c) { return name_of(c.shape); })
      .def("missing", &Column::missing, nb::arg("row"), "Null, empty string, empty list or empty map.")
      .def("numbers", &numbers, nb::sig("def numbers(self) -> numpy.typing.NDArray[typing.Any]"),
           "Values as a numpy array that shares this memory, (rows,) or (rows, width).")
      .def("__len__", [](const Column& c) { return c.rows; })
      .def(
          "__arrow_c_array__", &arrow_c_array, nb::arg("requested_schema") = nb::none(),
          nb::sig(
              "def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]"))
      .def_static("from_arrow", &from_arrow, nb::arg("array"), nb::arg("name") = "");

  nb::class_<Batch>(core, "Batch", "Columns by name; each has `rows` rows, or one that stands for all.")
      .def(nb::init<int64_t>(), nb::arg("rows"))
      .def_prop_ro("rows", &Batch::rows)
      .def_prop_ro("names",
                   [](const Batch& b) {
                     std::vector<std::string> names;
                     for (const auto& [name, column] : b.columns()) names.push_back(name);
                     return names;
                   })
      .def("add", &Batch::add, nb::arg("name"), nb::arg("column"))
      .def("__contains__", [](const Batch& b, const std::string& name) { return b.find(name) != nullptr; })
      .def("__len__", [](const Batch& b) { return b.columns().size(); })
      .def("__getitem__", [](const Batch& b, const std::string& name) {
        ColumnPtr column = b.share(name);
        if (!column) throw nb::key_error(name.c_str());
        return column;
      });

  nb::class_<RowFinisher>(core, "RowFinisher",
                          "Finishes raw item rows into the columns that requests gather.")
      .def(
          "finish", [](const RowFinisher& f, const Batch& raw) { return f.finish(raw); }, nb::arg("raw"),
          nb::call_guard<nb::gil_scoped_release>());

  nb::class_<ModelInputs::Names>(core, "TensorNames", "The names of one plan's tensors, in their order.")
      .def_ro("ints", &ModelInputs::Names::ints)
      .def_ro("floats", &ModelInputs::Names::floats)
      .def_ro("float_widths", &ModelInputs::Names::float_widths);

  nb::class_<ModelInputs>(core, "ModelInputs", "The model's input tensors, one buffer per type.")
      .def(
          "__init__",
          [](ModelInputs* self, std::vector<std::string> int_names, const std::vector<Ints>& int_arrays,
             std::vector<std::string> float_names, const std::vector<Floats>& float_arrays) {
            new (self)
                ModelInputs(join(std::move(int_names), int_arrays, std::move(float_names), float_arrays));
          },
          nb::arg("int_names"), nb::arg("int_arrays"), nb::arg("float_names"), nb::arg("float_arrays"),
          nb::sig("def __init__(self, int_names: collections.abc.Sequence[str], "
                  "int_arrays: collections.abc.Sequence[numpy.typing.NDArray[numpy.int64]], float_names: "
                  "collections.abc.Sequence[str], "
                  "float_arrays: collections.abc.Sequence[numpy.typing.NDArray[numpy.float32]]) -> None"),
          "Copy arrays into one buffer per type, for tests and tools; a 2-d float array gives its width, and "
          "weights have none.")
      .def_static(
          "concatenated",
          [](const std::vector<std::shared_ptr<ModelInputs>>& parts) {
            std::vector<const ModelInputs*> all;
            for (const auto& part : parts) all.push_back(part.get());
            return concatenated(all);
          },
          nb::arg("parts"), "Put the inputs of several requests together: those of one call.")
      .def("repeated", &repeated, nb::arg("once"), nb::arg("rows"),
           "The same with the tensors at these positions (ints, then floats) `rows` times, and batch_size 1.",
           nb::call_guard<nb::gil_scoped_release>())
      .def("has_sizes", &has_sizes, nb::arg("positions"), nb::arg("sizes"),
           "Whether the tensors at these positions (ints, then floats) have these sizes.")
      .def("least", &least, nb::arg("positions"),
           "The smallest number in the int tensors at these positions, which ascend.")
      .def_prop_ro(
          "names", [](const ModelInputs& m) { return std::const_pointer_cast<ModelInputs::Names>(m.names); },
          "One object for all inputs of a plan, as long as somebody keeps it.")
      .def_prop_ro("int_names", [](const ModelInputs& m) { return m.names->ints; })
      .def_prop_ro("float_names", [](const ModelInputs& m) { return m.names->floats; })
      .def_prop_ro("float_widths", [](const ModelInputs& m) { return m.names->float_widths; })
      .def_prop_ro("int_sizes", [](const ModelInputs& m) { return m.int_sizes; })
      .def_prop_ro("float_sizes", [](const ModelInputs& m) { return m.float_sizes; })
      .def_prop_ro(
          "ints", [](const std::shared_ptr<ModelInputs>& m) { return view(m, m->ints); },
          nb::rv_policy::automatic)
      .def_prop_ro(
          "floats", [](const std::shared_ptr<ModelInputs>& m) { return view(m, m->floats); },
          nb::rv_policy::automatic);
}
