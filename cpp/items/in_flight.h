// Who has begun something and not ended it: so that one can wait for those, and for nobody later.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>

namespace recserve::items {

/// Entering never waits. One thread at a time drains.
class InFlight {
 public:
  /// Held while it lasts. May move between threads.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& other) noexcept : of_(std::exchange(other.of_, nullptr)), side_(other.side_) {}
    Ticket& operator=(Ticket&&) = delete;
    ~Ticket() {
      if (of_ != nullptr) of_->leave(side_);
    }

   private:
    friend class InFlight;
    Ticket(InFlight* of, int side) : of_(of), side_(side) {}
    InFlight* of_ = nullptr;
    int side_ = 0;
  };

  Ticket enter() {
    std::lock_guard lock(mutex_);
    ++inside_[side_];
    return Ticket(this, side_);
  }

  /// Waits until all have left who entered before; false when that took longer than `patience`. Whoever
  /// enters after the call began sees what its thread did before.
  bool drain(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    const auto until = std::chrono::steady_clock::now() + patience;
    // The other side is empty, unless an earlier drain lost its patience.
    const auto empty = [&](int side) { return [this, side] { return inside_[side] == 0; }; };
    if (!left_.wait_until(lock, until, empty(1 - side_))) return false;
    side_ = 1 - side_;
    return left_.wait_until(lock, until, empty(1 - side_));
  }

 private:
  void leave(int side) {
    std::lock_guard lock(mutex_);
    if (--inside_[side] == 0) left_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable left_;
  int side_ = 0;
  int64_t inside_[2] = {0, 0};
};

}  // namespace recserve::items
