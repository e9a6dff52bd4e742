#include "kernel/supervision/command_run.h"

#include <unistd.h>

#include <boost/asio/post.hpp>
#include <cerrno>

#include "kernel/base/limits.h"
#include "kernel/supervision/limit_error.h"
#include "kernel/supervision/pipe_end.h"

namespace liongate::supervision {

namespace asio = boost::asio;

CommandRun::CommandRun(asio::io_context& context, Launcher& launcher, CommandListener& listener,
                       std::shared_ptr<PluginLog> log, std::uint64_t call_key)
    : context_(context),
      launcher_(launcher),
      listener_(&listener),
      log_(std::move(log)),
      call_key_(call_key),
      stdin_(context),
      stdout_(context) {}

CommandRun::~CommandRun() {
  if (launched_) {
    launcher_.forget(launch_id_);
    launcher_.kill(launch_id_);
  }
}

Result<std::vector<UniqueFd>> CommandRun::open_pipes(const std::string& execution_id) {
  LG_ASSIGN(auto in, sys::pipe());
  LG_ASSIGN(auto out, sys::pipe());
  LG_ASSIGN(auto err, sys::pipe());
  LG_TRY(watch_pipe_end(stdin_, std::move(in.second)));
  LG_TRY(watch_pipe_end(stdout_, std::move(out.first)));
  LG_ASSIGN(stderr_, OutputCapture::open(context_, std::move(err.first), "stderr", log_, execution_id));
  std::vector<UniqueFd> theirs;
  theirs.push_back(std::move(in.first));
  theirs.push_back(std::move(out.second));
  theirs.push_back(std::move(err.second));
  return theirs;
}

Result<void> CommandRun::start(const v1::PluginLoaded& loaded, v1::Event origin, std::string input,
                               const std::string& execution_id, std::vector<policy::SecretValue> secrets) {
  LaunchOrder order;
  order.origin = std::move(origin);
  order.loaded = &loaded;
  order.secrets = std::move(secrets);
  if (const std::uint64_t asked = loaded.manifest().limits().output_bytes_max(); asked != 0) output_bytes_max_ = asked;
  bool wants_input_argument = false;
  for (const std::string& argument : loaded.manifest().args()) {
    wants_input_argument |= argument.find("{input}") != std::string::npos;
  }
  if (wants_input_argument) {
    if (input.find('\0') != std::string::npos) {
      return make_error(Reason::kInvalidArgument, "an input with NUL bytes cannot become an argument ({input})")
          .with_hint("remove {input} from the manifest's args: the input is on stdin as well");
    }
    order.input_argument = input;
  }
  LG_ASSIGN(order.descriptors, open_pipes(execution_id));
  auto launched = launcher_.launch(std::move(order), *this);
  if (!launched) {
    close_pipes();
    return std::move(launched).error();
  }
  launch_id_ = *launched;
  launched_ = true;
  input_ = std::move(input);
  stderr_->start();
  write_input();
  wait_output();
  return {};
}

void CommandRun::write_input() {
  while (input_sent_ < input_.size()) {
    const ssize_t sent = ::write(stdin_.native_handle(), input_.data() + input_sent_, input_.size() - input_sent_);
    if (sent >= 0) {
      input_sent_ += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN) {
      stdin_.async_wait(asio::posix::stream_descriptor::wait_write,
                        [self = shared_from_this()](const boost::system::error_code& error) {
                          if (!error && !self->ended_) self->write_input();
                        });
      return;
    } else if (errno != EINTR) {
      break;  // EPIPE: a program need not read all of its input (`head`)
    }
  }
  boost::system::error_code ignored;
  stdin_.close(ignored);
  input_.clear();
  input_.shrink_to_fit();
}

void CommandRun::wait_output() {
  stdout_.async_wait(asio::posix::stream_descriptor::wait_read,
                     [self = shared_from_this()](const boost::system::error_code& error) {
                       if (error || self->ended_) return;
                       if (self->read_output()) self->wait_output();
                     });
}

bool CommandRun::read_output() {
  char bytes[64 * 1024];
  const ssize_t got = ::read(stdout_.native_handle(), bytes, sizeof bytes);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  const std::string_view part(bytes, static_cast<std::size_t>(got));
  if (output_.size() + part.size() > output_bytes_max_) {
    end(make_limit_error("the command wrote more than " + std::to_string(output_bytes_max_) + " bytes to stdout",
                         "output_bytes_max", output_bytes_max_, output_.size() + part.size()));
    return false;
  }
  output_.append(part);
  if (listener_ != nullptr) listener_->on_command_output(*this, part);
  return true;
}

void CommandRun::end(Error cause) {
  if (ended_) return;
  const bool is_first = !cause_.has_value();
  if (is_first) cause_ = std::move(cause);
  if (launch_id_ != 0) {
    launcher_.kill(launch_id_);
  } else if (is_first) {
    ended_ = true;
    asio::post(context_, [self = shared_from_this()] { self->on_launch_ended({}); });
  }
}

void CommandRun::abandon() {
  listener_ = nullptr;
  if (launched_) {
    launcher_.forget(launch_id_);
    launcher_.kill(launch_id_);
    launched_ = false;
  }
  ended_ = true;
  if (stderr_) stderr_->drop();
  close_pipes();
}

void CommandRun::narrow_network(const v1::Manifest& manifest) {
  if (launched_) launcher_.narrow_network(launch_id_, manifest);
}

void CommandRun::on_launch_started(LaunchStarted started) {
  posture_ = std::move(started.posture);
  created_files_ = std::move(started.created_files);
  network_requests_ = std::move(started.network_requests);
}

void CommandRun::on_launch_ended(PluginExit exit) {
  const auto self = shared_from_this();  // the listener may drop the last owner
  launched_ = false;
  // All writers are dead: what is in the pipe is the end of the output.
  while (stdout_.is_open() && !cause_) {
    const std::size_t before = output_.size();
    if (!read_output() || output_.size() == before) break;
  }
  ended_ = true;
  std::string tail;
  if (stderr_) {
    stderr_->finish();
    tail = stderr_->tail();
  }
  close_pipes();
  if (listener_ != nullptr) {
    listener_->on_command_ended(*this, exit, std::move(cause_), std::move(output_), std::move(tail));
  }
}

void CommandRun::close_pipes() {
  boost::system::error_code ignored;
  stdin_.close(ignored);
  stdout_.close(ignored);
  if (stderr_) stderr_->finish();
}

}  // namespace liongate::supervision
