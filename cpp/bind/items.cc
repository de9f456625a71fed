#include "bind/bind.h"

void bind_items(nb::module_&) {}
