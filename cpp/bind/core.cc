#include "bind/bind.h"

NB_MODULE(_core, core) {
  // What a script's globals hold at exit is no leak, and a page of warnings after its results would alarm.
  nb::set_leak_warnings(false);
  core.doc() = "The native core of recserve: columns, wire, features, items, packed rows.";
  bind_errors(core);
  bind_columns(core);
  bind_wire(core);
  bind_formulas(core);
  bind_features(core);
  bind_item_image(core);
  bind_items(core);
  bind_item_refresh(core);
  bind_item_results(core);
  bind_packed_rows(core);
}
