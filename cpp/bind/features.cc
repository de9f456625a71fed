#include "bind/bind.h"

void bind_features(nb::module_&) {}
