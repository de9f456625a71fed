// Native errors become the classes of recserve/errors.py, looked up once.
#include "bind/bind.h"
#include "columns/error.h"

void bind_errors(nb::module_&) {
  nb::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    const char* name = nullptr;
    std::string message;
    try {
      std::rethrow_exception(thrown);
    } catch (const recserve::RequestError& error) {
      name = "RequestError", message = error.what();
    } catch (const recserve::ConfigError& error) {
      name = "ConfigError", message = error.what();
    } catch (const recserve::SourceError& error) {
      name = "SourceError", message = error.what();
    } catch (const recserve::DataError& error) {
      name = "DataError", message = error.what();
    }
    // A message may quote bytes that a caller sent; what is not UTF-8 is shown, not lost.
    nb::object type = nb::module_::import_("recserve.errors").attr(name);
    nb::object text = nb::steal(
        PyUnicode_DecodeUTF8(message.data(), static_cast<Py_ssize_t>(message.size()), "backslashreplace"));
    PyErr_SetObject(type.ptr(), text.ptr());
  });
}
