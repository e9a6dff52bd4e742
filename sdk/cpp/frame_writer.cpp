#include "sdk/cpp/frame_writer.h"

#include <google/protobuf/message_lite.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "sdk/cpp/frame_decoder.h"

namespace liongate::plugin {
namespace {

constexpr std::size_t kPendingBytes = 256UL * 1024;  // a batch that reaches it is written before it grows further
constexpr std::size_t kKeptBytes = 64UL * 1024;      // a buffer that grew beyond it is given back after use

}  // namespace

void FrameWriter::add(const google::protobuf::MessageLite& frame) {
  const std::size_t length = frame.ByteSizeLong();
  bool full = false;
  {
    std::unique_lock lock(mutex_);
    // Backpressure: a handler that streams faster than the daemon reads waits here instead of filling the memory.
    drained_.wait(lock, [this] { return !writing_ || pending_.size() < kPendingBytes; });
    const std::size_t start = pending_.size();
    pending_.resize(start + kFrameHeaderBytes + length);
    auto* bytes = reinterpret_cast<unsigned char*>(pending_.data()) + start;
    for (unsigned i = 0; i < kFrameHeaderBytes; ++i) bytes[i] = static_cast<unsigned char>(length >> (8 * i));
    frame.SerializeWithCachedSizesToArray(bytes + kFrameHeaderBytes);
    full = pending_.size() >= kPendingBytes;
  }
  if (full) flush();
}

void FrameWriter::flush() {
  std::unique_lock lock(mutex_);
  if (writing_) return;
  writing_ = true;
  while (!pending_.empty()) {
    writing_bytes_.clear();
    writing_bytes_.swap(pending_);
    lock.unlock();
    drained_.notify_all();
    write_all(writing_bytes_);
    if (writing_bytes_.capacity() > kKeptBytes) std::string().swap(writing_bytes_);
    lock.lock();
  }
  writing_ = false;
}

void FrameWriter::write_all(const std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size() && !broken()) {
    const ssize_t count = ::write(fd_, bytes.data() + done, bytes.size() - done);
    if (count >= 0) {
      done += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN) {
      pollfd ready{.fd = fd_, .events = POLLOUT, .revents = 0};
      ::poll(&ready, 1, -1);  // the daemon may have made the pipe non-blocking; it always drains its end
    } else if (errno != EINTR) {
      broken_.store(true, std::memory_order_relaxed);
    }
  }
}

}  // namespace liongate::plugin
