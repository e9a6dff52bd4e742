// A Plugin running in a thread of this process, with a test in the place of the daemon.
//
// Ownership and thread: owns both pipes and the thread; used by the test's thread.
// Errors: a wait that takes too long, or the end of the plugin's output, fails the test.
#pragma once

#include <string>
#include <thread>
#include <vector>

#include "kernel/base/unique_fd.h"
#include "liongate/observer.h"
#include "liongate/plugin.h"
#include "liongate/v1/frame.pb.h"
#include "sdk/cpp/frame_decoder.h"

namespace liongate::tests {

v1::Frame hello_frame();
v1::Frame invoke_frame(std::uint64_t call_id, const std::string& text, const std::string& operation = "");
v1::Frame cancel_frame(std::uint64_t call_id);
v1::Frame ping_frame(std::uint64_t nonce);
v1::Frame shutdown_frame();

class Conversation {
 public:
  explicit Conversation(plugin::Plugin& plugin);
  explicit Conversation(plugin::ObserverMaker make);
  ~Conversation();
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  void send(const std::vector<v1::Frame>& frames);  // all in one write
  void send_bytes(const std::string& bytes);
  v1::Frame receive();
  v1::Ready greet();
  v1::Result call(const std::string& text, const std::string& operation = "");
  void end_input();
  int exit_code();  // waits for run() to return

 private:
  UniqueFd input_;
  UniqueFd output_;
  UniqueFd plugin_input_;
  UniqueFd plugin_output_;
  plugin::FrameDecoder decoder_;
  int exit_code_ = -1;
  std::thread thread_;
};

}  // namespace liongate::tests
