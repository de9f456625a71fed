#include "features/python_step.h"

#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>

#include <numeric>

#include "bind/bind.h"
#include "bind/byte_of.h"
#include "columns/error.h"

using namespace recserve;

namespace {

/// What an object says of itself, which is code too and may fail: then nothing.
std::string text_of(const nb::object& object) {
  const nb::object said = nb::steal(PyObject_Str(object.ptr()));
  const char* text = said.is_valid() ? PyUnicode_AsUTF8(said.ptr()) : nullptr;
  if (text == nullptr) PyErr_Clear();
  return text == nullptr ? "" : text;
}

/// "ValueError: no such word (words.py, line 12)": the innermost line is where the author has to look.
std::string described(const nb::python_error& error) {
  const std::string said = text_of(nb::borrow(error.value()));
  std::string text = text_of(error.type().attr("__name__")) + (said.empty() ? "" : ": " + said);
  nb::object line = nb::borrow(error.traceback());
  if (!line.is_valid()) return text;
  while (!line.attr("tb_next").is_none()) line = line.attr("tb_next");
  const std::string file = text_of(line.attr("tb_frame").attr("f_code").attr("co_filename"));
  return text + " (" + file.substr(file.rfind('/') + 1) + ", line " + text_of(line.attr("tb_lineno")) + ")";
}

bool is_a(const nb::python_error& error, const char* name) {
  return error.matches(nb::module_::import_("recserve.errors").attr(name));
}

/// A ValueError says that the values are to blame, any other exception that the function is. Ours stay what
/// they are; what is meant to end the process, a KeyboardInterrupt, goes on.
[[noreturn]] void rethrow(nb::python_error& error) {
  if (!error.matches(PyExc_Exception)) throw std::move(error);
  if (is_a(error, "RecserveError")) {
    const std::string said = text_of(nb::borrow(error.value()));
    if (is_a(error, "RequestError")) throw RequestError(said);
    throw DataError(said);
  }
  const std::string what = "has a Python step that raised " + described(error);
  if (error.matches(PyExc_ValueError)) throw RequestError(what);
  throw DataError(what);
}

/// A Python callable: it gets Columns and gives one.
class PythonFunction : public BatchFunction {
 public:
  explicit PythonFunction(nb::callable function) : function_(std::move(function)) {}

  ~PythonFunction() override {
    if (Py_IsInitialized() == 0) {
      function_.release();  // there is no interpreter left to give it back to
      return;
    }
    const nb::gil_scoped_acquire gil;
    function_.reset();
  }

  ColumnPtr run(std::span<const ColumnPtr> columns, int64_t rows) const override {
    const nb::gil_scoped_acquire gil;
    try {
      nb::list arguments;
      for (const ColumnPtr& column : columns) arguments.append(nb::cast(column));
      const nb::object result = function_(*arguments);
      ColumnPtr column;
      if (!nb::try_cast(result, column) || !column) {
        throw DataError("has a Python step that gave no Column");
      }
      return own(*column);
    } catch (nb::python_error& error) {
      rethrow(error);
    }
  }

 private:
  /// A copy in memory of our own: a result may be a slice of much more, or lie in memory that only a holder
  /// of the GIL can free.
  static ColumnPtr own(const Column& column) {
    std::vector<int64_t> rows(column.rows);
    std::iota(rows.begin(), rows.end(), 0);
    return take(column, rows);
  }

  nb::callable function_;
};

}  // namespace

void bind_python_step(nb::module_& core) {
  nb::enum_<Unit>(core, "Unit", "What a Python step's function is applied to.")
      .value("TOKEN", Unit::Token, "Each token, as a text.")
      .value("TEXT", Unit::Text, "The whole text of a cell.")
      .value("CELLS", Unit::Cells, "A row of all inputs.");

  const PythonStep::Bounds bounds;
  nb::class_<PythonStep, Kernel>(core, "PythonStep", "A Python function of whole columns, as a kernel.")
      .def(
          "__init__",
          [](PythonStep* self, nb::callable function, Unit unit, const std::string& separator,
             const std::string& stand_in, int64_t max_keys, int64_t max_bytes) {
            new (self) PythonStep(std::make_shared<PythonFunction>(std::move(function)), unit,
                                  byte_of(separator), stand_in, {max_keys, max_bytes});
          },
          nb::arg("function"), nb::arg("unit"), nb::kw_only(), nb::arg("separator") = "\x1d",
          nb::arg("stand_in") = "", nb::arg("max_keys") = bounds.keys, nb::arg("max_bytes") = bounds.bytes,
          nb::sig("def __init__(self, function: collections.abc.Callable[..., Column], unit: Unit, *, "
                  "separator: str = ..., stand_in: str = ..., max_keys: int = ..., max_bytes: int = ...) -> "
                  "None"))
      .def_prop_ro(
          "memo_keys", [](const PythonStep& s) { return s.memo().keys(); },
          "How many results are remembered.")
      .def_prop_ro("memo_bytes", [](const PythonStep& s) { return s.memo().bytes(); });
}
