// A byte per row as a numpy array of bool.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <utility>
#include <vector>

inline nanobind::ndarray<nanobind::numpy, const bool> mask(std::vector<uint8_t> rows) {
  auto* owned = new std::vector<uint8_t>(std::move(rows));
  nanobind::capsule owner(owned, [](void* p) noexcept { delete static_cast<std::vector<uint8_t>*>(p); });
  return nanobind::ndarray<nanobind::numpy, const bool>(owned->data(), {owned->size()}, owner);
}
