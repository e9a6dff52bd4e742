// Stands in for liongate-launcher and for the plugins it would start: each launch is a FakePlugin in the test's own
// loop.
//
// A FakePlugin speaks real frames over the very descriptors that the kernel handed to the launcher, so pipes, framing
// and their limits are the real ones; only the process is missing. What it does is a Script that the test writes.
//
// Ownership and thread: owned by the fixture, one thread. Callbacks to the kernel are posted, as the interface demands.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernel/supervision/frame_codec.h"
#include "kernel/supervision/launcher.h"

namespace liongate::testing {

class FakePlugin;

// How one command run ends.
struct CommandEnd {
  std::string output;
  std::string errors;
  int exit_code = 0;
  int signal = 0;  // not 0: it was killed by it
};

// What a started program does. The default is a plugin that behaves.
struct Script {
  enum class Handshake { kReady, kSilent, kLogThenReady, kOwn };

  std::uint32_t concurrency = 8;
  Handshake handshake = Handshake::kReady;
  std::function<void(FakePlugin&)> on_hello;  // kOwn: what comes instead of Ready
  bool obeys_shutdown = true;
  bool answers_pings = true;
  bool declares_on_event = true;  // among its features, as the SDKs do for an observer
  bool acknowledges = true;       // each event it is sent, at once
  bool reads_frames = true;       // false: it says Ready unasked and reads nothing
  // Default: answers "echo: INPUT" at once. A function that does nothing leaves the call open.
  std::function<void(FakePlugin&, const v1::Invoke&)> on_invoke;
  std::function<void(FakePlugin&, const v1::Cancel&)> on_cancel;
  // For a command: what it makes of its input; nothing returned means that it runs until it is killed.
  std::function<std::optional<CommandEnd>(const std::string& input, const std::string& input_argument)> on_command;
  std::int64_t pid = 4242;
};

// A call that stays open until the test answers it.
void leave_open(FakePlugin& plugin, const v1::Invoke& invoke);

// Leaves all its calls open; finishes them when it is told to stop, then exits, as the SDKs do.
Script open_calls(std::uint32_t concurrency = 1);

class FakeLauncher;

class FakePlugin : public std::enable_shared_from_this<FakePlugin> {
 public:
  FakePlugin(boost::asio::io_context& io, FakeLauncher& launcher, supervision::LaunchId id, Script script);

  void start(std::vector<UniqueFd> descriptors, std::string input_argument);

  // --- what the plugin says ---
  void send(const v1::Frame& frame);
  void send_bytes(const std::string& bytes);  // as they are, to fd 4; what the pipe does not hold goes as it empties
  void say_ready();
  void acknowledge(EventSeq seq);
  void answer(std::uint64_t call_id, const std::string& text);
  void answer(const v1::Invoke& invoke, const std::string& text) { answer(invoke.call_id(), text); }
  void fail(std::uint64_t call_id, const std::string& code, const std::string& message);
  void output_part(std::uint64_t call_id, const std::string& text);
  void write_stderr(const std::string& text);
  void close_frames();

  // --- how it ends; nothing happens after it ---
  void exit(int code);
  void die(int signal);
  void end(supervision::PluginExit exit);
  bool ended() const { return ended_; }

  supervision::LaunchId id() const { return id_; }
  const v1::PluginLoaded& loaded() const { return loaded_; }
  void set_loaded(const v1::PluginLoaded& loaded) { loaded_ = loaded; }
  std::map<std::string, std::string> secrets;  // that it finds in its sandbox

  // Everything that came in on fd 3, in order.
  std::vector<v1::Frame> received;
  std::vector<v1::Invoke> invokes() const;
  std::vector<v1::Event> events() const;  // that an observer was sent
  std::size_t count(v1::Frame::KindCase kind) const;

 private:
  void read();
  void take(const v1::Frame& frame);
  void read_input();
  void run_command();
  void write_output(std::string output, CommandEnd end);
  void flush();

  FakeLauncher& launcher_;
  supervision::LaunchId id_;
  Script script_;
  v1::PluginLoaded loaded_;
  boost::asio::posix::stream_descriptor from_daemon_;
  boost::asio::posix::stream_descriptor to_daemon_;  // fd 4, or a command's output
  UniqueFd stdout_;
  UniqueFd stderr_;
  supervision::FrameDecoder decoder_;
  std::string outgoing_;
  bool write_waiting_ = false;
  std::string input_;
  std::string input_argument_;
  bool is_command_ = false;
  bool ended_ = false;
};

class FakeLauncher final : public supervision::Launcher {
 public:
  explicit FakeLauncher(boost::asio::io_context& io) : io_(io) {}

  // What the next launches do.
  Script script;
  std::optional<Error> launch_error;                 // launch() fails at once
  std::optional<supervision::PluginExit> setup_end;  // the launch ends so, without having started
  std::optional<Error> host_error;                   // try_command() says so
  std::function<void()> on_launch;

  // All that were launched, the ended ones too.
  std::vector<std::shared_ptr<FakePlugin>> plugins;
  FakePlugin& last() { return *plugins.back(); }
  std::size_t running() const;

  Result<supervision::LaunchId> launch(supervision::LaunchOrder order, supervision::LaunchListener& listener) override;
  void kill(supervision::LaunchId id) override;
  void narrow_network(supervision::LaunchId, const v1::Manifest&) override {}
  void forget(supervision::LaunchId id) override { listeners_.erase(id); }
  void try_command(const v1::PluginLoaded& loaded, std::function<void(Result<v1::Posture>)> done) override;

  // The launches ended; told the listener in the next turn.
  void report_end(supervision::LaunchId id, supervision::PluginExit exit);
  // The fixture goes: nothing is posted any more.
  void close();

 private:
  boost::asio::io_context& io_;
  std::map<supervision::LaunchId, supervision::LaunchListener*> listeners_;
  supervision::LaunchId last_id_ = 0;
  bool closed_ = false;
};

}  // namespace liongate::testing
