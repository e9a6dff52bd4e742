// What the author of a C++ observer includes: derive from PluginBase, then run_observer() shows it the event log.
//
//   class Tally : public liongate::plugin::PluginBase {
//    public:
//     using PluginBase::PluginBase;
//     void on_event(const liongate::plugin::Event& event) override { ++count_; }
//     void on_shutdown() override { std::printf("%s saw %zu events\n", plugin_id().c_str(), count_); }
//
//    private:
//     std::size_t count_ = 0;
//   };
//   int main() { return liongate::plugin::run_observer<Tally>(); }
//
// Ownership and thread: the observer is made when the daemon has said Hello and lives until its end. Constructor and
// on_startup run on the main thread, and so does health(), at any time; events, gaps and on_shutdown on another thread,
// one after the other.
// Errors: a constructor that throws keeps the plugin from starting, with what() as the reason. What on_startup,
// on_event and on_shutdown throw is logged: the observer observes all the same, and goes on with the next event (or
// tries again, or ends: `retries` and `on_error` of its settings). An event may come twice: what was not acknowledged
// before the observer or the daemon was killed is sent again.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "liongate/plugin.h"

namespace liongate::plugin {

// One event of the log. Its bytes are the observer's own.
class Event {
 public:
  // Takes a serialised liongate.v1.Event apart; nothing for bytes that are none.
  static std::optional<Event> from_bytes(std::string bytes);

  std::uint64_t seq() const { return seq_; }                   // from 1, without gaps
  std::int64_t time_ns() const { return time_ns_; }            // since 1970, UTC
  const std::string& type() const { return type_; }            // "PluginInvoked"
  const std::string& plugin_id() const { return plugin_id_; }  // of whom it is about; "" for none
  const std::string& plugin_name() const { return plugin_name_; }
  const std::string& instance_id() const { return instance_id_; }
  const std::string& correlation_id() const { return correlation_id_; }
  const std::string& actor() const { return actor_; }
  // The payload as it is serialised, and its number in liongate.v1.Event, for whoever links event.proto; 0 for none.
  std::string_view payload() const { return std::string_view(bytes_).substr(payload_at_, payload_size_); }
  int payload_field() const { return payload_field_; }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
  std::uint64_t seq_ = 0;
  std::int64_t time_ns_ = 0;
  std::string type_;
  std::string plugin_id_;
  std::string plugin_name_;
  std::string instance_id_;
  std::string correlation_id_;
  std::string actor_;
  std::size_t payload_at_ = 0;
  std::size_t payload_size_ = 0;
  int payload_field_ = 0;
};

// Events that retention removed before this observer came to them.
struct Gap {
  std::uint64_t first_missing_seq = 0;
  std::uint64_t last_missing_seq = 0;
  std::uint64_t count = 0;
};

class PluginBase {
 public:
  // The plugin's id, which is its name in the manifest or plugins.yaml, and its configuration, a JSON object.
  PluginBase(std::string plugin_id, std::string config_json);
  virtual ~PluginBase();
  PluginBase(const PluginBase&) = delete;
  PluginBase& operator=(const PluginBase&) = delete;

  virtual void on_startup() {}                    // once, before the first event
  virtual void on_event(const Event& event) = 0;  // acknowledged when it returns
  virtual void on_gap(const Gap& gap);            // in front of the next event; unless overridden, a line of the log
  virtual void on_shutdown() {}                   // once, after the last event
  virtual std::optional<Health> health() { return std::nullopt; }  // nothing: the library says how many events failed

  const std::string& plugin_id() const { return plugin_id_; }
  const std::string& config_json() const { return config_json_; }

  // Waits, for a handler that tries again; true at once when the observer is asked to stop.
  bool wait(std::chrono::milliseconds time);
  // Is the observer asked to stop? What has not been acknowledged comes again at the next start.
  bool stopping() const { return stopping_; }
  // Called by the library.
  void ask_to_stop();

 private:
  const std::string plugin_id_;
  const std::string config_json_;
  std::mutex mutex_;
  std::condition_variable asked_;
  std::atomic<bool> stopping_{false};
};

using ObserverMaker = std::function<std::unique_ptr<PluginBase>(std::string plugin_id, std::string config_json)>;

// Serves until the daemon says Shutdown or closes the pipe; returns main's exit code: 0; 1 when the constructor or
// on_shutdown threw, or on_event where it is to stop; 64 when not started by Liongate; 76 for a broken protocol.
int run_observer(const ObserverMaker& make);
// The same over other descriptors than 3 and 4, which stay the caller's.
int run_observer(const ObserverMaker& make, int input_fd, int output_fd);

template <typename Observer>
int run_observer() {
  return run_observer([](std::string plugin_id, std::string config_json) {
    return std::make_unique<Observer>(std::move(plugin_id), std::move(config_json));
  });
}

}  // namespace liongate::plugin
