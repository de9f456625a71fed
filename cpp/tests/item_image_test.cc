// Images of a store: equal to it, and refused, never trusted, when a bit of them changed.
#include "items/image.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "tests/item_versions.h"
#include "tests/test.h"

using namespace recserve;
using namespace recserve::items;
using namespace recserve::testing;

namespace {

using Bytes = std::vector<uint8_t>;

/// A file in a folder of its own, gone with it.
class ScratchFile {
 public:
  ScratchFile() : folder_("/tmp/recserve-image-XXXXXX") {
    CHECK(mkdtemp(folder_.data()) != nullptr);
    path = folder_ + "/items.image";
  }
  ~ScratchFile() {
    std::remove(path.c_str());
    std::remove(folder_.c_str());
  }
  Bytes read() const {
    std::ifstream in(path, std::ios::binary);
    return Bytes(std::istreambuf_iterator<char>(in), {});
  }
  void write(const Bytes& bytes) const {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }

  /// Changes one byte in place.
  void put(size_t at, uint8_t byte) const {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte));
  }

  std::string path;

 private:
  std::string folder_;
};

/// What is said about a file when it is read as a store does; empty when nothing is wrong.
std::string complaint(const std::string& path) {
  try {
    const Image image(path);
    image.check();
    for (uint64_t from = 0; from < image.directory().rows; from += 100)
      image.read(from, from + 100, {"n0", "text", "list"});
    return "";
  } catch (const DataError& error) {
    return error.what();
  }
}

void check_refused(const ScratchFile& file, const std::string& what) {
  const std::string said = complaint(file.path);
  if (said.find("item image '" + file.path + "'") == std::string::npos ||
      said.find("delete it") == std::string::npos) {
    CHECK_EQ(said, what);
  }
}

uint64_t checksum_of(std::span<const uint8_t> bytes) {
  Checksum checksum;
  checksum.add(bytes);
  return checksum.value();
}

/// The image with `change` made to its directory's bytes, and every checksum right.
template <class Change>
Bytes forged(Bytes image, Change change) {
  Preamble preamble = Preamble::decoded(std::span(image).first(Preamble::kBytes), image.size());
  const Section& section = preamble.directory;
  change(std::span(image).subspan(section.offset, section.bytes));
  preamble.directory.checksum = checksum_of(std::span(image).subspan(section.offset, aligned(section.bytes)));
  const Bytes head = preamble.encoded();
  std::copy(head.begin(), head.end(), image.begin());
  return image;
}

}  // namespace

TEST(a_restored_store_says_what_the_saved_one_said_and_goes_on) {
  for (const bool text_keys : {false, true}) {
    const ScratchFile file;
    ItemStore store = version_store(text_keys);
    upsert(store, group(0, 70'000), 5);
    upsert(store, group(0, 30'000), 6);
    store.remove(*column_of(group(0, 100)));
    store.save(file.path, "{}");

    const Image image(file.path);
    ItemStore restored = version_store(text_keys);
    restored.restore(image);
    CHECK_EQ(restored.figures().rows, 69'900);
    const Gathered rows = gather(restored, restored.pin(), group(0, 70'000));
    int64_t wrong = 0;
    for (int64_t row = 0; row < 70'000; ++row) {
      const int64_t expected = row < 100 ? 0 : row < 30'000 ? 6 : 5;
      wrong += version_of(rows.raw, row) != expected && (row >= 100 || rows.known[row] != 0);
    }
    CHECK_EQ(wrong, 0);

    for (int64_t version = 7; version < 20; ++version) upsert(restored, group(0, 60'000), version);
    CHECK_EQ(version_of(gather(restored, restored.pin(), {59'999}).raw, 0), 19);
    CHECK_EQ(version_of(gather(restored, restored.pin(), {60'000}).raw, 0), 5);
    // What it writes stays its own: the image still has what was saved.
    ItemStore again = version_store(text_keys);
    again.restore(image);
    CHECK_EQ(version_of(gather(again, again.pin(), {59'999}).raw, 0), 5);
  }
}

TEST(an_image_holds_one_moment_of_a_store_that_is_written) {
  constexpr int64_t kGroups = 300, kGroupSize = 8;
  const ScratchFile file;
  ItemStore store = version_store(true);
  for (int64_t g = 0; g < kGroups; ++g) upsert(store, group(g, kGroupSize), 1);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    std::mt19937_64 random(1);
    int64_t version = 1;
    for (int64_t fresh = kGroups; !stop; ++fresh) {
      upsert(store, group(static_cast<int64_t>(random() % kGroups), kGroupSize), ++version);
      if (fresh < 10 * kGroups) upsert(store, group(fresh, kGroupSize), version);
    }
  });
  for (int i = 0; i < 10; ++i) {
    store.save(file.path, "{}");
    ItemStore restored = version_store(true);
    restored.restore(Image(file.path));
    const int64_t items = restored.figures().rows;
    CHECK_EQ(items % kGroupSize, 0);
    const Gathered rows = gather(restored, restored.pin(), group(0, items));
    int64_t torn = 0;
    for (int64_t row = 0; row < items; ++row) {
      const int64_t version = version_of(rows.raw, row);
      torn += version < 1 || version != version_of(rows.raw, row / kGroupSize * kGroupSize);
    }
    CHECK_EQ(torn, 0);
  }
  stop = true;
  writer.join();
}

TEST(an_image_with_any_bit_changed_is_refused) {
  const ScratchFile file;
  ItemStore store = version_store(true);
  upsert(store, group(0, 200), 3);
  store.save(file.path, "{}");
  const Bytes image = file.read();
  CHECK_EQ(complaint(file.path), "");

  std::mt19937_64 random(1);
  for (size_t i = 0; i < 4000; ++i) {
    const size_t at = i < 64 ? i : random() % image.size();
    file.put(at, image[at] ^ static_cast<uint8_t>(1u << (random() % 8)));
    check_refused(file, "a bit of byte " + std::to_string(at) + " changed");
    file.put(at, image[at]);
  }
}

TEST(an_image_that_is_cut_off_is_refused) {
  const ScratchFile file;
  ItemStore store = version_store(true);
  upsert(store, group(0, 200), 3);
  store.save(file.path, "{}");
  const Bytes image = file.read();
  std::mt19937_64 random(1);
  for (size_t i = 0; i < 1000; ++i) {
    const size_t size = i < 100 ? i : i < 200 ? image.size() - (i - 99) : random() % image.size();
    file.write(Bytes(image.begin(), image.begin() + static_cast<ptrdiff_t>(size)));
    check_refused(file, "cut off at " + std::to_string(size));
  }
  Bytes longer = image;
  longer.resize(image.size() + 1);
  file.write(longer);
  check_refused(file, "a byte more");
}

TEST(a_directory_that_lies_is_refused_although_its_checksum_is_right) {
  const ScratchFile file;
  ItemStore store = version_store(true);
  upsert(store, group(0, 200), 3);
  store.save(file.path, "{}");
  const Bytes image = file.read();
  std::mt19937_64 random(1);
  int64_t refused = 0;
  for (int i = 0; i < 4000; ++i) {
    file.write(forged(image, [&](std::span<uint8_t> directory) {
      // Its numbers, one of them made very different.
      const size_t at = random() % (directory.size() - 8);
      const uint64_t value = random() >> (random() % 64);
      std::memcpy(directory.data() + at, &value, 1 + random() % 8);
    }));
    refused += !complaint(file.path).empty();
  }
  CHECK(refused > 2000);  // the others changed a name, the time and the like
}

TEST(a_row_that_points_outside_of_the_image_is_refused_although_its_checksum_is_right) {
  const ScratchFile file;
  ItemStore store = version_store(true);
  upsert(store, group(0, 200), 3);
  store.save(file.path, "{}");
  const Layout& layout = store.layout();
  const Bytes image = file.read();
  for (const char* name : {"text", "list"}) {
    for (const Field& field : layout.fields) {
      if (field.name != name) continue;
      Bytes changed = image;
      Preamble preamble = Preamble::decoded(std::span(changed).first(Preamble::kBytes), changed.size());
      const Section place = preamble.directory;
      Directory directory =
          Directory::decoded(std::span(changed).subspan(place.offset, place.bytes), changed.size());
      const uint32_t handle = 0x7ffffff0;
      uint8_t* slot = changed.data() + directory.slots.offset + 7 * static_cast<uint64_t>(layout.slot_bytes);
      std::memcpy(slot + field.offset, &handle, sizeof(handle));
      directory.slots.checksum =
          checksum_of(std::span(changed).subspan(directory.slots.offset, aligned(directory.slots.bytes)));
      const Bytes encoded = directory.encoded();
      file.write(forged(
          changed, [&](std::span<uint8_t> to) { std::copy(encoded.begin(), encoded.end(), to.begin()); }));
      CHECK(complaint(file.path).find("row 7 points outside of it") != std::string::npos);
    }
  }
}

TEST(a_directory_is_read_as_it_was_written) {
  const ScratchFile file;
  ItemStore store = version_store(true);
  upsert(store, group(0, 200), 3);
  store.save(file.path, "{\"a\": \"b\"}");
  const Image image(file.path);
  CHECK_EQ(image.directory().meta, "{\"a\": \"b\"}");
  CHECK_EQ(image.directory().rows, uint64_t{200});
  CHECK_EQ(Directory::decoded(image.directory().encoded(), image.bytes()).difference(image.directory()), "");
}
