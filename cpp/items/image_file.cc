#include "items/image_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "columns/error.h"

namespace recserve::items {

namespace {

constexpr uint64_t kBufferBytes = 1 << 20;

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

File::File(File&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

File::~File() {
  if (descriptor_ >= 0) close(descriptor_);
}

FileReplacement::FileReplacement(std::string path)
    : path_(std::move(path)), unfinished_(path_ + ".unfinished") {
  buffer_.reserve(kBufferBytes);
  open();
}

/// One name for all writers, so that what a killed one left is written over; the lock says whose it is.
void FileReplacement::open() {
  for (;;) {
    file_ = File(::open(unfinished_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file_.get() < 0) refuse("open");
    if (flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) refuse("lock");
      throw SourceError("cannot write the item image '" + path_ + "': another process is writing it");
    }
    // The writer before us may have moved this very file to its place, between our two calls.
    struct stat opened, named;
    if (fstat(file_.get(), &opened) != 0) refuse("open");
    if (stat(unfinished_.c_str(), &named) == 0 && named.st_ino == opened.st_ino &&
        named.st_dev == opened.st_dev)
      break;
  }
  if (fchmod(file_.get(), 0600) != 0 || ftruncate(file_.get(), 0) != 0) refuse("write");
}

FileReplacement::~FileReplacement() {
  if (file_.get() >= 0) unlink(unfinished_.c_str());
}

void FileReplacement::start() {
  start_ = end_;
  size_ = 0;
  checksum_ = {};
}

void FileReplacement::write(std::span<const uint8_t> bytes) {
  size_ += bytes.size();
  while (!bytes.empty()) {
    const size_t part = std::min<size_t>(bytes.size(), kBufferBytes - buffer_.size());
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(part));
    bytes = bytes.subspan(part);
    if (buffer_.size() == kBufferBytes) flush();
  }
}

Section FileReplacement::finish() {
  buffer_.resize(buffer_.size() + aligned(size_) - size_);
  flush();
  return Section{start_, size_, checksum_.value()};
}

void FileReplacement::flush() {
  put(buffer_.data(), buffer_.size(), end_);
  checksum_.add(buffer_);
  end_ += buffer_.size();
  buffer_.clear();
}

void FileReplacement::overwrite(std::span<const uint8_t> bytes) { put(bytes.data(), bytes.size(), 0); }

void FileReplacement::put(const uint8_t* bytes, uint64_t size, uint64_t offset) {
  while (size > 0) {
    const ssize_t written = pwrite(file_.get(), bytes, size, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) refuse("write");
    bytes += written;
    size -= static_cast<uint64_t>(written);
    offset += static_cast<uint64_t>(written);
  }
}

void FileReplacement::commit() {
  if (fsync(file_.get()) != 0) refuse("write");
  if (rename(unfinished_.c_str(), path_.c_str()) != 0) refuse("rename");
  file_ = File(-1);
  // The name is on the disk when its folder is.
  const File folder(::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || fsync(folder.get()) != 0) refuse("flush the folder of");
}

void FileReplacement::refuse(const char* what) {
  const std::string why = std::strerror(errno);
  const std::string after = end_ > 0 ? " after " + std::to_string(end_) + " bytes" : "";
  throw SourceError(std::string("cannot ") + what + " the item image '" + path_ + "': " + why + after +
                    "; the one before, if there was one, is untouched");
}

}  // namespace recserve::items
