#include "cli/learn/learn.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "cli/connection.h"
#include "cli/learn/learn_workshop.h"
#include "cli/learn/learned_permissions.h"
#include "cli/manifest_file.h"
#include "cli/plain_text.h"
#include "cli/private_daemon.h"
#include "cli/progress.h"
#include "liongate/v1/event_service.grpc.pb.h"
#include "liongate/v1/plugin_service.grpc.pb.h"

namespace liongate::cli {
namespace {

constexpr std::int64_t kLearnAnswerGraceMs = limits::kCancelGraceMs + 4'000;

struct Outcome {
  std::optional<Failure> failure;
  bool is_changed = false;  // the next round has something to try
};

// The private daemon and the one plugin in it.
class Learner {
 public:
  Learner(Context& context, v1::Manifest manifest, std::string folder)
      : connection_(context),
        manifest_(std::move(manifest)),
        folder_(std::move(folder)),
        permissions_({manifest_.permissions().begin(), manifest_.permissions().end()}) {}

  // A failure of ours, not of the program, is `broken`.
  Outcome run_round(const v1::InvokePluginRequest& call, std::int64_t timeout_ms, std::optional<Failure>& broken) {
    const std::vector<std::string> before = permissions_.for_trial();
    const std::string correlation_id = "learn-" + std::to_string(++rounds_);
    permissions_.begin_trial(before, correlation_id);
    Outcome outcome;
    outcome.failure = load(before);
    if (!outcome.failure) outcome.failure = invoke(call, timeout_ms, correlation_id);
    if (outcome.failure) withhold_what_it_names(*outcome.failure);
    broken = read_events();
    outcome.is_changed = permissions_.for_trial() != before;
    return outcome;
  }

  const LearnedPermissions& permissions() const { return permissions_; }

 private:
  std::optional<Failure> load(const std::vector<std::string>& permissions) {
    v1::LoadPluginRequest request;
    request.set_replace(is_loaded_);
    request.set_accept_permissions(is_loaded_);
    *request.mutable_inline_()->mutable_manifest() = manifest_;
    request.mutable_inline_()->set_folder(folder_);
    auto& asked = *request.mutable_inline_()->mutable_manifest()->mutable_permissions();
    asked.Assign(permissions.begin(), permissions.end());
    v1::LoadPluginResponse response;
    const grpc::Status status =
        connection_.call<v1::PluginService>(&v1::PluginService::Stub::LoadPlugin, request, response, kChangeDeadlineMs);
    if (!status.ok()) return connection_.failure(manifest_.name(), status);
    is_loaded_ = true;
    return std::nullopt;
  }

  std::optional<Failure> invoke(v1::InvokePluginRequest request, std::int64_t timeout_ms,
                                const std::string& correlation_id) {
    request.set_correlation_id(correlation_id);
    request.set_plugin(manifest_.name());
    v1::InvokePluginResponse response;
    const grpc::Status status = connection_.call<v1::PluginService>(
        &v1::PluginService::Stub::InvokePlugin, request, response, static_cast<int>(timeout_ms + kLearnAnswerGraceMs));
    if (!status.ok()) return connection_.failure(manifest_.name(), status);
    return std::nullopt;
  }

  // A permission that the daemon or the launcher does not give (a path that is a link, a port too many) would fail
  // every further round. What the program says of itself is no such word.
  void withhold_what_it_names(const Failure& failure) {
    if (failure.reason == "PLUGIN_ERROR" && !failure.metadata.contains("step")) return;
    const auto named = failure.metadata.find("permission");
    for (const std::string& permission : permissions_.for_trial()) {
      const std::size_t colon = permission.find(':');
      const bool is_path = permission.starts_with("fs_");
      const bool names_path = is_path && failure.what.find(permission.substr(colon + 1)) != std::string::npos;
      const bool names_it = named != failure.metadata.end() && named->second == permission;
      if (names_path || names_it) permissions_.withhold(permission, failure.what);
    }
  }

  std::optional<Failure> read_events() {
    v1::ReplayEventsRequest request;
    request.mutable_filter()->set_after_seq(cursor_);
    for (const char* type : {"PermissionDenied", "NetworkFlowOpened", "NetworkFlowClosed"}) {
      request.mutable_filter()->add_types(type);
    }
    grpc::ClientContext call;
    Connection::set_deadline(call, kReadDeadlineMs);
    const CallGuard guard(call);
    const auto stub = v1::EventService::NewStub(connection_.channel());
    const auto reader = stub->ReplayEvents(&call, request);
    v1::ReplayEventsResponse batch;
    while (reader->Read(&batch)) {
      for (const v1::Event& event : batch.events()) permissions_.take(event);
      cursor_ = std::max(cursor_, batch.caught_up_seq());
    }
    const grpc::Status status = reader->Finish();
    if (!status.ok()) return connection_.failure("reading what was refused", status);
    return std::nullopt;
  }

  Connection connection_;
  v1::Manifest manifest_;
  std::string folder_;
  LearnedPermissions permissions_;
  std::uint64_t cursor_ = 0;
  std::uint64_t rounds_ = 0;
  bool is_loaded_ = false;
};

// JSON's strings are TOML's, but for DEL.
std::string quoted(const std::string& text) {
  std::string json = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  for (std::size_t at = json.find('\x7f'); at != std::string::npos; at = json.find('\x7f', at)) {
    json.replace(at, 1, "\\u007f");
  }
  return json;
}

std::string permissions_toml(const LearnedPermissions& permissions) {
  std::string text = "permissions = [";
  for (const auto& line : permissions.for_manifest()) {
    text += "\n    " + quoted(line.permission) + "," + (line.why.empty() ? "" : "  # " + line.why);
  }
  return text + (text.ends_with('[') ? "]\n" : "\n]\n");
}

std::string manifest_toml(const v1::Manifest& manifest, const LearnedPermissions& permissions) {
  std::string text = "name = " + quoted(manifest.name()) + "\nversion = " + quoted(manifest.version()) +
                     "\nentry_point = " + quoted(manifest.entry_point()) + "\nruntime = " + quoted(manifest.runtime());
  text += "\nargs = [";
  for (int index = 0; index < manifest.args_size(); ++index)
    text += (index == 0 ? "" : ", ") + quoted(manifest.args(index));
  return text + "]\n" + permissions_toml(permissions);
}

void print_learned(Context& context, const std::string& toml, const LearnedPermissions& permissions,
                   const Outcome& last, std::uint64_t rounds) {
  if (!context.json()) {
    context.out << toml;
    return;
  }
  nlohmann::json learned{{"manifest_toml", toml},
                         {"permissions", nlohmann::json::array()},
                         {"withheld", permissions.withheld()},
                         {"never_granted", permissions.never_granted()},
                         {"rounds", rounds},
                         {"is_complete", !last.is_changed},
                         {"failure", last.failure ? last.failure->what : ""}};
  for (const auto& line : permissions.for_manifest()) learned["permissions"].push_back(line.permission);
  context.out << learned.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
}

void tell_round(Context& context, std::uint64_t round, const LearnedPermissions& permissions, const Outcome& outcome) {
  context.err << "round " << round << ": "
              << (outcome.failure ? outcome.failure->reason : std::string("the program succeeded")) << "; "
              << (outcome.is_changed
                      ? "it missed something: " + std::to_string(permissions.for_manifest().size()) + " permissions now"
                      : std::string("nothing more was missed"))
              << '\n';
}

void tell_rest(Context& context, const LearnedPermissions& permissions) {
  for (const auto& [permission, why] : permissions.withheld()) {
    warn(context, "not granted: " + permission + " (" + why + "); add it by hand if it is meant");
  }
  for (const auto& [call, rule] : permissions.never_granted()) {
    warn(context, "the program calls " + call + ", which no permission allows (" + rule + ")");
  }
}

Result<void> save_manifest(const std::string& folder, const std::string& toml) {
  std::ofstream file(folder + "/manifest.toml");
  file << toml;
  file.close();
  if (!file) return make_error(Reason::kInternal, "cannot write " + folder + "/manifest.toml");
  return {};
}

}  // namespace

ExitCode learn(Context& context, const LearnOptions& options) {
  std::optional<LearnWorkshop> workshop;
  v1::Manifest manifest;
  std::string folder;
  if (options.program.empty()) {
    const Result<Manifest> read = read_manifest(options.manifest);
    if (!read) return fail(context, failure_of(read.error(), options.manifest));
    manifest = message_of(*read);
    std::error_code error;
    folder = std::filesystem::canonical(options.manifest, error).parent_path().string();
  } else {
    Result<LearnWorkshop> made = LearnWorkshop::make(options.program, options.save);
    if (!made) return fail(context, failure_of(made.error(), options.program.front()));
    workshop.emplace(std::move(*made));
    manifest = workshop->manifest();
    folder = workshop->folder();
    for (const std::string& note : workshop->notes()) context.err << one_line(note) << '\n';
  }
  const Result<v1::InvokePluginRequest> call = invoke_request_of(options.invoke);
  if (!call) return fail(context, failure_of(call.error(), options.invoke.input_file));
  Result<std::unique_ptr<PrivateDaemon>> daemon = PrivateDaemon::start(PrivateDaemon::Mode::kLearn);
  if (!daemon) return fail(context, failure_of(daemon.error(), context.verb));
  Context inside = context;
  inside.socket = (*daemon)->socket();
  inside.address.clear();
  Learner learner(inside, manifest, folder);
  Outcome last{std::nullopt, true};
  std::uint64_t rounds = 0;
  while (last.is_changed && rounds < options.rounds_max) {
    std::optional<Failure> broken;
    Progress progress(context, "round " + std::to_string(rounds + 1), error_terminal());
    last = learner.run_round(*call, options.invoke.timeout_ms, broken);
    progress.end();
    if (broken) return fail(context, *broken);
    if (last.failure && last.failure->reason == "CANCELLED") return fail(context, *last.failure);
    tell_round(context, ++rounds, learner.permissions(), last);
  }
  const std::string toml = options.program.empty() ? permissions_toml(learner.permissions())
                                                   : manifest_toml(manifest, learner.permissions());
  print_learned(context, toml, learner.permissions(), last, rounds);
  tell_rest(context, learner.permissions());
  if (workshop && !workshop->is_temporary()) {
    const Result<void> saved = save_manifest(folder, toml);
    if (!saved) return fail(context, failure_of(saved.error(), folder));
    context.err << "saved; try it: liongatectl run-plugin " << folder << "/manifest.toml\n";
  }
  if (last.is_changed) {
    Failure failure = failure_of(
        make_error(Reason::kInternal, "it still missed something after " + std::to_string(rounds) + " rounds"),
        manifest.name());
    failure.hint = "--rounds-max allows more";
    return fail(context, failure);
  }
  if (last.failure && last.failure->reason == "INVALID_MANIFEST") {
    last.failure->hint = "it needs more than a manifest can say; grant whole folders in one, and learn with --manifest";
    return fail(context, *last.failure);
  }
  if (last.failure) {
    last.failure->hint = "it misses nothing that a permission could give; see the warnings above";
    return fail(context, *last.failure);
  }
  return finish(context);
}

}  // namespace liongate::cli
