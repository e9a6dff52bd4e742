// liongate-netgate: the way of plugins to the hosts they were granted. Started by liongated, with the socket to it as
// descriptor 3, or as a unit of its own (--service). Nobody starts it by hand.
//
// Exit codes: 0 the daemon has gone; 1 it could not begin (one line on stderr); 2 usage.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "netgate/confinement.h"
#include "netgate/control.h"
#include "netgate/resolver.h"

namespace {

constexpr int kControlFd = 3;

int give_up(const liongate::Error& error) {
  std::fprintf(stderr, "liongate-netgate: %s\n", error.message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--version") == 0) {
    std::puts("liongate-netgate " LIONGATE_VERSION);
    return 0;
  }
  int type = 0;
  socklen_t size = sizeof type;
  if (argc != 1 || ::getsockopt(kControlFd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) {
    std::fputs("liongate-netgate: it is started by liongated, with a socket as descriptor 3\n", stderr);
    return 2;
  }
  ::fcntl(kControlFd, F_SETFD, FD_CLOEXEC);
  std::signal(SIGPIPE, SIG_IGN);
  boost::asio::io_context io{1};
  liongate::netgate::Resolver resolver(io);
  if (auto opened = resolver.open(); !opened) return give_up(opened.error());
  liongate::netgate::Control control(io, liongate::UniqueFd(kControlFd), resolver);
  if (auto confined = liongate::netgate::confine(); !confined) return give_up(confined.error());
  control.start();
  io.run();
  return 0;
}
