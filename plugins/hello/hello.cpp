// hello: the smallest useful plugin. It greets with its own name and what it was given.
#include <liongate/plugin.h>

#include <string>

using liongate::plugin::Call;
using liongate::plugin::Plugin;

int main() {
  Plugin plugin({.name = "hello", .version = "0.1.0"});
  plugin.on("", [](Call& call) { return "Hello from " + call.plugin_name() + ": " + std::string(call.input()); });
  return plugin.run();
}
