#include "tests/kernel/fake_launcher.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <catch2/catch.hpp>
#include <csignal>

#include "kernel/base/sys.h"

namespace liongate::testing {

namespace asio = boost::asio;
using supervision::ExitKind;
using supervision::LaunchId;
using supervision::PluginExit;

Script open_calls(std::uint32_t concurrency) {
  Script script;
  script.concurrency = concurrency;
  script.on_invoke = leave_open;
  return script;
}

void leave_open(FakePlugin&, const v1::Invoke&) {}

FakePlugin::FakePlugin(asio::io_context& io, FakeLauncher& launcher, LaunchId id, Script script)
    : launcher_(launcher), id_(id), script_(std::move(script)), from_daemon_(io), to_daemon_(io) {}

void FakePlugin::start(std::vector<UniqueFd> descriptors, std::string input_argument) {
  is_command_ = descriptors.size() == 3;
  input_argument_ = std::move(input_argument);
  stdout_ = std::move(descriptors[1]);
  stderr_ = std::move(descriptors[2]);
  UniqueFd& in = is_command_ ? descriptors[0] : descriptors[3];
  REQUIRE(sys::set_nonblocking(in.get()).has_value());
  from_daemon_.assign(in.release());
  if (is_command_) {
    read_input();
  } else {
    REQUIRE(sys::set_nonblocking(descriptors[4].get()).has_value());
    to_daemon_.assign(descriptors[4].release());
    if (script_.reads_frames) {
      read();
    } else {
      say_ready();
    }
  }
}

// --- a plugin that speaks frames ---

void FakePlugin::read() {
  from_daemon_.async_wait(asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](const boost::system::error_code& error) {
                            if (error || self->ended_) return;
                            const std::span<char> room = self->decoder_.room();
                            const ssize_t got = ::read(self->from_daemon_.native_handle(), room.data(), room.size());
                            if (got == 0) return;  // the daemon closed its end
                            if (got > 0) self->decoder_.filled(static_cast<std::size_t>(got));
                            v1::Frame frame;
                            while (!self->ended_ && *self->decoder_.next(frame)) self->take(frame);
                            if (!self->ended_) self->read();
                          });
}

void FakePlugin::take(const v1::Frame& frame) {
  using K = v1::Frame::KindCase;
  received.push_back(frame);
  switch (frame.kind_case()) {
    case K::kHello:
      if (script_.handshake == Script::Handshake::kOwn) script_.on_hello(*this);
      if (script_.handshake == Script::Handshake::kLogThenReady) {
        v1::Frame log;
        log.mutable_log()->set_message("about to be ready");
        send(log);
        say_ready();
      }
      if (script_.handshake == Script::Handshake::kReady) say_ready();
      break;
    case K::kInvoke:
      if (script_.on_invoke) {
        script_.on_invoke(*this, frame.invoke());
      } else {
        answer(frame.invoke(), "echo: " + frame.invoke().input().text());
      }
      break;
    case K::kCancel:
      if (script_.on_cancel) script_.on_cancel(*this, frame.cancel());
      break;
    case K::kPing:
      if (script_.answers_pings) {
        v1::Frame pong;
        pong.mutable_pong()->set_nonce(frame.ping().nonce());
        pong.mutable_pong()->set_healthy(true);
        pong.mutable_pong()->set_detail("fine");
        send(pong);
      }
      break;
    case K::kEvent:
      if (script_.acknowledges) acknowledge(frame.event().seq());
      break;
    case K::kShutdown:
      if (script_.obeys_shutdown) exit(0);
      break;
    default:
      break;
  }
}

void FakePlugin::send_bytes(const std::string& bytes) {
  if (ended_) return;
  outgoing_ += bytes;
  if (!write_waiting_) flush();
}

void FakePlugin::flush() {
  while (!outgoing_.empty() && to_daemon_.is_open()) {
    const ssize_t sent = ::write(to_daemon_.native_handle(), outgoing_.data(), outgoing_.size());
    if (sent < 0) break;
    outgoing_.erase(0, static_cast<std::size_t>(sent));
  }
  if (outgoing_.empty() || !to_daemon_.is_open()) return;
  write_waiting_ = true;
  to_daemon_.async_wait(asio::posix::stream_descriptor::wait_write,
                        [self = shared_from_this()](const boost::system::error_code& error) {
                          self->write_waiting_ = false;
                          if (!error && !self->ended_) self->flush();
                        });
}

void FakePlugin::close_frames() {
  boost::system::error_code ignored;
  to_daemon_.close(ignored);
}

void FakePlugin::send(const v1::Frame& frame) {
  std::string bytes;
  REQUIRE(supervision::append_frame(frame, bytes).has_value());
  send_bytes(bytes);
}

void FakePlugin::say_ready() {
  v1::Frame frame;
  frame.mutable_ready()->set_protocol_version(1);
  frame.mutable_ready()->set_concurrency(script_.concurrency);
  frame.mutable_ready()->set_sdk("test");
  const bool is_observer = loaded_.manifest().role() == "observer";
  if (is_observer && script_.declares_on_event) frame.mutable_ready()->add_features("on_event");
  send(frame);
}

void FakePlugin::acknowledge(EventSeq seq) {
  v1::Frame frame;
  frame.mutable_ack()->set_seq(seq);
  send(frame);
}

std::vector<v1::Event> FakePlugin::events() const {
  std::vector<v1::Event> events;
  for (const v1::Frame& frame : received) {
    if (frame.has_event()) REQUIRE(events.emplace_back().ParseFromString(frame.event().event()));
  }
  return events;
}

void FakePlugin::answer(std::uint64_t call_id, const std::string& text) {
  v1::Frame frame;
  frame.mutable_result()->set_call_id(call_id);
  frame.mutable_result()->mutable_output()->set_text(text);
  send(frame);
}

void FakePlugin::fail(std::uint64_t call_id, const std::string& code, const std::string& message) {
  v1::Frame frame;
  frame.mutable_result()->set_call_id(call_id);
  frame.mutable_result()->mutable_failure()->set_code(code);
  frame.mutable_result()->mutable_failure()->set_message(message);
  send(frame);
}

void FakePlugin::output_part(std::uint64_t call_id, const std::string& text) {
  v1::Frame frame;
  frame.mutable_output()->set_call_id(call_id);
  frame.mutable_output()->mutable_part()->set_text(text);
  send(frame);
}

void FakePlugin::write_stderr(const std::string& text) {
  REQUIRE(sys::write_all(stderr_.get(), text).has_value());
}

void FakePlugin::exit(int code) {
  PluginExit exit;
  exit.exit_code = code;
  end(std::move(exit));
}

void FakePlugin::die(int signal) {
  PluginExit exit;
  exit.kind = ExitKind::kSignalled;
  exit.signal = signal;
  end(std::move(exit));
}

void FakePlugin::end(PluginExit exit) {
  if (std::exchange(ended_, true)) return;
  boost::system::error_code ignored;
  from_daemon_.close(ignored);
  to_daemon_.close(ignored);
  stdout_.reset();
  stderr_.reset();
  launcher_.report_end(id_, std::move(exit));
}

std::vector<v1::Invoke> FakePlugin::invokes() const {
  std::vector<v1::Invoke> found;
  for (const v1::Frame& frame : received) {
    if (frame.has_invoke()) found.push_back(frame.invoke());
  }
  return found;
}

std::size_t FakePlugin::count(v1::Frame::KindCase kind) const {
  return static_cast<std::size_t>(std::count_if(received.begin(), received.end(),
                                                [&](const v1::Frame& frame) { return frame.kind_case() == kind; }));
}

// --- a command ---

void FakePlugin::read_input() {
  from_daemon_.async_wait(asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](const boost::system::error_code& error) {
                            if (error || self->ended_) return;
                            char bytes[64 * 1024];
                            const ssize_t got = ::read(self->from_daemon_.native_handle(), bytes, sizeof bytes);
                            if (got == 0) {
                              self->run_command();
                              return;
                            }
                            if (got > 0) self->input_.append(bytes, static_cast<std::size_t>(got));
                            self->read_input();
                          });
}

void FakePlugin::run_command() {
  CommandEnd end{"echo: " + input_, "", 0, 0};
  if (script_.on_command) {
    auto given = script_.on_command(input_, input_argument_);
    if (!given) return;  // runs until it is killed
    end = std::move(*given);
  }
  if (!end.errors.empty()) write_stderr(end.errors);
  REQUIRE(sys::set_nonblocking(stdout_.get()).has_value());
  to_daemon_.assign(stdout_.release());
  write_output(end.output, end);
}

void FakePlugin::write_output(std::string output, CommandEnd end) {
  auto text = std::make_shared<std::string>(std::move(output));
  asio::async_write(to_daemon_, asio::buffer(*text),
                    [self = shared_from_this(), text, end](const boost::system::error_code& error, std::size_t) {
                      if (error || self->ended_) return;
                      if (end.signal != 0) {
                        self->die(end.signal);
                      } else {
                        self->exit(end.exit_code);
                      }
                    });
}

// --- the launcher ---

Result<LaunchId> FakeLauncher::launch(supervision::LaunchOrder order, supervision::LaunchListener& listener) {
  if (on_launch) on_launch();
  if (launch_error) return *launch_error;
  const LaunchId id = ++last_id_;
  listeners_[id] = &listener;
  if (setup_end) {
    report_end(id, *setup_end);
    return id;
  }
  auto plugin = std::make_shared<FakePlugin>(io_, *this, id, script);
  plugin->set_loaded(*order.loaded);
  for (const policy::SecretValue& one : order.secrets) plugin->secrets[one.name] = one.value.text();
  plugins.push_back(plugin);
  asio::post(io_, [this, id, pid = script.pid] {
    const auto found = listeners_.find(id);
    if (found == listeners_.end()) return;
    supervision::LaunchStarted started;
    started.pid = pid;
    v1::MechanismState& mechanism = *started.posture.add_mechanisms();
    mechanism.set_name("seccomp");
    mechanism.set_state("active");
    found->second->on_launch_started(std::move(started));
  });
  plugin->start(std::move(order.descriptors), std::move(order.input_argument));
  return id;
}

void FakeLauncher::kill(LaunchId id) {
  if (closed_) return;
  for (const auto& plugin : plugins) {
    if (plugin->id() == id) plugin->die(SIGKILL);
  }
}

void FakeLauncher::try_command(const v1::PluginLoaded&, std::function<void(Result<v1::Posture>)> done) {
  asio::post(io_, [done = std::move(done), error = host_error] {
    done(error ? Result<v1::Posture>(*error) : Result<v1::Posture>(v1::Posture()));
  });
}

void FakeLauncher::report_end(LaunchId id, PluginExit exit) {
  if (closed_) return;
  asio::post(io_, [this, id, exit = std::move(exit)] {
    const auto found = listeners_.find(id);
    if (found == listeners_.end()) return;
    supervision::LaunchListener* listener = found->second;
    listeners_.erase(found);
    listener->on_launch_ended(exit);
  });
}

std::size_t FakeLauncher::running() const {
  return static_cast<std::size_t>(
      std::count_if(plugins.begin(), plugins.end(), [](const auto& plugin) { return !plugin->ended(); }));
}

void FakeLauncher::close() {
  closed_ = true;
  listeners_.clear();
  for (const auto& plugin : plugins) plugin->die(SIGKILL);
  plugins.clear();
}

}  // namespace liongate::testing
