// When may memory that readers might still look at be used again?
//
// Every reader pins the epoch in which it starts. The writer publishes under the next epoch, then advances;
// what it replaced at epoch e may be used again once no reader is pinned below e.
//
//   epoch      7            8            9
//   reader A   |----------------------------------|        sees rows born up to 7
//   reader B                |------------|                 sees rows born up to 8
//   writer          replace x at 8            reuse x's old slot: not before A ends (A < 8)
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace recserve::items {

class Epochs {
  struct Reader;

 public:
  /// A reader's hold on one epoch, given back when it is destroyed. May move between threads, not be shared.
  class Pin {
   public:
    Pin(Pin&& other) noexcept : reader_(std::exchange(other.reader_, nullptr)), epoch_(other.epoch_) {}
    Pin& operator=(Pin&&) = delete;
    ~Pin() { release(); }
    void release();
    uint64_t epoch() const { return epoch_; }

   private:
    friend class Epochs;
    Pin(Reader* reader, uint64_t epoch) : reader_(reader), epoch_(epoch) {}
    Reader* reader_;
    uint64_t epoch_;
  };

  Epochs() = default;
  Epochs(const Epochs&) = delete;
  Epochs& operator=(const Epochs&) = delete;
  ~Epochs();

  /// Lock-free; cost: one full barrier. Any number of pins at once.
  Pin pin();
  uint64_t current() const { return current_.load(std::memory_order_acquire); }
  /// The writer alone: what it published under current() + 1 becomes visible to pins from now on.
  void advance() { current_.store(current() + 1, std::memory_order_seq_cst); }
  /// What was replaced at this epoch or before is looked at by nobody any more.
  uint64_t oldest() const;

 private:
  static constexpr uint64_t kIdle = UINT64_MAX;
  /// On a cache line of its own: readers of different threads must not slow one another down.
  struct alignas(64) Reader {
    std::atomic<uint64_t> epoch{kIdle};
    Reader* next = nullptr;
  };

  Reader* claim(uint64_t epoch);

  std::atomic<uint64_t> current_{1};
  std::atomic<Reader*> readers_{nullptr};  // only grows; a record whose epoch is kIdle is free
};

}  // namespace recserve::items
