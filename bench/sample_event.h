// The events that the log benchmarks write: what a durable call leaves behind, about 200 bytes each.
//
// Ownership and thread: a pure function.
#pragma once

#include <cstdint>
#include <string>

#include "liongate/v1/event.pb.h"

namespace liongate::bench {

// A PluginInvoked for even numbers, a PluginResult for odd ones.
inline v1::Event sample_event(std::uint64_t number) {
  v1::Event event;
  event.set_plugin_id("7c9e6679-7425-40de-944b-e07fc1f90ae7");
  event.set_plugin_name("hello");
  event.set_instance_id("1b4e28ba-2fa1-41d2-883f-0016d3cca427");
  event.set_correlation_id("c-000000000001");
  event.set_actor("uid:1000");
  const std::string text(36, static_cast<char>('a' + number % 26));
  if (number % 2 == 0) {
    event.set_type("PluginInvoked");
    event.mutable_plugin_invoked()->set_operation("greet");
    event.mutable_plugin_invoked()->mutable_input()->set_text(text);
  } else {
    event.set_type("PluginResult");
    event.mutable_plugin_result()->mutable_output()->set_text(text);
    event.mutable_plugin_result()->mutable_figures()->set_execution_time_ms(0.25);
  }
  return event;
}

}  // namespace liongate::bench
