// Ctrl-C as a descriptor: while it exists, SIGINT, SIGTERM and SIGHUP become readable instead of deadly, and can cancel
// a call.
//
// Ownership and thread: signals belong to the process, so the descriptor is one for the process, made on first use and
// never closed; use it before gRPC starts its threads, which inherit the blocked signals. A CallGuard owns one thread.
#pragma once

#include <atomic>
#include <thread>

#include "kernel/base/unique_fd.h"

namespace grpc {
class ClientContext;
}

namespace liongate::cli {

// Blocks the three signals for the process and returns a descriptor that is readable when one has come.
int interrupt_fd();

// True if one has come by now; it stays taken.
bool take_interrupt();

// Undoes the blocking in a child between fork and exec.
void unblock_interrupts();

// Cancels `call` when a signal comes, for as long as the guard lives.
class CallGuard {
 public:
  explicit CallGuard(grpc::ClientContext& call);
  ~CallGuard();
  CallGuard(const CallGuard&) = delete;
  CallGuard& operator=(const CallGuard&) = delete;

  bool was_interrupted() const { return interrupted_; }

 private:
  void watch(grpc::ClientContext& call);

  std::atomic<bool> interrupted_ = false;
  UniqueFd done_;
  std::thread thread_;
};

}  // namespace liongate::cli
