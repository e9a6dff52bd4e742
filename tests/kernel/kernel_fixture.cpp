#include "tests/kernel/kernel_fixture.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>

namespace liongate::testing {

namespace asio = boost::asio;
using orchestrator::CallReply;
using orchestrator::CallRequest;
using orchestrator::LoadRequest;

namespace {

class RecordingHandler final : public orchestrator::CallHandler {
 public:
  explicit RecordingHandler(std::shared_ptr<CallOutcome> outcome) : outcome_(std::move(outcome)) {}
  void on_part(v1::Payload part) override { outcome_->parts.push_back(std::move(part)); }
  void on_done(Result<CallReply> result) override {
    ++outcome_->times_done;
    outcome_->result = std::move(result);
    if (outcome_->on_done) outcome_->on_done();
  }

 private:
  std::shared_ptr<CallOutcome> outcome_;
};

}  // namespace

TemporaryFolder::TemporaryFolder() {
  // In memory where that is possible: these tests are about order, not about disks.
  path = std::string(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") + "/liongate-kernel-XXXXXX";
  REQUIRE(::mkdtemp(path.data()) != nullptr);
}
TemporaryFolder::~TemporaryFolder() {
  std::filesystem::remove_all(path);
}

v1::PluginLoaded make_loaded(const std::string& name, const std::string& runtime) {
  v1::PluginLoaded loaded;
  loaded.mutable_manifest()->set_name(name);
  loaded.mutable_manifest()->set_version("1.0.0");
  loaded.mutable_manifest()->set_entry_point("./" + name);
  loaded.mutable_manifest()->set_runtime(runtime);
  loaded.mutable_manifest()->set_role("callable");
  loaded.set_folder("/plugins/" + name);
  loaded.set_entry_point_path("/plugins/" + name + "/" + name);
  loaded.set_config_json("{}");
  return loaded;
}

void FakeInspector::inspect(registry::PluginSource source, std::function<void(Result<v1::PluginLoaded>)> done) {
  Result<v1::PluginLoaded> result = make_loaded(source.manifest.name());
  if (inspect_error) {
    result = *inspect_error;
  } else {
    if (source.listing) {  // an entry of plugins.yaml
      *result = make_loaded(source.listing->id(), "python");
      result->mutable_manifest()->set_role("observer");
      *result->mutable_manifest()->mutable_observer() = source.listing->observer();
      *result->mutable_listing() = *source.listing;
    }
    if (!source.manifest.role().empty()) result->mutable_manifest()->set_role(source.manifest.role());
    if (source.manifest.has_observer()) *result->mutable_manifest()->mutable_observer() = source.manifest.observer();
    if (!source.manifest.runtime().empty()) result->mutable_manifest()->set_runtime(source.manifest.runtime());
    result->set_digest_sha256(digest_now);
    result->set_manifest_path(source.manifest_path);
    if (adjust) adjust(*result);
  }
  asio::post(io_, [result = std::move(result), done = std::move(done)] { done(result); });
}

void FakeInspector::digest(const v1::PluginLoaded&, std::function<void(Result<std::string>)> done) {
  // The files are looked at when the answer is given: a test may change them after the kernel asked.
  auto answer = [this, done = std::move(done)] {
    done(digest_error ? Result<std::string>(*digest_error) : Result<std::string>(digest_now));
  };
  if (hold_digests) {
    held.push_back(std::move(answer));
  } else {
    asio::post(io_, std::move(answer));
  }
}

void FakeSecretSource::fetch(std::vector<std::string> names, Done done) {
  fetched.push_back(names);
  auto answer = [this, names = std::move(names), done = std::move(done)] {
    if (error) {
      done(*error);
      return;
    }
    std::vector<policy::SecretValue> found;
    for (const std::string& name : names) {
      if (!values.contains(name)) {
        done(make_error(Reason::kInvalidConfig, "secret " + name + ": no source"));
        return;
      }
      found.push_back({name, "file", SecretBytes(std::string_view(values.at(name)))});
    }
    done(std::move(found));
  };
  if (hold) {
    held.push_back(std::move(answer));
  } else {
    asio::post(io_, std::move(answer));
  }
}

void FakeSecretSource::release() {
  hold = false;
  for (const auto& answer : std::exchange(held, {})) answer();
}

orchestrator::Settings Kernel::granting() {
  orchestrator::Settings settings;
  settings.stop_grace_ms = 100;
  settings.ready_timeout_ms = 5000;
  settings.policy.otherwise = policy::Default::kGrant;
  settings.policy.environment = "testing";
  return settings;
}

Kernel::Kernel(const std::string& folder, orchestrator::Settings settings)
    : Kernel(folder, KernelOptions{.settings = std::move(settings)}) {}

Kernel::Kernel(const std::string& folder, KernelOptions wanted)
    : io_(std::make_unique<asio::io_context>()), work_(asio::make_work_guard(*io_)) {
  std::signal(SIGPIPE, SIG_IGN);  // as main does: a write to a dead plugin is an error, not the end
  launcher_ = std::make_unique<FakeLauncher>(*io_);
  inspector_ = std::make_unique<FakeInspector>(*io_);
  secrets_ = std::make_unique<FakeSecretSource>(*io_);
  event_log::Handlers handlers;
  handlers.on_durable = [this](EventSeq seq) { asio::post(*io_, [this, seq] { orchestrator_->on_durable(seq); }); };
  handlers.on_read_only = [](bool, const std::string&) {};
  handlers.on_fatal = [](const Error&) {};
  clock_.jump(wanted.clock_offset);
  handlers.on_segment_begun = [this] { asio::post(*io_, [this] { orchestrator_->check_log(); }); };
  event_log::Options options;
  options.folder = folder;
  options.segment_bytes = wanted.segment_bytes;
  log_ = event_log::EventLog::open(options, std::move(handlers), clock_).value();
  log_->add_commit_listener([this](EventSeq seq) { asio::post(*io_, [this, seq] { committed_seq_ = seq; }); });
  committed_seq_ = log_->last_seq();
  if (!wanted.snapshot_folder.empty()) {
    snapshots_ = std::make_unique<snapshot::SnapshotWriter>(snapshot::SnapshotWriter::Parts{
        *io_, clock_, *log_, snapshot::open_store(wanted.snapshot_folder).value(), "test"});
  }
  observers_folder_ = folder + "/observers";
  observation_ = observation::Observation::open(*io_, *log_, observers_folder_).value();
  orchestrator_ = std::make_unique<orchestrator::Orchestrator>(
      orchestrator::OrchestratorParts{*io_, clock_, *launcher_, *inspector_, *log_, snapshots_.get(),
                                      wanted.environment, secrets_.get(), observation_.get()},
      std::move(wanted.settings));
  orchestrator_->set_on_warning([this](const std::string& text) { warnings.push_back(text); });
  Result<orchestrator::RecoveryReport> recovered = orchestrator_->recover({"test", "testing", ::getpid()});
  INFO((recovered ? std::string() : recovered.error().message));
  if (!recovered && wanted.may_fail) {
    failure = std::move(recovered).error();
    return;
  }
  REQUIRE(recovered.has_value());
  recovery = *recovered;
  orchestrator_->run();
}

Kernel::~Kernel() {
  snapshots_.reset();  // waits for the one that is being written
  observation_->stop();
  static_cast<void>(log_->close().has_value());  // its writer posts no more after this
  orchestrator_.reset();
  launcher_->close();
  inspector_->held.clear();
  observation_.reset();
  secrets_->held.clear();
  work_.reset();
  io_.reset();  // with it what was still pending; nothing of it runs
}

bool Kernel::until(const std::function<bool()>& condition, std::chrono::milliseconds bound) {
  const auto end = std::chrono::steady_clock::now() + bound;
  while (!condition()) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= end) return false;
    // What another thread does (the observation's) wakes nobody here.
    io_->run_one_until(std::min(end, now + std::chrono::milliseconds(1)));
  }
  return true;
}

void Kernel::settle() {
  REQUIRE(until([this] {
    while (io_->poll() > 0) {
    }
    return committed_seq_ >= log_->last_seq();
  }));
}

void Kernel::run_for(std::chrono::milliseconds duration) {
  until([] { return false; }, duration);
}

std::shared_ptr<CommandOutcome> Kernel::load(const std::string& name, LoadRequest request) {
  auto outcome = std::make_shared<CommandOutcome>();
  if (!name.empty()) request.source.manifest.set_name(name);
  request.actor = "uid:1000";
  orchestrator_->load(std::move(request), [outcome](Result<v1::Plugin> result) {
    ++outcome->times_done;
    outcome->result = std::move(result);
  });
  return outcome;
}

Result<v1::Plugin> Kernel::wait(const std::shared_ptr<CommandOutcome>& outcome) {
  REQUIRE(until([&] { return outcome->done(); }));
  return *outcome->result;
}

v1::Plugin Kernel::loaded(const std::string& name, Script script) {
  launcher_->script = std::move(script);
  Result<v1::Plugin> result = wait(load(name));
  INFO((result ? std::string() : result.error().message));
  REQUIRE(result.has_value());
  return *result;
}

v1::Plugin Kernel::loaded_command(const std::string& name, Script script) {
  launcher_->script = std::move(script);
  LoadRequest request;
  request.source.manifest.set_runtime("command");
  Result<v1::Plugin> result = wait(load(name, std::move(request)));
  INFO((result ? std::string() : result.error().message));
  REQUIRE(result.has_value());
  return *result;
}

std::shared_ptr<CommandOutcome> Kernel::tell(Verb verb, const std::string& plugin) {
  auto outcome = std::make_shared<CommandOutcome>();
  ((*orchestrator_).*verb)(plugin, "uid:1000", [outcome](Result<v1::Plugin> result) {
    ++outcome->times_done;
    outcome->result = std::move(result);
  });
  return outcome;
}

std::shared_ptr<CommandOutcome> Kernel::reload(const std::string& plugin, orchestrator::Consent consent) {
  auto outcome = std::make_shared<CommandOutcome>();
  orchestrator_->reload(plugin, 1000, "uid:1000", consent, [outcome](Result<v1::Plugin> result) {
    ++outcome->times_done;
    outcome->result = std::move(result);
  });
  return outcome;
}

std::shared_ptr<CommandOutcome> Kernel::override_permission(const std::string& plugin, const std::string& permission,
                                                            policy::Override what) {
  auto outcome = std::make_shared<CommandOutcome>();
  orchestrator_->override_permission(plugin, permission, what, "uid:0", [outcome](Result<v1::Plugin> result) {
    ++outcome->times_done;
    outcome->result = std::move(result);
  });
  return outcome;
}

v1::PluginState Kernel::state(const std::string& plugin) {
  const Result<v1::Plugin> found = orchestrator_->get(plugin);
  return found ? found->state() : v1::PLUGIN_STATE_UNLOADED;
}

std::shared_ptr<CallOutcome> Kernel::invoke(CallRequest request) {
  auto outcome = std::make_shared<CallOutcome>();
  if (request.actor.empty()) request.actor = "uid:1000";
  outcome->key = orchestrator_->invoke(std::move(request), std::make_unique<RecordingHandler>(outcome));
  return outcome;
}

std::shared_ptr<CallOutcome> Kernel::invoke(const std::string& plugin, const std::string& text) {
  CallRequest request;
  request.plugin = plugin;
  request.input.set_text(text);
  return invoke(std::move(request));
}

std::vector<v1::Event> Kernel::events() {
  REQUIRE(until([this] { return committed_seq_ >= log_->last_seq(); }));
  std::vector<v1::Event> events;
  const auto reader = log_->read(0).value();
  v1::Event event;
  for (;;) {
    const Result<bool> more = reader->next(event);
    INFO((more ? std::string() : more.error().message));
    REQUIRE(more.has_value());
    if (!*more) return events;
    events.push_back(event);
  }
}

std::vector<std::string> Kernel::event_types() {
  std::vector<std::string> types;
  for (const v1::Event& event : events()) types.push_back(event.type());
  return types;
}

std::size_t Kernel::count_events(const std::string& type) {
  std::size_t count = 0;
  for (const std::string& one : event_types()) count += one == type ? 1 : 0;
  return count;
}

v1::Event Kernel::last_event(const std::string& type) {
  std::optional<v1::Event> found;
  for (v1::Event& event : events()) {
    if (event.type() == type) found = std::move(event);
  }
  INFO(type);
  REQUIRE(found.has_value());
  return *found;
}

bool Kernel::shut_down(int drain_ms) {
  bool done = false;
  orchestrator_->shut_down("test", drain_ms, [&done] { done = true; });
  return until([&done] { return done; });
}

}  // namespace liongate::testing
