#include "cli/connection.h"

#include <fcntl.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/security/credentials.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "config/daemon_config.h"
#include "kernel/base/limits.h"
#include "kernel/base/unique_fd.h"

namespace liongate::cli {
namespace {

grpc::ChannelArguments channel_arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(limits::kGrpcMessageBytesMax);
  arguments.SetMaxSendMessageSize(limits::kGrpcMessageBytesMax);
  // A local daemon is neither behind a proxy nor described by DNS records.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  return arguments;
}

std::string words_for(int connect_errno) {
  switch (connect_errno) {
    case ENOENT:
      return "there is no such socket";
    case ECONNREFUSED:
      return "nobody listens on the socket";
    case EPROTOTYPE:
      return "it is a socket of another kind";
    case ENOTSOCK:
      return "it is not a socket";
    case ENAMETOOLONG:
      return "the path is longer than " + std::to_string(limits::kSocketPathBytesMax) + " bytes";
    default:
      return std::strerror(connect_errno);
  }
}

// Returns 0 or an errno. Connecting here rather than in gRPC gives the true reason at once, and one attempt instead of
// gRPC's retries with backoff.
int connect_to(const std::string& path, UniqueFd& fd) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() > limits::kSocketPathBytesMax) return ENAMETOOLONG;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  fd.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno;
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return errno;
  }
  return ::fcntl(fd.get(), F_SETFL, O_NONBLOCK) == 0 ? 0 : errno;
}

}  // namespace

Connection::Connection(const Context& context) {
  // gRPC writes its own diagnostics to stderr, which belongs to our one-line errors.
  ::setenv("GRPC_VERBOSITY", "NONE", 0);
  interrupt_fd();
  if (context.address.empty()) {
    connect_socket(context.socket.empty() ? config::client_socket_path() : context.socket);
    return;
  }
  peer_ = context.address;
  channel_ = grpc::CreateCustomChannel(peer_, grpc::InsecureChannelCredentials(), channel_arguments());
}

void Connection::connect_socket(const std::string& path) {
  peer_ = path;
  UniqueFd fd;
  if (const int failed = connect_to(path, fd); failed != 0) {
    status_ = grpc::Status(grpc::StatusCode::UNAVAILABLE, "cannot reach the daemon: " + words_for(failed));
    return;
  }
  channel_ = grpc::CreateCustomInsecureChannelFromFd("liongate", fd.release(), channel_arguments());
}

void Connection::set_deadline(grpc::ClientContext& call, std::int64_t deadline_ms) {
  if (deadline_ms == kNoDeadline) return;
  call.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(deadline_ms));
}

}  // namespace liongate::cli
