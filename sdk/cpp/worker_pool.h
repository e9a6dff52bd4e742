// Runs calls on threads beside the reading thread, started only when there is work that no idle one can take.
//
// Ownership and thread: owned by the Session; submit() and finish() belong to the reading thread.
// Errors: where the system refuses every thread (a process cap), submit() runs the call itself: slower, never lost.
#pragma once

#include <pthread.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "sdk/cpp/call_state.h"

namespace liongate::plugin {

class WorkerPool {
 public:
  WorkerPool(std::uint32_t threads_max, std::function<void(CallState&)> run_call)
      : threads_max_(threads_max), run_call_(std::move(run_call)) {}
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  ~WorkerPool() { finish(); }

  void submit(std::unique_ptr<CallState> call);
  // Lets everything that was submitted run to its end and joins the threads.
  void finish();

 private:
  static void* thread_main(void* pool);
  void work();
  void start_thread();

  const std::uint32_t threads_max_;
  const std::function<void(CallState&)> run_call_;
  std::vector<pthread_t> threads_;  // the reading thread's

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<CallState>> queue_;  // guarded; the Session bounds how many calls exist
  std::size_t idle_ = 0;                          // guarded: threads that wait, woken or not
  bool finishing_ = false;                        // guarded
};

}  // namespace liongate::plugin
