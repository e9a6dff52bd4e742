// Goal: the transition table is exactly the rules of transition.h. Method: the rules are stated here a second time, as
// sets of states for each trigger, and every state x trigger is compared.
#include "kernel/lifecycle/transition.h"

#include <catch2/catch.hpp>
#include <set>

#include "liongate/v1/plugin.pb.h"

using namespace liongate;
using lifecycle::State;
using lifecycle::transition;
using lifecycle::Trigger;

namespace {

using S = State;

constexpr State kAllStates[] = {S::kAbsent,  S::kCreated, S::kStarting, S::kRunning, S::kStopping,
                                S::kStopped, S::kCrashed, S::kFailed,   S::kUnloaded};

bool is_one_of(State state, const std::set<State>& states) {
  return states.contains(state);
}

std::optional<State> to_when(bool legal, State to) {
  return legal ? std::optional(to) : std::nullopt;
}

// No process could survive the life before: what had one is to be started again, a stop under way is finished.
std::optional<State> after_daemon_started(State state) {
  switch (state) {
    case S::kCreated:
    case S::kStarting:
    case S::kRunning:
    case S::kCrashed:
      return S::kCreated;
    case S::kStopping:
    case S::kStopped:
      return S::kStopped;
    case S::kFailed:
      return S::kFailed;
    default:
      return std::nullopt;
  }
}

std::optional<State> by_the_rules(State state, Trigger trigger) {
  const bool loaded = state != S::kAbsent && state != S::kUnloaded;
  const bool no_process = is_one_of(state, {S::kCreated, S::kStopped, S::kCrashed, S::kFailed});
  switch (trigger) {
    case Trigger::kLoaded:
      return to_when(state == S::kAbsent, S::kCreated);
    case Trigger::kInstanceCreated:
      return to_when(no_process, S::kStarting);
    case Trigger::kStarted:  // without a process before it: a command, which cannot crash
      return to_when(state == S::kStarting || (no_process && state != S::kCrashed), S::kRunning);
    case Trigger::kStopping:
      return to_when(is_one_of(state, {S::kStarting, S::kRunning}), S::kStopping);
    case Trigger::kStopped:
      return to_when(state == S::kStopping || (no_process && state != S::kStopped), S::kStopped);
    case Trigger::kCrashed:  // an end while STOPPING is the stop
      return to_when(is_one_of(state, {S::kStarting, S::kRunning}), S::kCrashed);
    case Trigger::kFailed:
      return to_when(loaded && state != S::kStopping, S::kFailed);
    case Trigger::kReloadedRunning:
      return to_when(no_process || state == S::kRunning, S::kRunning);
    case Trigger::kReloadedIdle:
      return to_when(no_process && state != S::kCrashed, state);
    case Trigger::kUnloaded:
      return to_when(loaded, S::kUnloaded);
    case Trigger::kDaemonStarted:
      return after_daemon_started(state);
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("every state and trigger has the outcome that the rules give it") {
  for (const State state : kAllStates) {
    for (int i = 0; i < lifecycle::kTriggerCount; ++i) {
      const auto trigger = static_cast<Trigger>(i);
      INFO(lifecycle::name_of(state) << " x " << lifecycle::name_of(trigger) << " (" << i << ")");
      CHECK(transition(state, trigger) == by_the_rules(state, trigger));
    }
  }
}

TEST_CASE("no loaded state is a dead end: each can be unloaded, and each but RUNNING leads to another") {
  for (const State state : kAllStates) {
    if (state == S::kAbsent || state == S::kUnloaded) continue;
    INFO(lifecycle::name_of(state));
    CHECK(transition(state, Trigger::kUnloaded) == S::kUnloaded);
    int ways_to_live_on = 0;
    for (int i = 0; i < lifecycle::kTriggerCount; ++i) {
      const auto next = transition(state, static_cast<Trigger>(i));
      if (next && *next != state && *next != S::kUnloaded) ++ways_to_live_on;
    }
    CHECK(ways_to_live_on > 0);
  }
}

TEST_CASE("RUNNING can be reached again from every state in which a plugin is loaded") {
  std::set<State> leads_to_running = {S::kRunning};
  for (int round = 0; round < lifecycle::kStateCount; ++round) {
    for (const State state : kAllStates) {
      for (int i = 0; i < lifecycle::kTriggerCount; ++i) {
        const auto next = transition(state, static_cast<Trigger>(i));
        if (next && leads_to_running.contains(*next)) leads_to_running.insert(state);
      }
    }
  }
  CHECK(leads_to_running.size() == lifecycle::kStateCount - 1);
  CHECK_FALSE(leads_to_running.contains(S::kUnloaded));
}

TEST_CASE("UNLOADED is final") {
  for (int i = 0; i < lifecycle::kTriggerCount; ++i) {
    CHECK_FALSE(transition(S::kUnloaded, static_cast<Trigger>(i)).has_value());
  }
}

TEST_CASE("DaemonStarted is legal wherever a plugin is loaded and leaves no state that has a process") {
  for (const State state : kAllStates) {
    INFO(lifecycle::name_of(state));
    const auto next = transition(state, Trigger::kDaemonStarted);
    CHECK(next.has_value() == (state != S::kAbsent && state != S::kUnloaded));
    if (next) CHECK_FALSE(is_one_of(*next, {S::kStarting, S::kRunning, S::kStopping, S::kCrashed}));
  }
}

TEST_CASE("a second DaemonStarted changes nothing: a daemon that dies at once loses no wish") {
  for (const State state : kAllStates) {
    if (const auto once = transition(state, Trigger::kDaemonStarted)) {
      CHECK(transition(*once, Trigger::kDaemonStarted) == once);
    }
  }
}

TEST_CASE("states have the numbers and names of the wire") {
  for (const State state : kAllStates) {
    if (state == S::kAbsent) continue;
    const auto on_the_wire = static_cast<v1::PluginState>(state);
    CHECK(v1::PluginState_Name(on_the_wire) == "PLUGIN_STATE_" + std::string(lifecycle::name_of(state)));
  }
}
