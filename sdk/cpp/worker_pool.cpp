#include "sdk/cpp/worker_pool.h"

#include <malloc.h>

#include <utility>

namespace liongate::plugin {
namespace {

constexpr std::size_t kWorkerStackBytes = 1024UL * 1024;  // address space counts against the plugin's memory limit
constexpr int kMallocArenas = 2;                          // each arena reserves 64 MiB of address space

}  // namespace

void WorkerPool::submit(std::unique_ptr<CallState> call) {
  std::unique_lock lock(mutex_);
  const bool all_busy = queue_.size() >= idle_;
  if (all_busy && threads_.size() < threads_max_) start_thread();
  if (threads_.empty()) {
    lock.unlock();
    run_call_(*call);
    return;
  }
  queue_.push_back(std::move(call));
  lock.unlock();
  wake_.notify_one();
}

void WorkerPool::finish() {
  {
    const std::lock_guard lock(mutex_);
    finishing_ = true;
  }
  wake_.notify_all();
  for (pthread_t thread : threads_) pthread_join(thread, nullptr);
  threads_.clear();
}

void WorkerPool::start_thread() {
  if (threads_.empty()) mallopt(M_ARENA_MAX, kMallocArenas);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kWorkerStackBytes);
  pthread_t thread{};
  const bool started = pthread_create(&thread, &attributes, &WorkerPool::thread_main, this) == 0;
  pthread_attr_destroy(&attributes);
  if (started) threads_.push_back(thread);
}

void* WorkerPool::thread_main(void* pool) {
  static_cast<WorkerPool*>(pool)->work();
  return nullptr;
}

void WorkerPool::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    wake_.wait(lock, [this] { return !queue_.empty() || finishing_; });
    --idle_;
    if (queue_.empty()) return;
    std::unique_ptr<CallState> call = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    run_call_(*call);
    call.reset();
    lock.lock();
  }
}

}  // namespace liongate::plugin
