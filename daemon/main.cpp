// liongated: reads its words and its configuration, then serves; or answers one question and ends.
//
// Exit codes: 0 done; 1 failure, damage; 2 usage; 7 invalid configuration, state of a newer format; --check-host ends
// with 9 where a mandatory mechanism is missing.
#include <google/protobuf/util/json_util.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "config/plugins_file.h"
#include "config/policy_file.h"
#include "daemon/daemon.h"
#include "daemon/grpc_event_service.h"
#include "daemon/grpc_system_service.h"
#include "daemon/last_words.h"
#include "daemon/log_keys.h"
#include "daemon/log_repair.h"
#include "kernel/base/failpoint.h"

namespace {

using namespace liongate;
using config::DaemonConfig;

struct Words {
  std::string config_path;
  std::string state_dir;
  std::string socket;
  daemon::ServiceWords service;
  std::string environment;
  std::string verify_folder;
  std::string repair_folder;
  daemon::EvidenceFiles evidence;
  std::string export_checkpoint_folder;
  std::string export_key_folder;
  std::string rotate_key_folder;
  std::string replace_key_folder;
  std::string output = "table";
  bool verify_state = false;
  bool print_config = false;
  bool check_config = false;
  bool print_plugins = false;
  bool check_host = false;
  bool list_failpoints = false;
};

int fail(const Error& error) {
  std::fprintf(stderr, "liongated: %s (%s)\n", error.message.c_str(), std::string(error.reason_name()).c_str());
  if (!error.hint.empty()) std::fprintf(stderr, "hint: %s\n", error.hint.c_str());
  return static_cast<int>(traits_of(error.reason).exit_code);
}

void print_json(const google::protobuf::Message& message) {
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  if (google::protobuf::util::MessageToJsonString(message, &text, options).ok()) std::puts(text.c_str());
}

// Flags win over the file, the file over the defaults. The environment is needed first: the file has parts for each.
Result<DaemonConfig> configure(const Words& words, std::string& path) {
  const config::DefaultPaths paths = config::default_paths();
  DaemonConfig defaults;
  defaults.state_dir = paths.state_dir;
  defaults.socket = paths.socket;
  if (!words.environment.empty()) {
    LG_ASSIGN(defaults.environment, config::parse_environment(words.environment));
  }
  path = words.config_path.empty() ? paths.config_file : words.config_path;
  const auto presence =
      words.config_path.empty() ? config::FilePresence::kMayBeMissing : config::FilePresence::kMustExist;
  const auto environment =
      words.environment.empty() ? std::nullopt : std::optional<config::Environment>(defaults.environment);
  LG_ASSIGN(DaemonConfig config, config::load_daemon_config(path, presence, defaults, environment));
  if (!words.environment.empty()) config.environment = defaults.environment;
  LG_TRY(config::load_policy(path, config));
  if (!words.state_dir.empty()) config.state_dir = words.state_dir;
  if (!words.socket.empty()) config.socket = words.socket;
  return config;
}

// What plugins.yaml says, or that it is valid and what in it is odd.
int show_plugins(const DaemonConfig& config, const std::string& config_path, bool only_check) {
  const std::string path = config::plugins_file_path(config_path, config);
  const auto plugins =
      path.empty() ? Result<config::PluginsFile>(config::PluginsFile{}) : config::load_plugins_file(path);
  if (!plugins) return fail(plugins.error());
  for (const std::string& warning : plugins->warnings) std::fprintf(stderr, "liongated: %s\n", warning.c_str());
  if (only_check) {
    std::printf("%s: valid\n", config_path.c_str());
    if (!plugins->entries.empty()) std::printf("%s: valid, %zu plugins\n", path.c_str(), plugins->entries.size());
  } else {
    std::fputs(config::to_yaml(*plugins).c_str(), stdout);
  }
  return 0;
}

constexpr std::chrono::seconds kQuiet{2};  // what is done sooner needs no progress

// Prints one line of text, or says why there is none.
int print_line(const Result<std::string>& text) {
  if (!text) return fail(text.error());
  std::fputs(text->c_str(), stdout);
  if (!text->ends_with('\n')) std::fputc('\n', stdout);
  return 0;
}

int verdict_code(const v1::VerifyLogResponse& response) {
  const bool whole = response.intact() && (!response.has_state() || response.state().matches());
  if (!whole) return static_cast<int>(ExitCode::kFailure);
  return static_cast<int>(response.checkpoint_verdict() == "not_provable" ? ExitCode::kInvalid : ExitCode::kDone);
}

int repair_log(const std::string& folder, bool json) {
  const auto repaired = daemon::repair_log(daemon::log_folder_in(folder), json);
  return repaired ? 0 : fail(repaired.error());
}

// Replays the log of a state folder and holds what it makes against the snapshots.
Result<v1::StateVerification> verify_state(const std::string& folder, const event_log::VerifyProgress& progress) {
  if (daemon::log_folder_in(folder) == folder) {
    return make_error(Reason::kInvalidArgument, folder + " is no state folder: it has no folder log")
        .with_hint("name the folder that --state-dir names");
  }
  LG_ASSIGN(const event_log::LogView log, event_log::view_offline(daemon::log_folder_in(folder)));
  LG_ASSIGN(const auto store, snapshot::find_store(daemon::snapshot_folder(folder)));
  LG_ASSIGN(const auto state, snapshot::verify_state(log, store.get(), std::nullopt, [&](EventSeq done) {
              progress(done, log.last_seq);
              return true;
            }));
  return daemon::to_message(state);
}

void print_state(const v1::StateVerification& state) {
  for (const v1::StateCheck& check : state.checks()) {
    std::printf("state %s: %s at event %llu: %s\n", check.subject().c_str(), check.matches() ? "matches" : "DIFFERS",
                static_cast<unsigned long long>(check.seq()),
                check.matches() ? check.sha256().c_str() : check.message().c_str());
  }
  const EventSeq first_seq = state.base_seq() + 1;
  std::printf("state %s: replayed from event %llu to %llu, hash %s\n", state.matches() ? "whole" : "DIFFERS",
              static_cast<unsigned long long>(first_seq), static_cast<unsigned long long>(state.seq()),
              state.replayed_sha256().c_str());
}

// The folder may be the daemon's state folder or the log folder itself.
int verify_log(const std::string& folder, const daemon::EvidenceFiles& files, bool check_state, bool json) {
  const auto evidence = daemon::collect_evidence(folder, files);
  if (!evidence) return fail(evidence.error());
  const bool watched = ::isatty(STDERR_FILENO) == 1;
  const auto begin = std::chrono::steady_clock::now();
  bool shown = false;
  const char* subject = "verifying the log";
  const auto progress = [&](std::uint64_t done, std::uint64_t total) {
    if (!watched || total == 0 || std::chrono::steady_clock::now() - begin < kQuiet) return true;
    std::fprintf(stderr, "\r\x1b[K%s: %llu %%", subject, static_cast<unsigned long long>(done * 100 / total));
    shown = true;
    return true;
  };
  auto verification = event_log::verify(daemon::log_folder_in(folder), *evidence, progress);
  std::optional<Result<v1::StateVerification>> state;
  if (check_state && verification && verification->damages.empty()) {
    subject = "replaying the log";
    state = verify_state(folder, progress);
  }
  if (shown) std::fputs("\r\x1b[K", stderr);
  if (!verification && !files.checkpoint.empty() && verification.error().reason == Reason::kInvalidArgument) {
    return fail(std::move(verification).error().in(files.checkpoint));
  }
  if (!verification) return fail(verification.error());
  v1::VerifyLogResponse response = daemon::to_response(*verification);
  if (state && !*state) return fail(state->error());
  if (state) *response.mutable_state() = std::move(**state);
  if (json) {
    print_json(response);
  } else {
    for (const v1::LogDamage& damage : response.damages()) {
      std::printf("%s: segment %s, offset %llu, after event %llu: %s\n", damage.kind().c_str(),
                  damage.segment().c_str(), static_cast<unsigned long long>(damage.offset()),
                  static_cast<unsigned long long>(damage.seq()), damage.message().c_str());
    }
    std::printf(
        "%s: %llu events in %llu segments, %llu to %llu\n", response.intact() ? "intact" : "damaged",
        static_cast<unsigned long long>(response.events()), static_cast<unsigned long long>(response.segments()),
        static_cast<unsigned long long>(response.first_seq()), static_cast<unsigned long long>(response.last_seq()));
    if (response.has_state()) print_state(response.state());
    if (response.checkpoints() > 0) {
      std::printf("signed: %llu checkpoints, up to event %llu\n",
                  static_cast<unsigned long long>(response.checkpoints()),
                  static_cast<unsigned long long>(response.signed_seq()));
    }
    if (response.checkpoint_verdict() == "extends") std::puts("proved: the log extends the checkpoint");
    for (const std::string& note : response.notes()) std::printf("note: %s\n", note.c_str());
  }
  return verdict_code(response);
}

// A daemon that serves somebody must not be made to die by what stands in its environment.
Result<void> arm_failpoint(config::Environment environment) {
  const char* const text = std::getenv("LIONGATE_FAILPOINT");
  if (text == nullptr) return {};
  if (environment != config::Environment::kDevelopment && environment != config::Environment::kTesting) {
    return make_error(Reason::kInvalidConfig,
                      "LIONGATE_FAILPOINT is set in environment " + std::string(config::name_of(environment)))
        .with_hint("unset it; failpoints are for --environment development and testing");
  }
  return failpoint::arm(text);
}

Result<sandbox::HostReport> ask_launcher(const DaemonConfig& config) {
  LG_ASSIGN(sandbox::LauncherProcess launcher,
            sandbox::start_launcher(daemon::launcher_path(config, daemon::program_folder()),
                                    {config.plugin_uid_range, config.allow_degraded}));
  LG_TRY(sandbox::send_request(launcher.control_socket.get(), sandbox::CheckHostRequest{}, {}));
  for (;;) {
    LG_ASSIGN(sandbox::ReceivedReport received, sandbox::receive_report(launcher.control_socket.get()));
    if (auto* report = std::get_if<sandbox::HostReport>(&received.report)) return std::move(*report);
  }
}

int check_host(const DaemonConfig& config, bool json) {
  const auto report = ask_launcher(config);
  if (!report) return fail(report.error());
  const v1::CheckHostResponse response = daemon::to_response(*report);
  if (json) {
    print_json(response);
  } else {
    std::printf("%-22s %-10s %-10s %s\n", "MECHANISM", "STATE", "MANDATORY", "REASON");
    for (const v1::HostMechanism& mechanism : response.mechanisms()) {
      std::printf("%-22s %-10s %-10s %s\n", mechanism.name().c_str(), mechanism.state().c_str(),
                  mechanism.mandatory() ? "yes" : "no", mechanism.reason().c_str());
      if (mechanism.state() != "available" && !mechanism.remedy().empty()) {
        std::printf("%-22s remedy: %s\n", "", mechanism.remedy().c_str());
      }
    }
    std::printf("%s\n", response.can_confine() ? "this host can confine plugins" : "this host CANNOT confine plugins");
  }
  return static_cast<int>(response.can_confine() ? ExitCode::kDone : ExitCode::kNoCapacity);
}

void declare(CLI::App& app, Words& words) {
  app.add_option("--config", words.config_path, "configuration file (YAML)")->type_name("FILE");
  app.add_option("--state-dir", words.state_dir, "folder of the event log")->type_name("DIR");
  app.add_option("--socket", words.socket, "control socket")->type_name("PATH");
  app.add_option("--netgate-socket", words.service.netgate_socket,
                 "Socket of liongate-netgate where it is a unit of its own (systemd)");
  app.add_option("--launcher-socket", words.service.launcher_socket,
                 "reach liongate-launcher there instead of starting it (the system unit does)")
      ->type_name("PATH");
  app.add_flag("--cgroup-delegated", words.service.is_cgroup_delegated,
               "our control group was delegated by a manager that leaves no mark (the user unit)");
  app.add_flag("--learn", words.service.is_learning,
               "tell what plugins look for and do not find (liongatectl run-plugin --learn does); development only");
  app.add_option("--environment", words.environment, "development, testing, staging or production (default)")
      ->type_name("NAME");
  app.add_flag("--print-config", words.print_config, "print the configuration in force as YAML and end");
  app.add_flag("--check-config", words.check_config,
               "check the configuration, the policy file and plugins.yaml, and end: 0 valid, 7 invalid");
  app.add_flag("--print-plugins", words.print_plugins, "print plugins.yaml as it is understood, as YAML, and end");
  CLI::Option* const verify =
      app.add_option("--verify-log", words.verify_folder, "check a log that no daemon writes, and end");
  verify->type_name("DIR");
  app.add_option("--checkpoint", words.evidence.checkpoint, "with --verify-log: the log must extend this checkpoint")
      ->type_name("FILE")
      ->needs(verify);
  app.add_option("--key", words.evidence.key, "with --verify-log: the public key to trust")
      ->type_name("FILE")
      ->needs(verify);
  app.add_option("--export-checkpoint", words.export_checkpoint_folder, "print the last checkpoint of a log, and end")
      ->type_name("DIR");
  app.add_option("--export-log-key", words.export_key_folder, "print the public key of a log, and end")
      ->type_name("DIR");
  app.add_option("--rotate-log-key", words.rotate_key_folder,
                 "make the log's next key, print its public part, and end; no daemon may run")
      ->type_name("DIR");
  app.add_option("--replace-log-key", words.replace_key_folder,
                 "begin a new key where the log's is lost, print its public part, and end; nobody vouches for it")
      ->type_name("DIR");
  app.add_option("--repair-log", words.repair_folder,
                 "keep a damaged log up to the damage, move the rest aside, and end")
      ->type_name("DIR");
  app.add_flag("--state", words.verify_state,
               "with --verify-log: also replay the log and hold the state it makes against the snapshots");
  app.add_flag("--check-host", words.check_host, "tell what this host can confine with, and end");
  app.add_flag("--list-failpoints", words.list_failpoints, "for tests: the names LIONGATE_FAILPOINT knows, and end");
  app.add_option("-o,--output", words.output, "table or json, for the three above")
      ->check(CLI::IsMember({"table", "json"}));
  app.set_version_flag("--version", std::string("liongated ") + LIONGATE_VERSION);
  app.footer(
      "With no argument: the defaults (see --print-config), as a user without root.\n"
      "Example: liongated --state-dir /tmp/lg --socket /tmp/lg.sock --environment development");
}

}  // namespace

int main(int argc, char** argv) {
  daemon::promise_last_words();
  CLI::App app("Runs plugins that nobody has to trust: confined, supervised, logged.", "liongated");
  Words words;
  declare(app, words);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "liongated: %s (USAGE)\nhint: liongated --help\n", error.what());
    return static_cast<int>(ExitCode::kUsage);
  }
  spdlog::set_default_logger(spdlog::stderr_color_mt("liongated"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  const bool json = words.output == "json";
  if (!words.verify_folder.empty()) return verify_log(words.verify_folder, words.evidence, words.verify_state, json);
  if (!words.export_checkpoint_folder.empty()) {
    return print_line(event_log::last_checkpoint(daemon::log_folder_in(words.export_checkpoint_folder)));
  }
  if (!words.export_key_folder.empty()) return print_line(daemon::export_log_key(words.export_key_folder));
  if (!words.rotate_key_folder.empty()) {
    return print_line(daemon::change_log_key(words.rotate_key_folder, daemon::KeyChange::kRotate));
  }
  if (!words.replace_key_folder.empty()) {
    return print_line(daemon::change_log_key(words.replace_key_folder, daemon::KeyChange::kReplaceLost));
  }
  if (!words.repair_folder.empty()) return repair_log(words.repair_folder, json);
  if (words.list_failpoints) {
    for (const failpoint::Name& name : failpoint::kNames) std::puts(std::string(name.text).c_str());
    return 0;
  }
  std::string config_path;
  auto config = configure(words, config_path);
  if (!config) return fail(config.error());
  if (words.check_host) return check_host(*config, json);
  if (words.print_config) {
    std::fputs(config::to_yaml(*config).c_str(), stdout);
    return 0;
  }
  if (words.check_config || words.print_plugins) return show_plugins(*config, config_path, words.check_config);
  if (const auto armed = arm_failpoint(config->environment); !armed) return fail(armed.error());
  auto foundation = daemon::lay_foundation(std::move(*config), config_path, words.service);
  if (!foundation) return fail(foundation.error());
  const Result<void> served = daemon::run_daemon(std::move(*foundation));
  const int code = served ? 0 : fail(served.error());
  // Everything is durable and nothing runs: gRPC's own threads may sit in a poll of ten seconds and are not waited for.
  spdlog::shutdown();
  std::fflush(nullptr);
  std::_Exit(code);
}
