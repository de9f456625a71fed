#include "bind/bind.h"

void bind_wire(nb::module_&) {}
