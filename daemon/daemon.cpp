#include "daemon/daemon.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "config/plugins_file.h"
#include "config/policy_file.h"
#include "daemon/control_socket.h"
#include "daemon/file_inspector.h"
#include "daemon/grpc_server.h"
#include "daemon/launcher_client.h"
#include "daemon/log_keys.h"
#include "daemon/plugins_keeper.h"
#include "daemon/privileges.h"
#include "daemon/secret_reader.h"
#include "daemon/service_notify.h"
#include "daemon/settings.h"
#include "daemon/state_folder.h"
#include "kernel/base/sys.h"
#include "kernel/signing/key_folder.h"

namespace liongate::daemon {

namespace asio = boost::asio;

namespace {

void raise_descriptor_limit() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) spdlog::warn("the limit of open files stays at {}", limit.rlim_cur);
}

spdlog::level::level_enum to_level(config::LogLevel level) {
  switch (level) {
    case config::LogLevel::kDebug:
      return spdlog::level::debug;
    case config::LogLevel::kInfo:
      return spdlog::level::info;
    case config::LogLevel::kWarning:
      return spdlog::level::warn;
    case config::LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

// What a plugin with env:NAME gets (daemon/launch_planner.cpp).
std::optional<std::string> environment_value(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

// The daemon at work. Members are destroyed from the last to the first: edges before the kernel, the kernel before the
// log and the launcher's client.
class Daemon {
 public:
  explicit Daemon(Foundation foundation)
      : foundation_(std::move(foundation)),
        notify_(ServiceNotify::from_environment()),
        signals_(io_, SIGTERM, SIGINT, SIGHUP),
        watchdog_(io_),
        peers_(foundation_.owner_uid) {}

  Result<void> run();

 private:
  Result<void> open();
  Result<void> open_log();
  void make_kernel();
  void make_edges();
  void begin_serving();
  void read_plugins(const std::string& actor);
  void wait_signal();
  void on_signal(int signal);
  void feed_watchdog();
  void on_state_change(const v1::Event& event);
  // Reads configuration, policy and plugins.yaml again. Any fault in any of them: nothing changes.
  void reload_config(const std::string& actor, DaemonControls::ReloadDone done);
  Result<config::DaemonConfig> read_config() const;
  Result<v1::ReloadConfigResponse> put_into_force(config::DaemonConfig fresh, const std::string& actor);
  void shut_down(const std::string& reason);
  void stop_edges();
  void run_loop();
  DaemonFacts facts() const;

  Foundation foundation_;
  ServiceNotify notify_;
  SystemClock clock_;
  asio::io_context io_{1};
  asio::signal_set signals_;
  asio::steady_timer watchdog_;
  PeerCredentials peers_;
  std::unique_ptr<event_log::EventLog> log_;
  std::unique_ptr<snapshot::SnapshotWriter> snapshots_;
  std::unique_ptr<NetgateClient> netgate_;
  std::unique_ptr<LauncherClient> launcher_;
  std::unique_ptr<FileInspector> inspector_;
  std::unique_ptr<observation::Observation> observation_;
  std::unique_ptr<SecretReader> secrets_;
  std::unique_ptr<orchestrator::Orchestrator> kernel_;
  std::unique_ptr<PluginsKeeper> plugins_keeper_;
  std::unique_ptr<LogReaders> readers_;
  std::unique_ptr<GrpcPluginService> plugin_service_;
  std::unique_ptr<GrpcEventService> event_service_;
  std::unique_ptr<GrpcSystemService> system_service_;
  std::unique_ptr<GrpcHealthService> health_service_;
  GrpcReflectionService reflection_service_;
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<ControlSocket> control_socket_;
  std::thread stopper_;
  std::int64_t start_wall_ns_ = 0;
  bool stopping_ = false;
  bool launcher_lost_ = false;
  std::optional<Error> start_fault_;  // of strict_plugins
};

Result<void> Daemon::open_log() {
  LG_ASSIGN(const std::vector<std::string> mended, secure_state_folder(foundation_.config.state_dir));
  for (const std::string& what : mended) spdlog::warn("{}; what others read there meanwhile is not known", what);
  event_log::Options options;
  options.folder = log_folder(foundation_.config.state_dir);
  options.segment_bytes = foundation_.config.log_segment_bytes;
  options.checkpoint_interval = std::chrono::milliseconds(foundation_.config.log_checkpoint_interval_ms);
  options.open_key = [folder = keys_folder(foundation_.config.state_dir)](const signing::SigningLog& log) {
    return signing::open_log_key(folder, log);
  };
  event_log::Handlers handlers;
  handlers.on_durable = [this](EventSeq seq) { asio::post(io_, [this, seq] { kernel_->on_durable(seq); }); };
  handlers.on_segment_begun = [this] { asio::post(io_, [this] { kernel_->check_log(); }); };
  handlers.on_read_only = [](bool read_only, const std::string& why) {
    if (read_only) {
      spdlog::error("the event log is read-only: {}; new work is refused (LOG_READ_ONLY)", why);
    } else {
      spdlog::info("the event log is writable again");
    }
  };
  handlers.on_fatal = [](const Error& error) {
    // Nothing may be acknowledged any more, and nothing here can be trusted to be on disk: the next start recovers.
    spdlog::critical("the event log failed: {}; the daemon ends", error.message);
    spdlog::default_logger()->flush();
    std::_Exit(static_cast<int>(ExitCode::kFailure));
  };
  LG_ASSIGN(log_, event_log::EventLog::open(std::move(options), std::move(handlers), clock_));
  LG_ASSIGN(auto store, snapshot::open_store(snapshot_folder(foundation_.config.state_dir)));
  snapshots_ = std::make_unique<snapshot::SnapshotWriter>(
      snapshot::SnapshotWriter::Parts{io_, clock_, *log_, std::move(store), LIONGATE_VERSION});
  LG_ASSIGN(observation_, observation::Observation::open(io_, *log_, observers_folder(foundation_.config.state_dir)));
  const event_log::Recovery& recovery = log_->recovery();
  if (recovery.torn_tail) {
    spdlog::warn("recovered the log: {} bytes after event {} in {} were never acknowledged and are dropped",
                 recovery.bytes_dropped, recovery.last_seq, recovery.segment);
  }
  return {};
}

void Daemon::make_kernel() {
  const HostLayout layout = find_host_layout(foundation_.config, foundation_.program_folder,
                                             foundation_.is_learning ? LearnMode::kOn : LearnMode::kOff);
  launcher_ = std::make_unique<LauncherClient>(io_, std::move(foundation_.launcher.control_socket),
                                               LaunchPlanner(layout), [this] {
                                                 launcher_lost_ = true;
                                                 spdlog::critical("liongate-launcher ended: nothing can be started");
                                                 shut_down("liongate-launcher ended");
                                               });
  FolderRules rules{foundation_.owner_uid, {foundation_.config.state_dir, foundation_.config.socket}};
  inspector_ = std::make_unique<FileInspector>(io_, std::move(foundation_.launcher.files_socket), std::move(rules));
  secrets_ = std::make_unique<SecretReader>(io_, foundation_.config.secrets);
  kernel_ = std::make_unique<orchestrator::Orchestrator>(
      orchestrator::OrchestratorParts{io_, clock_, *launcher_, *inspector_, *log_, snapshots_.get(), environment_value,
                                      secrets_.get(), observation_.get()},
      to_settings(foundation_.config));
  kernel_->set_on_warning([](const std::string& text) { spdlog::warn("{}", text); });
  kernel_->set_on_state_change([this](const v1::Event& event) { on_state_change(event); });
  plugins_keeper_ = std::make_unique<PluginsKeeper>(
      io_, *kernel_, foundation_.owner_uid,
      PluginsKeeper::Handlers{[](const std::string& text) { spdlog::warn("{}", text); },
                              [](const std::string& text) { spdlog::info("{}", text); }});
  launcher_->set_on_denied([this](v1::Event event) { kernel_->record_call_denial(std::move(event)); });
  netgate_ = std::make_unique<NetgateClient>(
      io_, NetgateSource{netgate_path(foundation_.config, foundation_.program_folder), foundation_.netgate_socket},
      foundation_.config.network,
      NetgateClient::Handlers{[this](v1::Event event) { kernel_->record_call_denial(std::move(event)); },
                              [this](v1::Event event) { kernel_->record_network_flow(std::move(event)); },
                              [](const std::string& text) { spdlog::warn("{}", text); }});
  launcher_->set_netgate(netgate_.get());
}

DaemonFacts Daemon::facts() const {
  DaemonFacts facts;
  facts.version = LIONGATE_VERSION;
  facts.node_id = log_->node_id();
  facts.environment = std::string(config::name_of(foundation_.config.environment));
  facts.state_dir = foundation_.config.state_dir;
  facts.socket_path = foundation_.config.socket;
  facts.rootless = foundation_.is_rootless;
  facts.start_wall_ns = start_wall_ns_;
  return facts;
}

void Daemon::make_edges() {
  readers_ = std::make_unique<LogReaders>(*log_);
  plugin_service_ = std::make_unique<GrpcPluginService>(*kernel_);
  event_service_ = std::make_unique<GrpcEventService>(
      *readers_, foundation_.config.state_dir,
      LivingState{snapshot_folder(foundation_.config.state_dir),
                  [this](std::function<void(registry::StateCopy)> done) { kernel_->copy_state(std::move(done)); }});
  DaemonControls controls{[this](const std::string& reason) { shut_down(reason); },
                          [this](const std::string& actor, DaemonControls::ReloadDone done) {
                            reload_config(actor, std::move(done));
                          }};
  system_service_ = std::make_unique<GrpcSystemService>(*kernel_, *launcher_, facts(), std::move(controls));
  health_service_ = std::make_unique<GrpcHealthService>(*kernel_);
  const auto record_denial = [this](const std::string& actor, const std::string& action, const Error& why,
                                    std::function<void()> then) {
    kernel_->record_denial(actor, action, why, std::move(then));
  };
  server_ = std::make_unique<GrpcServer>(
      io_, peers_,
      GrpcServices{*plugin_service_, *event_service_, *system_service_, *health_service_, reflection_service_},
      record_denial);
}

Result<void> Daemon::open() {
  start_wall_ns_ = clock_.wall_ns();
  // First, so that whatever fails below takes its socket file along; it accepts only when it is started.
  control_socket_ = std::make_unique<ControlSocket>(
      io_, std::move(foundation_.listening_socket), foundation_.config.socket, [this](UniqueFd connection) {
        const Result<int> number = peers_.enroll(std::move(connection));
        if (number) {
          server_->adopt(*number);
        } else {
          spdlog::warn("a connection was refused: {}", number.error().message);
          if (number.error().reason == Reason::kUnauthenticated) {
            kernel_->record_denial("unknown", "connect", number.error(), [] {});
          }
        }
      });
  LG_TRY(open_log());
  make_kernel();
  make_edges();
  LG_TRY(server_->start());
  const MonotonicTime begin = clock_.now();
  LG_ASSIGN(const orchestrator::RecoveryReport report,
            kernel_->recover({LIONGATE_VERSION, facts().environment, ::getpid()}));
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now() - begin);
  spdlog::info("state rebuilt in {} ms from {} and {} events behind it", took.count(),
               report.snapshot_seq == 0 ? "nothing" : "snapshot " + std::to_string(report.snapshot_seq),
               report.events_replayed);
  return {};
}

void Daemon::on_state_change(const v1::Event& event) {
  if (event.plugin_name().empty() || !health_service_) return;
  switch (event.payload_case()) {
    case v1::Event::kPluginStarted:
    case v1::Event::kPluginLoaded:
    case v1::Event::kPluginStopping:
    case v1::Event::kPluginStopped:
    case v1::Event::kPluginUnloaded:
    case v1::Event::kPluginFailed:
    case v1::Event::kInstanceCrashed:
      break;
    default:
      return;
  }
  health_service_->plugin_changed(event.plugin_name());
  spdlog::info("{}: {}", event.plugin_name(), event.type());
}

void Daemon::wait_signal() {
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;
    on_signal(signal);
    wait_signal();
  });
}

void Daemon::on_signal(int signal) {
  if (signal == SIGHUP) {
    reload_config("system", [](const Result<v1::ReloadConfigResponse>& reloaded) {
      if (!reloaded) spdlog::error("the configuration stays as it was: {}", reloaded.error().message);
    });
    return;
  }
  const std::string name = signal == SIGTERM ? "SIGTERM" : "SIGINT";
  if (stopping_) {
    // Asked twice: at once. The log is whole up to the last commit; what is open now is recorded at the next start.
    spdlog::warn("{} again: ending at once", name);
    spdlog::default_logger()->flush();
    std::_Exit(static_cast<int>(ExitCode::kFailure));
  }
  shut_down(name);
}

void Daemon::reload_config(const std::string& actor, DaemonControls::ReloadDone done) {
  Result<config::DaemonConfig> fresh = read_config();
  if (!fresh) {
    done(std::move(fresh).error());
    return;
  }
  const std::string plugins_path = config::plugins_file_path(foundation_.config_path, *fresh);
  plugins_keeper_->check(plugins_path, [this, actor, fresh = std::move(*fresh),
                                        done = std::move(done)](const Result<void>& checked) mutable {
    if (checked) {
      done(put_into_force(std::move(fresh), actor));
    } else {
      done(Error(checked.error()));
    }
  });
}

Result<config::DaemonConfig> Daemon::read_config() const {
  config::DaemonConfig defaults;
  defaults.state_dir = foundation_.config.state_dir;
  defaults.socket = foundation_.config.socket;
  defaults.environment = foundation_.config.environment;
  LG_ASSIGN(config::DaemonConfig fresh,
            config::load_daemon_config(
                foundation_.config_path,
                foundation_.config_existed ? config::FilePresence::kMustExist : config::FilePresence::kMayBeMissing,
                defaults, foundation_.config.environment));
  LG_TRY(config::load_policy(foundation_.config_path, fresh, foundation_.config.policy_file));
  return fresh;
}

Result<v1::ReloadConfigResponse> Daemon::put_into_force(config::DaemonConfig fresh, const std::string& actor) {
  v1::ReloadConfigResponse response = compare(foundation_.config, fresh);
  // What only a restart changes stays as it is, so that --print-config and what is in force never differ silently.
  fresh.state_dir = foundation_.config.state_dir;
  fresh.socket = foundation_.config.socket;
  fresh.environment = foundation_.config.environment;
  v1::DaemonConfigChanged changed;
  *changed.mutable_changed_keys() = response.changed_keys();
  *changed.mutable_restart_keys() = response.restart_keys();
  LG_TRY(kernel_->set_settings(to_settings(fresh), changed, actor));
  foundation_.config = std::move(fresh);
  netgate_->set_settings(foundation_.config.network);
  secrets_->set_sources(foundation_.config.secrets);
  spdlog::set_level(to_level(foundation_.config.log_level));
  spdlog::info("the configuration was read again: {} keys changed", response.changed_keys_size());
  read_plugins(actor);
  return response;
}

void Daemon::read_plugins(const std::string& actor) {
  plugins_keeper_->set_path(config::plugins_file_path(foundation_.config_path, foundation_.config));
  plugins_keeper_->read(actor);
}

// The observers of plugins.yaml are in the list of plugins when we say that we serve; whether they start holds up
// nobody, unless the operator wants it so.
void Daemon::begin_serving() {
  const auto serve = [this] {
    if (stopping_) return;
    health_service_->set_serving(true);
    feed_watchdog();
    notify_.ready();
    spdlog::info("liongated {} serves on {} ({}, {})", LIONGATE_VERSION, foundation_.config.socket,
                 config::name_of(foundation_.config.environment), foundation_.is_rootless ? "rootless" : "root");
  };
  const auto judge = [this, serve](const PluginsKeeper::Outcome& outcome) {
    const bool is_strict = foundation_.config.strict_plugins || outcome.strict;
    if (!is_strict) return;
    if (!outcome.fault) {
      serve();
      return;
    }
    start_fault_ = make_error(Reason::kInvalidConfig, outcome.fault->message)
                       .with_hint("strict_plugins is set: mend plugins.yaml, or leave it out");
    shut_down("strict_plugins");
  };
  plugins_keeper_->set_path(config::plugins_file_path(foundation_.config_path, foundation_.config));
  plugins_keeper_->read(
      "system",
      [this, serve](bool is_strict) {
        if (!is_strict && !foundation_.config.strict_plugins) serve();
      },
      judge);
}

void Daemon::feed_watchdog() {
  const auto interval = notify_.watchdog_interval();
  if (!interval) return;
  notify_.alive();  // from the kernel thread: a kernel that hangs is a daemon that hangs
  watchdog_.expires_after(*interval);
  watchdog_.async_wait([this](const boost::system::error_code& error) {
    if (!error) feed_watchdog();
  });
}

void Daemon::shut_down(const std::string& reason) {
  if (stopping_) return;
  stopping_ = true;
  spdlog::info("stopping: {}", reason);
  notify_.stopping();
  health_service_->set_serving(false);
  control_socket_->stop();
  kernel_->shut_down(reason, limits::kShutdownDrainMs, [this] { stop_edges(); });
}

void Daemon::stop_edges() {
  readers_->begin_stop();
  // gRPC waits until every open call is answered, and answers come from this thread: it must go on meanwhile.
  stopper_ = std::thread([this] {
    sys::name_thread("grpc-stop");
    server_->stop(500);
    asio::post(io_, [this] { io_.stop(); });
  });
}

void Daemon::run_loop() {
  const auto spin = std::chrono::microseconds(foundation_.config.busy_poll_us);
  if (spin.count() == 0) {
    io_.run();
    return;
  }
  while (!io_.stopped()) {
    auto until = std::chrono::steady_clock::now() + spin;
    while (std::chrono::steady_clock::now() < until && !io_.stopped()) {
      if (io_.poll() > 0) until = std::chrono::steady_clock::now() + spin;
    }
    io_.run_one();
  }
}

Result<void> Daemon::run() {
  spdlog::set_level(to_level(foundation_.config.log_level));
  LG_TRY(open());
  wait_signal();
  launcher_->start();
  control_socket_->start();
  kernel_->run();
  begin_serving();
  run_loop();
  if (stopper_.joinable()) stopper_.join();
  readers_->stop();
  observation_->stop();
  snapshots_.reset();  // what it still writes, it writes before the log is closed
  LG_TRY(log_->close());
  spdlog::info("stopped");
  if (start_fault_) return std::move(*start_fault_);
  if (launcher_lost_) return make_error(Reason::kInternal, "liongate-launcher ended while the daemon ran");
  return {};
}

}  // namespace

std::string log_folder(const std::string& state_dir) {
  return state_dir + "/log";
}
std::string snapshot_folder(const std::string& state_dir) {
  return state_dir + "/snapshots";
}
std::string observers_folder(const std::string& state_dir) {
  return state_dir + "/observers";
}

std::string program_folder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

namespace {

// Beside us in a build, in lib where we are installed.
std::string companion_path(const std::string& folder, const std::string& name) {
  for (const char* place : {"/", "/../lib/liongate/"}) {
    if (::access((folder + place + name).c_str(), X_OK) == 0) return folder + place + name;
  }
  return folder + "/" + name;
}

}  // namespace

std::string launcher_path(const config::DaemonConfig& config, const std::string& folder) {
  return config.launcher_path.empty() ? companion_path(folder, "liongate-launcher") : config.launcher_path;
}

std::string netgate_path(const config::DaemonConfig& config, const std::string& folder) {
  return config.netgate_path.empty() ? companion_path(folder, "liongate-netgate") : config.netgate_path;
}

namespace {

Result<sandbox::LauncherProcess> obtain_launcher(const config::DaemonConfig& config, const std::string& program_folder,
                                                 const ServiceWords& service) {
  if (service.launcher_socket.empty()) {
    return sandbox::start_launcher(launcher_path(config, program_folder),
                                   {config.plugin_uid_range, config.allow_degraded, service.is_cgroup_delegated});
  }
  // What we could tell it a daemon that was taken over could tell it too.
  if (!config.plugin_uid_range.empty() || !config.launcher_path.empty()) {
    return make_error(Reason::kInvalidConfig, "launcher_path and plugin_uid_range are not ours to choose here")
        .with_hint("the launcher is a unit of its own: systemctl edit liongate-launcher@.service");
  }
  return sandbox::connect_launcher(service.launcher_socket, config.allow_degraded);
}

}  // namespace

Result<Foundation> lay_foundation(config::DaemonConfig config, std::string config_path, const ServiceWords& service) {
  // gRPC's own handlers for fork are for programs that fork; this one never does.
  ::setenv("GRPC_ENABLE_FORK_SUPPORT", "false", 0);
  std::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  LG_TRY(refuse_privileged_groups(config.allow_degraded));
  if (service.is_learning && config.environment != config::Environment::kDevelopment) {
    return make_error(Reason::kInvalidConfig, "--learn is for a daemon that runs what a developer tries")
        .with_hint("add --environment development, or use liongatectl run-plugin --learn");
  }
  Foundation foundation;
  foundation.owner_uid = ::geteuid();
  foundation.is_learning = service.is_learning;
  foundation.is_rootless = foundation.owner_uid != 0 && service.launcher_socket.empty();
  foundation.program_folder = program_folder();
  foundation.netgate_socket = service.netgate_socket;
  Result<void> made = sys::make_directories(config.state_dir, 0700);
  if (made && ::access(config.state_dir.c_str(), W_OK) != 0) {
    made = make_errno_error(Reason::kInternal, "write to " + config.state_dir, errno);
  }
  if (!made) {
    return std::move(made).error().in("state folder").with_hint("name another one with --state-dir");
  }
  std::error_code error;
  config.state_dir = std::filesystem::canonical(config.state_dir, error).string();
  LG_ASSIGN(foundation.listening_socket, listen_on(config.socket));
  // By its real folder: a grant that names that one is a grant of the socket, however the configuration spells it.
  const std::filesystem::path socket = std::filesystem::absolute(config.socket, error).lexically_normal();
  config.socket = (std::filesystem::weakly_canonical(socket.parent_path(), error) / socket.filename()).string();
  auto launcher = obtain_launcher(config, foundation.program_folder, service);
  if (!launcher) {
    ::unlink(config.socket.c_str());  // made a moment ago; nobody will ever answer there
    return std::move(launcher).error();
  }
  foundation.launcher = std::move(*launcher);
  LG_TRY(give_up_privileges(config.state_dir, config.socket));
  LG_TRY(refuse_core_dumps());  // behind it: a change of user may allow them again
  foundation.config = std::move(config);
  foundation.config_path = std::move(config_path);
  foundation.config_existed = ::access(foundation.config_path.c_str(), F_OK) == 0;
  return foundation;
}

Result<void> run_daemon(Foundation foundation) {
  return Daemon(std::move(foundation)).run();
}

}  // namespace liongate::daemon
