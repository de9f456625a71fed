// Hashes that turn text and numbers into bucket ids. They must equal what the training side computed, so
// neither seed nor byte order may change (vectors in conformance/hash.json).
#pragma once

#include <cstdint>
#include <string_view>

namespace recserve {

/// MurmurHash64A with seed 0xc70f6907: the default hash of text, and libstdc++'s `std::hash<std::string>`.
uint64_t murmur64a(std::string_view bytes);

/// FarmHash's Fingerprint64: the hash of text when `USE_FARM_HASH_TO_BUCKETIZE` is on.
uint64_t fingerprint64(std::string_view bytes);

/// 0 for 0.0 and -0.0, else murmur64a of the four little-endian bytes: libstdc++'s `std::hash<float>`. Every
/// NaN hashes as the quiet positive one.
uint64_t hash_float(float number);

/// 0 for 0.0 and -0.0, else murmur64a of the eight little-endian bytes: libstdc++'s `std::hash<double>`.
/// Every NaN hashes as the quiet positive one.
uint64_t hash_double(double number);

}  // namespace recserve
