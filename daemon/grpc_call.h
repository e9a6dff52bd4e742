// One RPC on an asynchronous completion queue: the small classes behind which gRPC's tags are hidden.
//
// Threads: a call is born and its handler is called on a queue thread; finish(), write() and the rest may be called
// from any thread. A call keeps itself alive while gRPC holds a tag of it; handlers hold a shared_ptr. Nothing outside
// daemon/grpc_* knows that completion queues are used (docs/DESIGN.md, "gRPC edge").
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "daemon/grpc_error.h"

namespace liongate::daemon {

// The calls that gRPC holds a tag of: the queue must not be shut down before they are over.
class OpenCalls {
 public:
  void enter() {
    const std::lock_guard lock(mutex_);
    ++count_;
  }
  void leave() {
    const std::lock_guard lock(mutex_);
    if (--count_ == 0) none_.notify_all();
  }
  // False when some are still open after `timeout_ms`.
  bool wait_for_none(int timeout_ms) {
    std::unique_lock lock(mutex_);
    return none_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [this] { return count_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  int count_ = 0;
};

// What gRPC gives back; `ok` as CompletionQueue::Next says.
class CompletionTag {
 public:
  virtual ~CompletionTag() = default;
  virtual void on_completion(bool ok) = 0;
};

// A tag that calls a method of its owner.
template <typename Owner>
class MethodTag final : public CompletionTag {
 public:
  using Method = void (Owner::*)(bool);
  MethodTag(Owner& owner, Method method) : owner_(owner), method_(method) {}
  void on_completion(bool ok) override { (owner_.*method_)(ok); }

 private:
  Owner& owner_;
  Method method_;
};

enum class Cancellation { kIgnored, kReported };

// A call with one request and one response. `Request`s are taken one after the other: each call arms the next.
template <typename Service, typename Request, typename Response>
class UnaryCall final : public std::enable_shared_from_this<UnaryCall<Service, Request, Response>> {
 public:
  using Self = UnaryCall<Service, Request, Response>;
  using Method = void (Service::*)(grpc::ServerContext*, Request*, grpc::ServerAsyncResponseWriter<Response>*,
                                   grpc::CompletionQueue*, grpc::ServerCompletionQueue*, void*);
  using Handler = std::function<void(std::shared_ptr<Self>)>;

  struct Binding {
    Service& service;
    Method method;
    grpc::ServerCompletionQueue& queue;
    OpenCalls& open_calls;
    Handler handler;
    Cancellation cancellation = Cancellation::kIgnored;
  };

  // Waits for the next request of this method.
  static void arm(std::shared_ptr<const Binding> binding) {
    auto call = std::make_shared<Self>(std::move(binding));
    call->self_ = call;
    call->request_next();
  }

  explicit UnaryCall(std::shared_ptr<const Binding> binding) : binding_(std::move(binding)) {}

  const Request& request() const { return request_; }
  Request& mutable_request() { return request_; }
  grpc::ServerContext& context() { return context_; }

  // Called on a queue thread when the client went away before finish(); set it before the handler returns.
  void set_on_cancel(std::function<void()> on_cancel) { on_cancel_ = std::move(on_cancel); }

  void finish(const Response& response) { writer_.Finish(response, grpc::Status::OK, &finished_tag_); }
  void fail(const Error& error) { writer_.FinishWithError(to_status(error), &finished_tag_); }

 private:
  void request_next() {
    pending_ = 1;
    if (binding_->cancellation == Cancellation::kReported) {
      ++pending_;
      context_.AsyncNotifyWhenDone(&done_tag_);
    }
    Service& service = binding_->service;
    (service.*(binding_->method))(&context_, &request_, &writer_, &binding_->queue, &binding_->queue, &requested_tag_);
  }
  void on_requested(bool ok) {
    if (!ok) {  // the server shuts down; the done tag of a call that never began does not come
      self_.reset();
      return;
    }
    binding_->open_calls.enter();
    arm(binding_);
    binding_->handler(this->shared_from_this());
  }
  void on_done(bool) {
    if (context_.IsCancelled() && on_cancel_) on_cancel_();
    release();
  }
  void on_finished(bool) { release(); }
  void release() {
    if (--pending_ == 0) {
      const auto last = std::move(self_);
      on_cancel_ = nullptr;
      binding_->open_calls.leave();
    }
  }

  std::shared_ptr<const Binding> binding_;
  std::shared_ptr<Self> self_;
  grpc::ServerContext context_;
  Request request_;
  grpc::ServerAsyncResponseWriter<Response> writer_{&context_};
  std::function<void()> on_cancel_;
  std::atomic<int> pending_{0};
  MethodTag<Self> requested_tag_{*this, &Self::on_requested};
  MethodTag<Self> done_tag_{*this, &Self::on_done};
  MethodTag<Self> finished_tag_{*this, &Self::on_finished};
};

// A call with one request and a stream of responses. Writes are queued: at most one is with gRPC at a time.
template <typename Service, typename Request, typename Response>
class StreamCall final : public std::enable_shared_from_this<StreamCall<Service, Request, Response>> {
 public:
  using Self = StreamCall<Service, Request, Response>;
  using Method = void (Service::*)(grpc::ServerContext*, Request*, grpc::ServerAsyncWriter<Response>*,
                                   grpc::CompletionQueue*, grpc::ServerCompletionQueue*, void*);
  using Handler = std::function<void(std::shared_ptr<Self>)>;

  struct Binding {
    Service& service;
    Method method;
    grpc::ServerCompletionQueue& queue;
    OpenCalls& open_calls;
    Handler handler;
  };

  static void arm(std::shared_ptr<const Binding> binding) {
    auto call = std::make_shared<Self>(std::move(binding));
    call->self_ = call;
    call->pending_ = 2;
    call->context_.AsyncNotifyWhenDone(&call->done_tag_);
    Service& service = call->binding_->service;
    (service.*(call->binding_->method))(&call->context_, &call->request_, &call->writer_, &call->binding_->queue,
                                        &call->binding_->queue, &call->requested_tag_);
  }

  explicit StreamCall(std::shared_ptr<const Binding> binding) : binding_(std::move(binding)) {}

  const Request& request() const { return request_; }
  Request& mutable_request() { return request_; }
  grpc::ServerContext& context() { return context_; }

  // Both are called on a queue thread; set them before the handler returns.
  // The call is over, whoever ended it: called once.
  void set_on_end(std::function<void()> on_end) { on_end_ = std::move(on_end); }
  // Everything written so far has left: there is room for more.
  void set_on_drained(std::function<void()> on_drained) { on_drained_ = std::move(on_drained); }

  // Queues a message. Returns how many are queued now, so that a producer can stop; nothing is queued after the end.
  std::size_t write(Response response) {
    const std::lock_guard lock(mutex_);
    if (ended_) return 0;
    queue_.push_back(std::move(response));
    write_next();
    return queue_.size();
  }
  void finish() { end(grpc::Status::OK); }
  void fail(const Error& error) { end(to_status(error)); }

  bool ended() {
    const std::lock_guard lock(mutex_);
    return ended_;
  }

 private:
  void end(grpc::Status status) {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    ended_ = true;
    status_ = std::move(status);
    write_next();
  }
  // With mutex_ held.
  void write_next() {
    if (writing_ || finishing_) return;
    if (!queue_.empty() && !broken_) {
      writing_ = true;
      writer_.Write(queue_.front(), &written_tag_);
    } else if (ended_) {
      finishing_ = true;
      writer_.Finish(status_, &finished_tag_);
    }
  }
  void on_requested(bool ok) {
    if (!ok) {
      self_.reset();
      return;
    }
    binding_->open_calls.enter();
    arm(binding_);
    binding_->handler(this->shared_from_this());
  }
  void on_written(bool ok) {
    bool drained = false;
    {
      const std::lock_guard lock(mutex_);
      writing_ = false;
      queue_.pop_front();
      if (!ok) {
        broken_ = true;
        queue_.clear();
      }
      write_next();
      drained = queue_.empty() && !ended_ && !broken_;
    }
    if (drained && on_drained_) on_drained_();
  }
  void on_done(bool) {
    if (on_end_) on_end_();
    if (context_.IsCancelled()) end(grpc::Status(grpc::StatusCode::CANCELLED, "the client went away"));
    release();
  }
  void on_finished(bool) { release(); }
  void release() {
    if (--pending_ == 0) {
      const auto last = std::move(self_);
      on_end_ = nullptr;
      binding_->open_calls.leave();
      on_drained_ = nullptr;
    }
  }

  std::shared_ptr<const Binding> binding_;
  std::shared_ptr<Self> self_;
  grpc::ServerContext context_;
  Request request_;
  grpc::ServerAsyncWriter<Response> writer_{&context_};
  std::function<void()> on_end_;
  std::function<void()> on_drained_;
  std::mutex mutex_;
  std::deque<Response> queue_;
  grpc::Status status_;
  bool writing_ = false;
  bool ended_ = false;
  bool finishing_ = false;
  bool broken_ = false;
  std::atomic<int> pending_{0};
  MethodTag<Self> requested_tag_{*this, &Self::on_requested};
  MethodTag<Self> done_tag_{*this, &Self::on_done};
  MethodTag<Self> written_tag_{*this, &Self::on_written};
  MethodTag<Self> finished_tag_{*this, &Self::on_finished};
};

}  // namespace liongate::daemon
