#include "items/epochs.h"

#include <algorithm>

namespace recserve::items {

Epochs::~Epochs() {
  for (Reader* reader = readers_.load(); reader != nullptr;) delete std::exchange(reader, reader->next);
}

void Epochs::Pin::release() {
  if (reader_ != nullptr) reader_->epoch.store(kIdle, std::memory_order_release);
  reader_ = nullptr;
}

Epochs::Pin Epochs::pin() {
  uint64_t epoch = current();
  Reader* reader = claim(epoch);
  // The writer may have advanced, looked for readers and reused slots between the two lines above. Whoever
  // still reads the same epoch after the barrier has been seen by every `oldest` that follows the next
  // advance.
  for (;;) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    uint64_t now = current();
    if (now == epoch) return Pin(reader, epoch);
    reader->epoch.store(now, std::memory_order_seq_cst);
    epoch = now;
  }
}

Epochs::Reader* Epochs::claim(uint64_t epoch) {
  for (Reader* reader = readers_.load(std::memory_order_acquire); reader != nullptr; reader = reader->next) {
    uint64_t idle = kIdle;
    if (reader->epoch.load(std::memory_order_relaxed) == kIdle &&
        reader->epoch.compare_exchange_strong(idle, epoch, std::memory_order_seq_cst)) {
      return reader;
    }
  }
  auto* reader = new Reader;
  reader->epoch.store(epoch, std::memory_order_seq_cst);
  reader->next = readers_.load(std::memory_order_relaxed);
  while (!readers_.compare_exchange_weak(reader->next, reader, std::memory_order_seq_cst)) {
  }
  return reader;
}

uint64_t Epochs::oldest() const {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  uint64_t oldest = current();
  for (Reader* reader = readers_.load(std::memory_order_acquire); reader != nullptr; reader = reader->next) {
    oldest = std::min(oldest, reader->epoch.load(std::memory_order_acquire));
  }
  return oldest;
}

}  // namespace recserve::items
