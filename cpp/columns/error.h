// Errors of the native core. `bind/errors.cc` maps each to its class in recserve/errors.py.
#pragma once

#include <stdexcept>
#include <string>

namespace recserve {

/// What a caller sent cannot be answered: HTTP 400. The message names the thing, the value and the way out.
struct RequestError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A file that configures us (fg.json, service file) is wrong: refused at load.
struct ConfigError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The system refuses to read or write something; asking again may help.
struct SourceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Data handed to us (a table, an Arrow array) is not what was declared.
struct DataError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace recserve
