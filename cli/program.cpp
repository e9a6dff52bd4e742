#include "cli/program.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>
#include <charconv>
#include <optional>
#include <ostream>

#include "cli/plain_text.h"
#include "config/faults.h"

namespace liongate::cli {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 done, 1 internal failure or damage, 2 usage, 3 daemon not reachable, 4 not found,\n"
    "5 the plugin failed, 6 refused, 7 invalid, 8 deadline or cancelled, 9 no capacity.\n"
    "Example: liongatectl invoke-plugin hello --input test";

bool is_event_format(const std::string& text) {
  return text == "jsonl" || text == "cloudevents";
}

bool is_format(const std::string& text) {
  return text == "table" || text == "json" || is_event_format(text);
}

OutputFormat format_of(const std::string& text) {
  if (text == "table") return OutputFormat::kTable;
  return text == "cloudevents" ? OutputFormat::kCloudEvents : OutputFormat::kJson;
}

}  // namespace

Program::Program(std::ostream& out, std::ostream& err, Terminal terminal, Colour colour)
    : context_{out, err, "", "", OutputFormat::kTable, terminal, colour, ""},
      app_(std::make_unique<CLI::App>("Load, call and look at the plugins of a Liongate daemon.", "liongatectl")) {
  app_->add_option("--socket", context_.socket,
                   "Control socket of the daemon (else LIONGATE_SOCKET, else the usual places)")
      ->type_name("PATH");
  app_->add_option("--address", context_.address, "HOST:PORT of the daemon instead of a socket")
      ->type_name("HOST:PORT");
  app_->add_option("-o,--output", format_, "table or json; replay-log: jsonl or cloudevents, too")
      ->type_name("FORMAT")
      ->check([](const std::string& text) {
        return is_format(text) ? "" : "'" + text + "' is no output format; table or json";
      });
  app_->require_subcommand(1);
  app_->fallthrough();
  app_->footer(kExitCodes);
}

Program::~Program() = default;

Verb Program::add_verb(const std::string& name, const std::string& summary, const std::string& example,
                       std::function<ExitCode()> run) {
  CLI::App* verb = app_->add_subcommand(name, summary);
  verb->fallthrough();
  verb->footer("Example: " + example);
  runs_[verb] = std::move(run);
  return Verb(*verb);
}

ExitCode Program::run(std::vector<std::string> arguments) {
  const auto dashes = std::ranges::find(arguments, "--");
  for (const auto& [verb, rest] : rests_) {
    if (dashes == arguments.end() || std::find(arguments.begin(), dashes, verb) == dashes) continue;
    rest->assign(dashes + 1, arguments.end());
    arguments.erase(dashes, arguments.end());
    break;
  }
  // Known even where parsing fails, so that errors have the form that was asked for.
  for (std::size_t i = 0; i + 1 < arguments.size(); ++i) {
    const bool names_format = arguments[i] == "-o" || arguments[i] == "--output";
    if (names_format && is_format(arguments[i + 1])) context_.format = format_of(arguments[i + 1]);
  }
  // CLI11 takes "--input=" for an option without a value; an empty input is one.
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const bool is_value = i > 0 && (arguments[i - 1] == "--input" || arguments[i - 1] == "-i");
    if (arguments[i] != "--input=" || is_value) continue;
    arguments[i] = "--input";
    arguments.insert(arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1, "");
  }
  try {
    std::reverse(arguments.begin(), arguments.end());
    app_->parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    context_.out << app_->help();
    return finish(context_);
  } catch (const CLI::ParseError& error) {
    return usage(error);
  }
  context_.format = format_of(format_);
  if (!context_.socket.empty() && !context_.address.empty()) {
    return fail(context_, usage_failure("", "--socket and --address exclude each other"));
  }
  const CLI::App* verb = app_->get_subcommands().front();
  context_.verb = verb->get_name();
  if (is_event_format(format_) && context_.verb != "replay-log") {
    return fail(context_, usage_failure(context_.verb, "-o " + format_ + " is a form of replay-log alone"));
  }
  return runs_.at(verb)();
}

std::string Program::describe(const CLI::ParseError& error) const {
  const std::vector<std::string> unknown = app_->remaining(true);
  const bool has_verb = !app_->get_subcommands().empty();
  if (unknown.empty()) return has_verb ? error.what() : "a verb is missing";
  if (has_verb || unknown.front().starts_with('-')) return "unexpected `" + unknown.front() + "`";
  std::vector<std::string> verbs;
  for (const auto& [verb, run] : runs_) verbs.push_back(verb->get_name());
  const std::string meant = config::near_miss(unknown.front(), verbs);
  return "there is no verb `" + unknown.front() + "`" + (meant.empty() ? "" : "; did you mean `" + meant + "`?");
}

ExitCode Program::usage(const CLI::ParseError& error) {
  const auto verbs = app_->get_subcommands();
  return fail(context_, usage_failure(verbs.empty() ? "" : verbs.front()->get_name(), describe(error)));
}

void Verb::text(const std::string& names, std::string& target, const std::string& help, OptionTraits traits) {
  finish(*app_.add_option(names, target, help), traits);
}

void Verb::texts(const std::string& names, std::vector<std::string>& target, const std::string& help,
                 OptionTraits traits) {
  finish(*app_.add_option(names, target, help)->delimiter(',')->allow_extra_args(false), traits);
}

void Verb::count(const std::string& names, std::uint64_t& target, const std::string& help, OptionTraits traits) {
  const auto take = [&target](const std::vector<std::string>& texts) {
    const char* end = texts.front().data() + texts.front().size();
    const auto [rest, fault] = std::from_chars(texts.front().data(), end, target);
    if (fault != std::errc() || rest != end) {
      throw CLI::ValidationError("'" + texts.front() + "' is not a number from 0 on");
    }
    return true;
  };
  traits.value = "N";
  finish(*app_.add_option(names, take, help), traits);
}

void Verb::flag(const std::string& names, bool& target, const std::string& help, OptionTraits traits) {
  traits.value.clear();
  finish(*app_.add_flag(names, target, help), traits);
}

void Verb::duration(const std::string& names, std::int64_t& target_ms, std::int64_t ms_max, const std::string& help) {
  const auto take = [&target_ms, ms_max](const std::vector<std::string>& texts) {
    const std::optional<std::int64_t> ms = parse_duration_ms(texts.front());
    if (!ms) throw CLI::ValidationError("'" + texts.front() + "' is no duration; write it like 500ms, 5s or 2m");
    if (*ms > ms_max) {
      throw CLI::ValidationError("'" + texts.front() + "' is longer than " + std::to_string(ms_max / 1000) + "s");
    }
    target_ms = *ms;
    return true;
  };
  OptionTraits traits;
  traits.value = "DURATION";
  finish(*app_.add_option(names, take, help), traits);
}

void Verb::selector(std::string& target) {
  text("--plugin-id,--id,ID", target, "Id (UUID) or name of the plugin",
       {.value = "", .presence = Presence::kRequired});
}

void Verb::alias(const std::string& name) {
  app_.alias(name);
}

void Verb::finish(CLI::Option& option, const OptionTraits& traits) {
  if (!traits.value.empty()) option.type_name(traits.value);
  if (traits.presence == Presence::kRequired) option.required();
  if (!traits.excludes.empty()) option.excludes(app_.get_option(traits.excludes));
  if (traits.check) option.check(traits.check);
}

ExitCode run(std::vector<std::string> arguments, std::ostream& out, std::ostream& err, Terminal terminal,
             Colour colour) {
  Program program(out, err, terminal, colour);
  add_load_plugin(program);
  add_unload_plugin(program);
  add_lifecycle_verbs(program);
  add_list_plugins(program);
  add_get_plugin(program);
  add_get_plugin_health(program);
  add_get_plugin_logs(program);
  add_set_plugin_config(program);
  add_invoke_plugin(program);
  add_run_plugin(program);
  add_replay_log(program);
  add_verify_log(program);
  add_repair_log(program);
  add_export_checkpoint(program);
  add_export_log_key(program);
  add_get_status(program);
  add_list_permissions(program);
  add_explain_permissions(program);
  add_test_policy(program);
  add_permission_verbs(program);
  add_check_host(program);
  add_reload_config(program);
  add_shutdown(program);
  add_validate_manifest(program);
  add_version(program);
  return program.run(std::move(arguments));
}

}  // namespace liongate::cli
