// Starts a server many times and measures how long from exec until a gRPC health check on its socket answers SERVING.
//
// Usage: bench_start COUNT SOCKET FOLDER COMMAND [ARGUMENT]...
// FOLDER is removed before each start, so that every start is that of an empty state. The server is stopped by SIGTERM.
// The health check's messages are two bytes, written and read here: Debian ships no generated code for them.

#include <fcntl.h>
#include <grpc/grpc.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "bench/measurement.h"

namespace liongate::bench {
namespace {

constexpr std::uint64_t kGiveUpNs = 20'000'000'000ULL;

// Returns a connected socket, or -1 while nobody listens.
int connect_once(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
  }
  ::close(fd);
  return -1;
}

// One grpc.health.v1.Health/Check of the whole server ("").
bool is_serving(int fd) {
  const auto channel = grpc::CreateInsecureChannelFromFd("probe", fd);
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
  grpc::CompletionQueue queue;
  const grpc::Slice nothing("");
  const auto call =
      stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::ByteBuffer(&nothing, 1), &queue);
  call->StartCall();
  grpc::ByteBuffer reply;
  grpc::Status status;
  call->Finish(&reply, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  grpc::Slice slice;
  if (!status.ok() || !reply.TrySingleSlice(&slice).ok()) return false;
  // Field 1, a varint: SERVING is 1.
  return slice.size() == 2 && slice.begin()[0] == 0x08 && slice.begin()[1] == 0x01;
}

pid_t start(char** command) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, command[0], &actions, nullptr, command, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) give_up(std::string("bench_start: ") + command[0] + ": " + std::strerror(error));
  return pid;
}

std::uint64_t wait_until_serving(const std::string& socket, pid_t pid, std::uint64_t begin) {
  while (true) {
    const int fd = connect_once(socket);
    if (fd >= 0 && is_serving(fd)) return now_ns() - begin;
    if (now_ns() - begin > kGiveUpNs) give_up("bench_start: the server does not answer");
    int status = 0;
    if (::waitpid(pid, &status, WNOHANG) == pid) give_up("bench_start: the server ended at its start");
    const timespec pause = {0, 100'000};  // leaves the processors to the server
    ::nanosleep(&pause, nullptr);
  }
}

int run(int argc, char** argv) {
  if (argc < 5) give_up("usage: bench_start COUNT SOCKET FOLDER COMMAND [ARGUMENT]...");
  const int count = std::atoi(argv[1]);
  const std::string socket = argv[2];
  ::grpc_init();
  Samples samples;
  for (int i = 0; i < count; ++i) {
    std::filesystem::remove_all(argv[3]);
    std::filesystem::remove(socket);
    const std::uint64_t begin = now_ns();
    const pid_t pid = start(argv + 4);
    samples.add_ns(wait_until_serving(socket, pid, begin));
    ::kill(pid, SIGTERM);
    int status = 0;
    ::waitpid(pid, &status, 0);
  }
  print_durations(samples);
  return 0;
}

}  // namespace
}  // namespace liongate::bench

int main(int argc, char** argv) {
  return liongate::bench::run(argc, argv);
}
