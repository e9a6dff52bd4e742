#include "cli/interrupt.h"

#include <grpcpp/client_context.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include <csignal>

#include "kernel/base/assert.h"

namespace liongate::cli {
namespace {

sigset_t interrupts() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  return set;
}

int make_interrupt_fd() {
  sigset_t set = interrupts();
  // A signal that was ignored when we started (nohup) stays ignored: it must not become an interrupt.
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    if (::sigaction(signal, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) sigdelset(&set, signal);
  }
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  const int fd = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  LG_ASSERT(fd >= 0);
  return fd;
}

}  // namespace

int interrupt_fd() {
  static const int fd = make_interrupt_fd();
  return fd;
}

bool take_interrupt() {
  signalfd_siginfo info{};
  return ::read(interrupt_fd(), &info, sizeof info) == static_cast<ssize_t>(sizeof info);
}

void unblock_interrupts() {
  const sigset_t set = interrupts();
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

CallGuard::CallGuard(grpc::ClientContext& call) : done_(::eventfd(0, EFD_CLOEXEC)) {
  LG_ASSERT(done_.valid());
  interrupt_fd();
  thread_ = std::thread([this, &call] { watch(call); });
}

CallGuard::~CallGuard() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(done_.get(), &one, sizeof one);
  thread_.join();
}

void CallGuard::watch(grpc::ClientContext& call) {
  pollfd fds[] = {{interrupt_fd(), POLLIN, 0}, {done_.get(), POLLIN, 0}};
  while (fds[1].revents == 0) {
    if (::poll(fds, 2, -1) < 0) continue;
    if (fds[0].revents != 0 && take_interrupt()) {
      interrupted_ = true;
      call.TryCancel();
    }
  }
}

}  // namespace liongate::cli
