// Plugin: collects what the author declares and runs a Session over it.
#include "liongate/plugin.h"

#include <fcntl.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "sdk/cpp/definition.h"
#include "sdk/cpp/session.h"

namespace liongate::plugin {
namespace {

constexpr int kInputFd = 3;
constexpr int kOutputFd = 4;

// A mistake of the author shows at the first start, before anybody can call the plugin.
[[noreturn]] void refuse(const Options& options, const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", options.name.c_str(), what.c_str());
  std::exit(kExitUsage);
}

}  // namespace

Plugin::Plugin(Options options) : definition_(std::make_unique<Definition>()) {
  definition_->options = std::move(options);
}

Plugin::~Plugin() = default;

Plugin& Plugin::on(std::string operation, Handler handler, Pace pace) {
  if (!handler) refuse(definition_->options, "operation \"" + operation + "\" has an empty handler");
  const auto [place, added] =
      definition_->operations.try_emplace(std::move(operation), Operation{std::move(handler), pace});
  if (!added) refuse(definition_->options, "operation \"" + place->first + "\" is declared twice");
  return *this;
}

Plugin& Plugin::on_any(Handler handler, Pace pace) {
  if (!handler) refuse(definition_->options, "on_any() has an empty handler");
  if (definition_->any_operation) refuse(definition_->options, "on_any() is called twice");
  definition_->any_operation = Operation{std::move(handler), pace};
  return *this;
}

Plugin& Plugin::on_start(std::function<void(const std::string&)> callback) {
  definition_->on_start = std::move(callback);
  return *this;
}

Plugin& Plugin::on_health(std::function<Health()> callback) {
  definition_->on_health = std::move(callback);
  return *this;
}

Plugin& Plugin::on_config_changed(std::function<void(const std::string&)> callback) {
  definition_->on_config_changed = std::move(callback);
  return *this;
}

Plugin& Plugin::on_shutdown(std::function<void()> callback) {
  definition_->on_shutdown = std::move(callback);
  return *this;
}

int Plugin::run() {
  if (::fcntl(kInputFd, F_GETFD) < 0 || ::fcntl(kOutputFd, F_GETFD) < 0) {
    std::fprintf(stderr,
                 "%s: this is a Liongate plugin: start it with `liongatectl run-plugin --manifest manifest.toml "
                 "--input TEXT`\n",
                 definition_->options.name.c_str());
    return kExitUsage;
  }
  return run(kInputFd, kOutputFd);
}

int Plugin::run(int input_fd, int output_fd) {
  std::signal(SIGPIPE, SIG_IGN);  // a daemon that is gone is an error of write(), not the end of this process
  Session session(*definition_, input_fd, output_fd);
  return session.run();
}

}  // namespace liongate::plugin
