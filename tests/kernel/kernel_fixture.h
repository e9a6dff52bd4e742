// A whole kernel under test: the real orchestrator, event log and pipes; launcher, plugins and files are fakes.
//
// The test's own thread is the kernel thread: nothing happens but while the test waits for it (`until`, `settle`).
// One Kernel is one life of a daemon; a second one on the same folder is the next. Its destructor is a kill -9: nothing
// is said to the plugins and no last event is written.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernel/orchestrator/orchestrator.h"
#include "tests/kernel/fake_launcher.h"

namespace liongate::testing {

struct TemporaryFolder {
  std::string path;
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
};

// Files as the test says they are. Answers in the next turn, or when the test lets it.
class FakeInspector final : public registry::PluginInspector {
 public:
  explicit FakeInspector(boost::asio::io_context& io) : io_(io) {}

  std::optional<Error> inspect_error;
  std::string digest_now = "digest-1";  // of every folder
  std::optional<Error> digest_error;
  // What an inspection makes of the manifest beside its name: permissions, limits ...
  std::function<void(v1::PluginLoaded&)> adjust;
  bool hold_digests = false;
  std::vector<std::function<void()>> held;

  void inspect(registry::PluginSource source, std::function<void(Result<v1::PluginLoaded>)> done) override;
  void digest(const v1::PluginLoaded& loaded, std::function<void(Result<std::string>)> done) override;

 private:
  boost::asio::io_context& io_;
};

// Secrets as the test says they are. Answers in the next turn, or when the test lets it.
class FakeSecretSource final : public policy::SecretSource {
 public:
  explicit FakeSecretSource(boost::asio::io_context& io) : io_(io) {}

  std::map<std::string, std::string> values;
  std::optional<Error> error;  // of every fetch
  bool hold = false;
  std::vector<std::function<void()>> held;
  std::vector<std::vector<std::string>> fetched;  // what was asked for
  void release();                                 // answers what is held

  void fetch(std::vector<std::string> names, Done done) override;

 private:
  boost::asio::io_context& io_;
};

// Where the outcome of a call can be seen.
struct CallOutcome {
  orchestrator::CallKey key = 0;
  std::vector<v1::Payload> parts;
  std::optional<Result<orchestrator::CallReply>> result;
  int times_done = 0;
  std::function<void()> on_done;

  bool done() const { return result.has_value(); }
  bool succeeded() const { return result && result->has_value(); }
  Reason reason() const { return result->error().reason; }  // of a call that failed
  const std::string& text() const { return (*result)->output.text(); }
};

struct CommandOutcome {
  std::optional<Result<v1::Plugin>> result;
  int times_done = 0;
  bool done() const { return result.has_value(); }
};

// The system's clock, but that a test may set it.
class SettableClock final : public Clock {
 public:
  std::int64_t wall_ns() const override { return real_.wall_ns() + wall_offset_ns_.load(); }
  MonotonicTime now() const override { return real_.now(); }
  std::int64_t awake_or_asleep_ns() const override { return real_.awake_or_asleep_ns() + passed_offset_ns_.load(); }

  // Somebody sets the wall clock; no time passes.
  void jump(std::chrono::seconds by) { wall_offset_ns_ += std::chrono::nanoseconds(by).count(); }
  // Time passes (for whoever looks at it: no timer ends earlier).
  void pass(std::chrono::seconds by) {
    jump(by);
    passed_offset_ns_ += std::chrono::nanoseconds(by).count();
  }

 private:
  SystemClock real_;
  std::atomic<std::int64_t> wall_offset_ns_{0};
  std::atomic<std::int64_t> passed_offset_ns_{0};
};

// What a life of a kernel is made with besides its settings.
struct KernelOptions {
  orchestrator::Settings settings;
  std::uint64_t segment_bytes = limits::kLogSegmentBytes;
  std::string snapshot_folder;           // empty: no snapshots
  std::chrono::seconds clock_offset{0};  // the wall clock as this life finds it
  policy::Secrets::Environment environment;
  bool may_fail = false;  // `failure` then says why it did not start
};

class Kernel {
 public:
  // Recovers and runs.
  explicit Kernel(const std::string& folder, orchestrator::Settings settings = granting());
  Kernel(const std::string& folder, KernelOptions options);
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  // Short graces, everything granted.
  static orchestrator::Settings granting();

  // --- time ---
  // Runs the loop until `condition` holds; false if it did not within the bound.
  bool until(const std::function<bool()>& condition, std::chrono::milliseconds bound = std::chrono::seconds(10));
  // Runs the loop until everything recorded can be read and nothing is ready to run.
  void settle();
  // Runs the loop for so long: for the few tests that show that something does not happen.
  void run_for(std::chrono::milliseconds duration);

  // --- plugins ---
  std::shared_ptr<CommandOutcome> load(const std::string& name, orchestrator::LoadRequest request = {});
  v1::Plugin loaded(const std::string& name, Script script = {});  // loads it and requires success
  v1::Plugin loaded_command(const std::string& name, Script script = {});
  using Verb = void (orchestrator::Orchestrator::*)(const std::string&, const std::string&,
                                                    orchestrator::Orchestrator::PluginDone);
  std::shared_ptr<CommandOutcome> tell(Verb verb, const std::string& plugin);
  std::shared_ptr<CommandOutcome> reload(const std::string& plugin,
                                         orchestrator::Consent consent = orchestrator::Consent::kNotGiven);
  std::shared_ptr<CommandOutcome> override_permission(const std::string& plugin, const std::string& permission,
                                                      policy::Override what);
  Result<v1::Plugin> wait(const std::shared_ptr<CommandOutcome>& outcome);
  v1::PluginState state(const std::string& plugin);

  // --- calls ---
  std::shared_ptr<CallOutcome> invoke(orchestrator::CallRequest request);
  std::shared_ptr<CallOutcome> invoke(const std::string& plugin, const std::string& text = "x");

  // --- events, committed ones ---
  std::vector<v1::Event> events();
  std::vector<std::string> event_types();
  std::size_t count_events(const std::string& type);
  v1::Event last_event(const std::string& type);  // there must be one

  bool shut_down(int drain_ms = 0);  // waits for its end

  boost::asio::io_context& io() { return *io_; }
  orchestrator::Orchestrator& orchestrator() { return *orchestrator_; }
  FakeLauncher& launcher() { return *launcher_; }
  FakeInspector& inspector() { return *inspector_; }
  FakeSecretSource& secrets() { return *secrets_; }
  event_log::EventLog& log() { return *log_; }
  // Where the cursors of observers are: in the folder of the log, which does not mind.
  const std::string& observers_folder() const { return observers_folder_; }
  SettableClock& clock() { return clock_; }
  snapshot::SnapshotStore& snapshots() { return snapshots_->store(); }

  orchestrator::RecoveryReport recovery;
  std::optional<Error> failure;
  std::vector<std::string> warnings;

 private:
  SettableClock clock_;
  EventSeq committed_seq_ = 0;
  std::unique_ptr<boost::asio::io_context> io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::unique_ptr<FakeLauncher> launcher_;
  std::unique_ptr<FakeInspector> inspector_;
  std::unique_ptr<FakeSecretSource> secrets_;
  std::unique_ptr<event_log::EventLog> log_;
  std::unique_ptr<snapshot::SnapshotWriter> snapshots_;
  std::string observers_folder_;
  std::unique_ptr<observation::Observation> observation_;
  std::unique_ptr<orchestrator::Orchestrator> orchestrator_;
};

// A manifest that passes.
v1::PluginLoaded make_loaded(const std::string& name, const std::string& runtime = "native");

}  // namespace liongate::testing
