// Separators come as Python texts.
#pragma once

#include <string>

#include "columns/error.h"

/// The one byte of a separator; ConfigError for anything longer.
inline char byte_of(const std::string& separator) {
  if (separator.size() != 1) throw recserve::ConfigError("separator '" + separator + "' is not one byte");
  return separator[0];
}
