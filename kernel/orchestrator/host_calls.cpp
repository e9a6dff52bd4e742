#include "kernel/orchestrator/host_calls.h"

#include <algorithm>

#include "kernel/base/limits.h"
#include "kernel/base/utf8.h"

namespace liongate::orchestrator {

using supervision::PluginInstance;

namespace {

constexpr std::size_t kShownBytes = 256;  // of a method or name, in messages and events
constexpr const char* kOtherKinds = "secret:*";

std::string shown(std::string_view text) {
  return to_utf8(text.substr(0, kShownBytes));
}

// A plugin that does not read its replies cannot be told anything; one that is ending need not be.
void send_reply(PluginInstance& instance, const v1::Frame& frame) {
  Result<void> sent = instance.send_secret(frame);
  if (sent || sent.error().reason != Reason::kQueueFull) return;
  instance.end(make_error(Reason::kPluginProtocolError,
                          "plugin " + instance.name() + " makes host calls and does not read the replies"));
}

}  // namespace

void answer_host_call(PluginInstance& instance, std::uint64_t host_call_id, const Error& error) {
  v1::Frame frame;
  frame.mutable_host_reply()->set_host_call_id(host_call_id);
  frame.mutable_host_reply()->set_error_reason(std::string(error.reason_name()));
  frame.mutable_host_reply()->set_error_message(error.hint.empty() ? error.message : error.message + "; " + error.hint);
  send_reply(instance, frame);
}

void HostCalls::take(PluginInstance& instance, const v1::HostCall& call, const std::string& correlation_id) {
  const auto refuse = [&](Error error) { answer_host_call(instance, call.host_call_id(), error); };
  if (call.method().size() + call.request().size() > limits::kHostCallRequestBytesMax) {
    return refuse(make_error(Reason::kInputTooLarge, "a host call's method and request have at most " +
                                                         std::to_string(limits::kHostCallRequestBytesMax) + " bytes"));
  }
  if (in_flight_ >= limits::kHostCallsInFlightMax || !is_in_rate()) {
    return refuse(make_error(Reason::kQueueFull, "plugin " + record_.name() + " has " + std::to_string(in_flight_) +
                                                     " host calls under way and began " +
                                                     std::to_string(begun_in_second_) + " within a second")
                      .with_hint("at most " + std::to_string(limits::kHostCallsInFlightMax) + " and " +
                                 std::to_string(limits::kHostCallsPerSecondMax) + "; ask again in a moment"));
  }
  if (record_.is_observer()) {  // it looks at events, and what it would ask for makes some
    deny(shown(call.method()), "callable", {instance.weak_from_this(), call.host_call_id(), asked_by(instance)});
    return;
  }
  if (call.method() != "secret") {
    return refuse(
        make_error(Reason::kUnimplemented, "host call \"" + shown(call.method()) + "\" is not offered by this daemon"));
  }
  Asked asked{instance.weak_from_this(), call.host_call_id(), asked_by(instance)};
  asked.origin.set_correlation_id(correlation_id);
  give_secret(call.request(), std::move(asked));
}

v1::Event HostCalls::asked_by(const PluginInstance& instance) const {
  v1::Event event = plugin_event("SecretDelivered", record_, "plugin:" + record_.name());
  event.set_instance_id(instance.id().str());
  return event;
}

bool HostCalls::is_in_rate() {
  const MonotonicTime now = context_.clock.now();
  if (now - second_began_ >= std::chrono::seconds(1)) {
    second_began_ = now;
    begun_in_second_ = 0;
  }
  if (begun_in_second_ >= limits::kHostCallsPerSecondMax) return false;
  ++begun_in_second_;
  return true;
}

bool HostCalls::has(const std::string& permission) const {
  const auto& permissions = record_.loaded().manifest().permissions();
  return std::find(permissions.begin(), permissions.end(), permission) != permissions.end();
}

void HostCalls::give_secret(const std::string& name, Asked asked) {
  if (!has("secret:" + name)) {
    deny("secret", "secret:" + shown(name), asked);
    return;
  }
  ++in_flight_;
  secrets_wanted_.emplace_back(name, std::move(asked));
  if (!is_fetching_) fetch_next();
}

void HostCalls::fetch_next() {
  is_fetching_ = !secrets_wanted_.empty();
  if (!is_fetching_) return;
  auto [name, asked] = std::move(secrets_wanted_.front());
  secrets_wanted_.pop_front();
  context_.secret_delivery.fetch_one(
      name, [this, alive = alive_, asked = std::move(asked)](Result<SecretDelivery::Values> values) {
        if (!*alive) return;
        --in_flight_;
        fetch_next();
        const auto instance = asked.instance.lock();
        if (!instance || instance->ended()) return;
        if (values) {
          give_value(asked, std::move(values->front()));
        } else {
          answer_host_call(*instance, asked.id, values.error());
        }
      });
}

void HostCalls::give_value(const Asked& asked, policy::SecretValue value) {
  const auto instance = asked.instance.lock();
  if (const std::string permission = "secret:" + value.name; !has(permission)) {  // revoked meanwhile
    deny("secret", permission, asked);
    return;
  }
  SecretDelivery::Values values;
  values.push_back(std::move(value));
  if (const auto recorded = context_.secret_delivery.record(asked.origin, values, kDeliveredByHostCall); !recorded) {
    answer_host_call(*instance, asked.id, recorded.error());
    return;
  }
  v1::Frame frame;
  frame.mutable_host_reply()->set_host_call_id(asked.id);
  std::string& reply = *frame.mutable_host_reply()->mutable_reply();
  reply.assign(values.front().value.text());
  send_reply(*instance, frame);
  wipe(reply);
}

void HostCalls::deny(const std::string& method, const std::string& permission, const Asked& asked) {
  const bool is_told_apart = denials_.contains(permission) || denials_.size() + 1 < limits::kHostDenialKindsMax;
  const std::string kind = is_told_apart ? permission : kOtherKinds;
  Denials& denials = denials_[kind];
  denials.method = method;
  ++denials.untold;
  const bool is_first = denials.told == MonotonicTime{};
  if (is_first || context_.clock.now() - denials.told >= std::chrono::milliseconds(limits::kHostDenialRepeatMs)) {
    record_denial(kind, denials, asked.origin);
  }
  if (const auto instance = asked.instance.lock()) {
    Error error =
        make_error(Reason::kPermissionDenied,
                   record_.is_observer() ? "host call \"" + method + "\" is not for observers"
                                         : "plugin " + record_.name() + " has no permission \"" + permission + "\"");
    if (!record_.is_observer()) error.hint = "ask for it in the manifest, and have the operator grant it";
    answer_host_call(*instance, asked.id, error);
  }
}

void HostCalls::record_denial(const std::string& permission, Denials& denials, v1::Event event) {
  event.set_type("PermissionDenied");
  v1::PermissionDenied& denial = *event.mutable_permission_denied();
  const std::string refused = "host call " + denials.method + " was refused" +
                              (denials.untold > 1 ? " " + std::to_string(denials.untold) + " times" : "") + ": ";
  if (record_.is_observer()) {
    denial.set_rule("role");
    denial.set_message(refused + "plugin " + record_.name() + " is an observer, which changes nothing");
  } else {
    denial.set_permission(permission);
    denial.set_rule("host call: not granted");
    denial.set_message(refused + "it needs the permission \"" + permission + "\"");
  }
  denial.set_action("host call " + denials.method);
  denial.set_count(denials.untold);
  // Where the log takes no new work the call is refused all the same, and that the log is read-only is told elsewhere.
  static_cast<void>(
      context_.journal.record(event, event_log::SyncClass::kBatch, event_log::RecordUse::kNewWork).has_value());
  denials.told = context_.clock.now();
  denials.untold = 0;
}

void HostCalls::flush() {
  for (auto& [permission, denials] : denials_) {
    if (denials.untold > 0) {
      record_denial(permission, denials, plugin_event("PermissionDenied", record_, "plugin:" + record_.name()));
    }
  }
  denials_.clear();
}

}  // namespace liongate::orchestrator
