// One call of a `command` plugin: a fresh sandbox, input on stdin, output from stdout, its exit status as the verdict.
//
// Ownership and thread: shared by the call and its own pending reads; kernel thread only. Ends exactly once by
// on_command_ended, after its process was reaped. Output above the manifest's
// output_bytes_max, or limits::kOutputBytesMax, ends it with kLimitExceeded.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <optional>
#include <string>

#include "kernel/base/limits.h"
#include "kernel/supervision/launcher.h"
#include "kernel/supervision/output_capture.h"

namespace liongate::supervision {

class CommandRun;

class CommandListener {
 public:
  virtual ~CommandListener() = default;
  virtual void on_command_output(CommandRun& run, std::string_view part) = 0;
  // `cause` is set when we ended it; else `exit` decides. `output` is all of stdout.
  virtual void on_command_ended(CommandRun& run, const PluginExit& exit, std::optional<Error> cause, std::string output,
                                std::string stderr_tail) = 0;
};

class CommandRun final : public std::enable_shared_from_this<CommandRun>, private LaunchListener {
 public:
  CommandRun(boost::asio::io_context& context, Launcher& launcher, CommandListener& listener,
             std::shared_ptr<PluginLog> log, std::uint64_t call_key);
  ~CommandRun() override;

  // Launches it with `input` on stdin (kept until it is written). An error means that no callback will come.
  // `origin` says whose call it is; `secrets` become files of the sandbox.
  Result<void> start(const v1::PluginLoaded& loaded, v1::Event origin, std::string input,
                     const std::string& execution_id, std::vector<policy::SecretValue> secrets = {});

  // Kills it; the call gets `cause`. Where it was not started yet, it ends in a later turn and never is.
  void end(Error cause);

  // No callback after this; what still runs is killed.
  void abandon();

  // From now on it reaches the hosts that `manifest` names, and no others.
  void narrow_network(const v1::Manifest& manifest);

  bool ended() const { return ended_; }
  std::uint64_t call_key() const { return call_key_; }
  const v1::Posture& posture() const { return posture_; }
  FileWatch& created_files() { return created_files_; }
  // Flows to granted hosts since it was started.
  std::uint64_t network_requests() const { return network_requests_ ? *network_requests_ : 0; }

 private:
  void on_launch_started(LaunchStarted started) override;
  void on_launch_ended(PluginExit exit) override;
  Result<std::vector<UniqueFd>> open_pipes(const std::string& execution_id);
  void write_input();
  void wait_output();
  bool read_output();
  void close_pipes();

  boost::asio::io_context& context_;
  Launcher& launcher_;
  CommandListener* listener_;
  std::shared_ptr<PluginLog> log_;
  std::uint64_t call_key_;
  LaunchId launch_id_ = 0;  // 0: not started yet
  bool launched_ = false;
  bool ended_ = false;
  v1::Posture posture_;
  FileWatch created_files_;
  std::shared_ptr<const std::uint64_t> network_requests_;
  std::size_t output_bytes_max_ = limits::kOutputBytesMax;
  std::optional<Error> cause_;
  boost::asio::posix::stream_descriptor stdin_;
  boost::asio::posix::stream_descriptor stdout_;
  std::shared_ptr<OutputCapture> stderr_;
  std::string input_;
  std::size_t input_sent_ = 0;
  std::string output_;
};

}  // namespace liongate::supervision
