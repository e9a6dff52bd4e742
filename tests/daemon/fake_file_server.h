// Plays the launcher's side of the files socket: opens what FileOpener asks for, as the launcher would.
//
// Ownership and thread: one a test; it answers on a thread of its own, which ends when the FileOpener goes.
#pragma once

#include <fcntl.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "daemon/file_opener.h"
#include "kernel/base/sys.h"
#include "sandbox/packet_socket.h"

namespace liongate::testing {

class FakeFileServer {
 public:
  FakeFileServer() {
    auto [ours, theirs] = sandbox::packet_socket_pair().value();
    opener_ = std::make_unique<daemon::FileOpener>(std::move(ours));
    server_ = std::thread([socket = std::move(theirs)] { serve(socket.get()); });
  }
  ~FakeFileServer() {
    opener_.reset();
    server_.join();
  }
  FakeFileServer(const FakeFileServer&) = delete;
  FakeFileServer& operator=(const FakeFileServer&) = delete;

  daemon::FileOpener& opener() { return *opener_; }

  // Gives the opener's socket away, to an owner that ends before this.
  static void serve(int socket) {
    for (;;) {
      const auto packet = sandbox::receive_packet(socket);
      if (!packet) return;
      const auto request = sandbox::decode_request(packet->bytes);
      if (!request) return;
      const auto& asked = std::get<sandbox::OpenRequest>(*request);
      const int flags =
          O_RDONLY | O_NOFOLLOW | O_NONBLOCK | (asked.kind == sandbox::OpenKind::kFolder ? O_DIRECTORY : 0);
      const auto fd = sys::open(asked.path, flags);
      sandbox::Opened opened{asked.request_id, fd ? 0 : fd.error().sys_errno};
      const auto bytes = sandbox::encode(sandbox::Report(opened)).value();
      std::vector<int> descriptors;
      if (fd) descriptors.push_back(fd->get());
      if (!sandbox::send_packet(socket, bytes, descriptors)) return;
    }
  }

 private:
  std::unique_ptr<daemon::FileOpener> opener_;
  std::thread server_;
};

struct TemporaryFolder {
  std::string path;
  TemporaryFolder() {
    path = "/tmp/liongate-daemon-XXXXXX";
    REQUIRE(::mkdtemp(path.data()) != nullptr);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  void write(const std::string& name, const std::string& text) const {
    const std::filesystem::path file = std::filesystem::path(path) / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
  }
};

}  // namespace liongate::testing
