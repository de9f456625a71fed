// One function per part fills the extension module `recserve._core`.
#pragma once

#include <nanobind/nanobind.h>

namespace nb = nanobind;

void bind_errors(nb::module_& core);
void bind_columns(nb::module_& core);
void bind_wire(nb::module_& core);
void bind_features(nb::module_& core);
void bind_feature_types(nb::module_& core);
void bind_python_step(nb::module_& core);
void bind_formulas(nb::module_& core);
void bind_item_image(nb::module_& core);
void bind_items(nb::module_& core);
void bind_item_refresh(nb::module_& core);
void bind_item_results(nb::module_& core);
void bind_packed_rows(nb::module_& core);
