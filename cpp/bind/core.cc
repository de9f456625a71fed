#include "bind/bind.h"

NB_MODULE(_core, core) {
  core.doc() = "The native core of recserve: columns, wire, features, items.";
  bind_errors(core);
  bind_columns(core);
  bind_wire(core);
  bind_formulas(core);
  bind_features(core);
  bind_items(core);
}
