#include "wire/keep_last.h"

#include <random>

namespace recserve::wire {

namespace {

uint64_t random_seed() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

}  // namespace

const uint64_t hash_seed = random_seed();

}  // namespace recserve::wire
