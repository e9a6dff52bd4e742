// The command line of liongatectl: global options, the verbs, and which of them was asked for.
//
// Ownership and thread: made by run() and used on its thread; verbs keep references to its context only while it lives.
// Verbs declare themselves through the add_* functions below, one file a verb. The parser (CLI11) stays in program.cpp:
// its headers cost seconds in each file that sees them.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cli/context.h"

namespace CLI {
class App;
class Option;
class ParseError;
}  // namespace CLI

namespace liongate::cli {

enum class Presence { kOptional, kRequired };

// What an option may say beyond its names and help.
struct OptionTraits {
  std::string value = "TEXT";  // what stands for its value in the help
  Presence presence = Presence::kOptional;
  std::string excludes = "";                                  // the option that cannot be given too
  std::function<std::string(const std::string&)> check = {};  // empty text: the value is good; else why not
};

// One verb while it is declared. `names` are like "-m,--manifest,FILE", the bare word being the positional form.
// Targets live as long as the program.
class Verb {
 public:
  explicit Verb(CLI::App& app) : app_(app) {}

  void text(const std::string& names, std::string& target, const std::string& help, OptionTraits traits = {});
  void texts(const std::string& names, std::vector<std::string>& target, const std::string& help,
             OptionTraits traits = {});
  void count(const std::string& names, std::uint64_t& target, const std::string& help, OptionTraits traits = {});
  void flag(const std::string& names, bool& target, const std::string& help, OptionTraits traits = {});
  // Takes durations (plain_text.h) up to `ms_max` and puts them in milliseconds.
  void duration(const std::string& names, std::int64_t& target_ms, std::int64_t ms_max, const std::string& help);
  // Names the plugin: --id, --plugin-id, or the first word.
  void selector(std::string& target);
  void alias(const std::string& name);

 private:
  void finish(CLI::Option& option, const OptionTraits& traits);

  CLI::App& app_;
};

class Program {
 public:
  Program(std::ostream& out, std::ostream& err, Terminal terminal, Colour colour);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Declares a verb. `example` is a whole command line; `run` is called if this verb was named.
  Verb add_verb(const std::string& name, const std::string& summary, const std::string& example,
                std::function<ExitCode()> run);

  // The words behind a `--` on that verb's command line are put into `target`, which lives as long as the program.
  void take_rest(const std::string& verb, std::vector<std::string>& target) { rests_[verb] = &target; }

  // Parses `arguments` (without the program's name) and runs the verb.
  ExitCode run(std::vector<std::string> arguments);

  Context& context() { return context_; }

 private:
  ExitCode usage(const CLI::ParseError& error);
  // Unknown words on the command line, with the verb that was probably meant.
  std::string describe(const CLI::ParseError& error) const;

  Context context_;
  std::unique_ptr<CLI::App> app_;
  std::string format_ = "table";
  std::map<const CLI::App*, std::function<ExitCode()>> runs_;
  std::map<std::string, std::vector<std::string>*> rests_;
};

void add_load_plugin(Program& program);
void add_unload_plugin(Program& program);
void add_lifecycle_verbs(Program& program);
void add_list_plugins(Program& program);
void add_list_permissions(Program& program);
void add_explain_permissions(Program& program);
void add_test_policy(Program& program);
void add_permission_verbs(Program& program);
void add_get_plugin(Program& program);
void add_get_plugin_health(Program& program);
void add_get_plugin_logs(Program& program);
void add_set_plugin_config(Program& program);
void add_invoke_plugin(Program& program);
void add_run_plugin(Program& program);
void add_replay_log(Program& program);
void add_verify_log(Program& program);
void add_repair_log(Program& program);
void add_export_checkpoint(Program& program);
void add_export_log_key(Program& program);
void add_get_status(Program& program);
void add_check_host(Program& program);
void add_reload_config(Program& program);
void add_shutdown(Program& program);
void add_validate_manifest(Program& program);
void add_version(Program& program);

// The whole program: what main() calls, and tests.
ExitCode run(std::vector<std::string> arguments, std::ostream& out, std::ostream& err, Terminal terminal,
             Colour colour);

}  // namespace liongate::cli
