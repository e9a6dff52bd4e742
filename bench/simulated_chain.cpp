// The floor of a warm call: the same RPC through as little as can be, to compare the daemon with on the same machine.
//
// Usage: bench_chain SOCKET echo                   a bare gRPC server that answers InvokePlugin by itself
//        bench_chain SOCKET LOG none|written|durable
//                                                  gRPC -> pipe -> unconfined plugin -> log of two events -> gRPC
//
// Three threads like the daemon's: the completion queue, a reader of the plugin's pipe, a log writer with group commit
// (whatever is queued while one fdatasync runs goes into the next) on a file written in advance. No registry, no
// policy, no queues, no bounds, no chain of hashes, no sandbox. Answers health checks on the same queue. Ends by
// SIGTERM.

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "bench/measurement.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "liongate/v1/event.pb.h"
#include "liongate/v1/frame.pb.h"
#include "liongate/v1/plugin_service.grpc.pb.h"

namespace liongate::bench {
namespace {

constexpr std::size_t kLogBytes = 64U << 20;
constexpr int kCallsWaiting = 128;  // requests that the server has asked gRPC for

enum class LogMode { kNone, kWritten, kDurable };

void write_all(int fd, const char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(fd, bytes, size);
    if (written <= 0) ::_exit(0);  // the other side is gone: the benchmark is over
    bytes += written;
    size -= static_cast<std::size_t>(written);
  }
}

void append_framed(std::string& out, const google::protobuf::MessageLite& message) {
  const auto size = static_cast<std::uint32_t>(message.ByteSizeLong());
  const std::size_t offset = out.size();
  out.resize(offset + sizeof size + size);
  std::memcpy(&out[offset], &size, sizeof size);
  message.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(&out[offset + sizeof size]));
}

// Reads whole frames, as many as one read brings.
class FrameReader {
 public:
  // Returns false at the end of the pipe.
  bool read_some(int fd, const std::function<void(const v1::Frame&)>& on_frame) {
    const ssize_t count = ::read(fd, buffer_.data() + size_, buffer_.size() - size_);
    if (count <= 0) return false;
    size_ += static_cast<std::size_t>(count);
    std::size_t offset = 0;
    for (std::uint32_t length = 0; size_ - offset >= sizeof length; offset += sizeof length + length) {
      std::memcpy(&length, &buffer_[offset], sizeof length);
      if (size_ - offset - sizeof length < length) break;
      if (!frame_.ParseFromArray(&buffer_[offset + sizeof length], static_cast<int>(length))) return false;
      on_frame(frame_);
    }
    std::memmove(buffer_.data(), &buffer_[offset], size_ - offset);
    size_ -= offset;
    return true;
  }

 private:
  std::vector<char> buffer_ = std::vector<char>(1U << 18);
  std::size_t size_ = 0;
  v1::Frame frame_;
};

// The plugin: echoes each Invoke as a Result.
[[noreturn]] void run_plugin(int in, int out) {
  FrameReader reader;
  std::string answers;
  v1::Frame answer;
  const auto on_frame = [&](const v1::Frame& frame) {
    answer.mutable_result()->set_call_id(frame.invoke().call_id());
    answer.mutable_result()->mutable_output()->set_text(frame.invoke().input().text());
    append_framed(answers, answer);
  };
  while (reader.read_some(in, on_frame)) {
    write_all(out, answers.data(), answers.size());
    answers.clear();
  }
  ::_exit(0);
}

// Two events a call, group commit on a thread of its own.
class ChainLog {
 public:
  ChainLog(const std::string& path, LogMode mode) : mode_(mode) {
    fd_ = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (fd_ < 0) give_up("bench_chain: cannot make " + path);
    const std::string zeros(1U << 20, '\0');
    for (std::size_t written = 0; written < kLogBytes; written += zeros.size()) {
      write_all(fd_, zeros.data(), zeros.size());
    }
    if (::fsync(fd_) != 0) give_up("bench_chain: fsync");
    writer_ = std::thread([this] { write_batches(); });
    writer_.detach();  // lives as long as the process
  }

  // Queues an event; `then`, if any, runs on the writer once it is as safe as the mode promises.
  void append(v1::Event& event, std::function<void()> then) {
    {
      const std::lock_guard lock(mutex_);
      event.set_seq(++last_seq_);
      append_framed(pending_, event);
      if (then) callbacks_.push_back(std::move(then));
    }
    ready_.notify_one();
  }

 private:
  void write_batches() {
    std::string batch;
    std::vector<std::function<void()>> callbacks;
    while (true) {
      {
        std::unique_lock lock(mutex_);
        ready_.wait(lock, [this] { return mode_ == LogMode::kDurable ? !callbacks_.empty() : !pending_.empty(); });
        batch.swap(pending_);
        callbacks.swap(callbacks_);
      }
      if (offset_ + batch.size() > kLogBytes) offset_ = 0;
      if (::pwrite(fd_, batch.data(), batch.size(), static_cast<off_t>(offset_)) < 0) give_up("bench_chain: pwrite");
      offset_ += batch.size();
      if (mode_ == LogMode::kDurable && ::fdatasync(fd_) != 0) give_up("bench_chain: fdatasync");
      for (const auto& callback : callbacks) callback();
      batch.clear();
      callbacks.clear();
    }
  }

  LogMode mode_;
  int fd_ = -1;
  std::size_t offset_ = 0;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::string pending_;
  std::vector<std::function<void()>> callbacks_;
  std::uint64_t last_seq_ = 0;
  std::thread writer_;
};

// What the completion queue gives back.
struct Tag {
  virtual ~Tag() = default;
  virtual void proceed(bool ok) = 0;
};

// grpc.health.v1: it serves while it answers.
class HealthCall final : public Tag {
 public:
  using Service = grpc::health::v1::Health::AsyncService;

  HealthCall(Service& service, grpc::ServerCompletionQueue& queue) : service_(service), queue_(queue) {
    service_.RequestCheck(&context_, &request_, &writer_, &queue_, &queue_, this);
  }
  void proceed(bool ok) override {
    if (!ok || answered_) {
      delete this;
      return;
    }
    new HealthCall(service_, queue_);  // waits for the next
    answered_ = true;
    grpc::health::v1::HealthCheckResponse response;
    response.set_status(grpc::health::v1::HealthCheckResponse::SERVING);
    writer_.Finish(response, grpc::Status::OK, this);
  }

 private:
  Service& service_;
  grpc::ServerCompletionQueue& queue_;
  grpc::ServerContext context_;
  grpc::health::v1::HealthCheckRequest request_;
  grpc::ServerAsyncResponseWriter<grpc::health::v1::HealthCheckResponse> writer_{&context_};
  bool answered_ = false;
};

class Chain;

struct Call final : Tag {
  explicit Call(Chain& served_by) : chain(served_by) {}

  Chain& chain;
  grpc::ServerContext context;
  v1::InvokePluginRequest request;
  v1::InvokePluginResponse response;
  grpc::ServerAsyncResponseWriter<v1::InvokePluginResponse> writer{&context};
  std::uint64_t id = 0;
  bool answered = false;

  void finish() {
    answered = true;
    writer.Finish(response, grpc::Status::OK, this);
  }
  void proceed(bool ok) override;
};

class Chain {
 public:
  // `to_plugin` is -1 for a bare echo.
  Chain(const std::string& socket, int to_plugin, int from_plugin, std::unique_ptr<ChainLog> log, LogMode mode)
      : to_plugin_(to_plugin), from_plugin_(from_plugin), log_(std::move(log)), mode_(mode) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + socket, grpc::InsecureServerCredentials());
    builder.RegisterService(&service_);
    builder.RegisterService(&health_);
    queue_ = builder.AddCompletionQueue();
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) give_up("bench_chain: cannot listen on " + socket);
    if (to_plugin_ >= 0) std::thread([this] { read_results(); }).detach();
  }

  void serve() {
    for (int i = 0; i < kCallsWaiting; ++i) wait_for_call();
    new HealthCall(health_, *queue_);
    void* tag = nullptr;
    bool ok = false;
    while (queue_->Next(&tag, &ok)) static_cast<Tag*>(tag)->proceed(ok);
  }

  void wait_for_call() {
    auto* call = new Call(*this);
    service_.RequestInvokePlugin(&call->context, &call->request, &call->writer, queue_.get(), queue_.get(), call);
  }

  void accept(Call* call) {
    if (to_plugin_ < 0) {
      call->response.set_text(call->request.text());
      call->finish();
      return;
    }
    {
      const std::lock_guard lock(mutex_);
      call->id = ++last_id_;
      calls_[call->id] = call;
    }
    if (mode_ != LogMode::kNone) {
      v1::Event event = event_of("PluginInvoked");
      event.mutable_plugin_invoked()->mutable_input()->set_text(call->request.text());
      log_->append(event, nullptr);
    }
    v1::Frame frame;
    frame.mutable_invoke()->set_call_id(call->id);
    frame.mutable_invoke()->mutable_input()->set_text(call->request.text());
    std::string bytes;
    append_framed(bytes, frame);
    write_all(to_plugin_, bytes.data(), bytes.size());
  }

 private:
  void read_results() {
    FrameReader reader;
    const auto on_frame = [this](const v1::Frame& frame) {
      Call* call = nullptr;
      {
        const std::lock_guard lock(mutex_);
        const auto entry = calls_.find(frame.result().call_id());
        call = entry->second;
        calls_.erase(entry);
      }
      call->response.set_text(frame.result().output().text());
      if (mode_ == LogMode::kNone) return call->finish();
      v1::Event event = event_of("PluginResult");
      event.mutable_plugin_result()->mutable_output()->set_text(call->response.text());
      if (mode_ == LogMode::kDurable) return log_->append(event, [call] { call->finish(); });
      log_->append(event, nullptr);
      call->finish();
    };
    while (reader.read_some(from_plugin_, on_frame)) {
    }
  }

  static v1::Event event_of(const char* type) {
    v1::Event event;
    event.set_type(type);
    event.set_plugin_id("5f1c2a7e-0000-4000-8000-000000000001");
    const std::uint64_t now = now_ns();
    event.mutable_time()->set_seconds(static_cast<std::int64_t>(now / 1'000'000'000));
    event.mutable_time()->set_nanos(static_cast<std::int32_t>(now % 1'000'000'000));
    return event;
  }

  int to_plugin_;
  int from_plugin_;
  std::unique_ptr<ChainLog> log_;
  LogMode mode_;
  v1::PluginService::AsyncService service_;
  HealthCall::Service health_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<grpc::Server> server_;
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, Call*> calls_;
  std::uint64_t last_id_ = 0;
};

void Call::proceed(bool ok) {
  if (!ok || answered) {
    delete this;
    return;
  }
  chain.wait_for_call();
  chain.accept(this);
}

int run(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[2], "echo") == 0) {
    Chain(argv[1], -1, -1, nullptr, LogMode::kNone).serve();
    return 0;
  }
  if (argc != 4) give_up("usage: bench_chain SOCKET echo | bench_chain SOCKET LOG none|written|durable");
  const std::string name = argv[3];
  const LogMode mode = name == "none" ? LogMode::kNone : (name == "written" ? LogMode::kWritten : LogMode::kDurable);
  int to_plugin[2];
  int from_plugin[2];
  if (::pipe2(to_plugin, O_CLOEXEC) != 0 || ::pipe2(from_plugin, O_CLOEXEC) != 0) give_up("bench_chain: pipe2");
  // The plugin is forked before gRPC or any thread exists; it ends at the end of its pipe.
  if (::fork() == 0) {
    ::close(to_plugin[1]);
    ::close(from_plugin[0]);
    run_plugin(to_plugin[0], from_plugin[1]);
  }
  ::close(to_plugin[0]);
  ::close(from_plugin[1]);
  auto log = mode == LogMode::kNone ? nullptr : std::make_unique<ChainLog>(argv[2], mode);
  Chain(argv[1], to_plugin[1], from_plugin[0], std::move(log), mode).serve();
  return 0;
}

}  // namespace
}  // namespace liongate::bench

int main(int argc, char** argv) {
  return liongate::bench::run(argc, argv);
}
