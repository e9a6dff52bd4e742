// What the author of a C++ plugin includes: declare operations, then run() answers the daemon until it says goodbye.
//
//   int main() {
//     liongate::plugin::Plugin plugin({.name = "shout", .version = "0.1.0"});
//     plugin.on("", [](liongate::plugin::Call& call) { return std::string(call.input()) + "!"; });
//     return plugin.run();
//   }
//
// Ownership and thread: a Plugin belongs to main(). With a concurrency of 1 (the default) every handler runs on the
// thread that called run(), one after another. With more, quick operations still do and the others run on worker
// threads, so their handlers must be safe to run at the same time. A Call is valid until its handler returns; its
// methods may be called from any thread.
// Errors: a handler says no by returning or throwing a Failure. Any other exception becomes the failure
// PLUGIN_EXCEPTION with what() as its message; the plugin goes on.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace liongate::plugin {

// May the caller try the same call again? Shown to it as Failure.retryable.
enum class Retry : std::uint8_t { kNo, kYes };

// The plugin ran and says no. The code is a word of its own in UPPER_SNAKE; the message is shown as it is.
struct Failure {
  std::string code;
  std::string message;
  Retry retry = Retry::kNo;
};

// Bytes that are not text: they reach the caller as `data`.
struct Data {
  std::string bytes;
};

// What a handler returns: text, data or a failure, with warnings and metadata beside it. Text that is not UTF-8
// travels as data, because the wire's text fields cannot hold it.
class Outcome {
 public:
  Outcome(std::string text) : output_(std::move(text)) {}                     // NOLINT(google-explicit-constructor)
  Outcome(std::string_view text) : output_(text) {}                           // NOLINT(google-explicit-constructor)
  Outcome(const char* text) : output_(text) {}                                // NOLINT(google-explicit-constructor)
  Outcome(Data data) : output_(std::move(data.bytes)), kind_(Kind::kData) {}  // NOLINT(google-explicit-constructor)
  Outcome(Failure failure)                                                    // NOLINT(google-explicit-constructor)
      : failure_(std::make_unique<Failure>(std::move(failure))), kind_(Kind::kFailure) {}

  Outcome& warn(std::string warning);                          // adds a warning for the caller
  Outcome& with_metadata(std::string key, std::string value);  // adds or replaces one entry

  enum class Kind : std::uint8_t { kText, kData, kFailure };
  Kind kind() const { return kind_; }
  std::string& output() { return output_; }
  const Failure& failure() const { return *failure_; }  // only where kind() is kFailure
  const std::vector<std::string>& warnings() const { return warnings_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  std::string output_;
  std::unique_ptr<Failure> failure_;
  std::vector<std::string> warnings_;
  std::map<std::string, std::string> metadata_;
  Kind kind_ = Kind::kText;
};

enum class Level : std::uint8_t { kDebug = 1, kInfo = 2, kWarning = 3, kError = 4 };

class Session;
struct CallState;

// One invocation, as its handler sees it.
class Call {
 public:
  Call(Session& session, CallState& state) : session_(session), state_(state) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  std::string_view input() const;  // the bytes of the input, whichever kind it is
  std::string take_input();        // moves them out, for large inputs; input() is empty afterwards
  bool input_is_data() const;      // sent as data, not as text
  const std::string& operation() const;
  const std::string& execution_id() const;
  const std::string& correlation_id() const;
  const std::string& traceparent() const;
  bool streaming() const;  // the caller takes the parts of output() as they come

  const std::string& plugin_name() const;  // as in the manifest
  const std::string& config_json() const;  // the configuration when the call began: a JSON object

  // True once the caller no longer waits. Cheap enough for a loop; with a concurrency of 1 it also looks for a cancel
  // on the pipe and answers the daemon's pings, so a long handler should call it a few times a second.
  bool cancelled();
  // For std::stop_callback and std::condition_variable_any: asked to stop when the call is cancelled. With a
  // concurrency of 1 that is noticed only by cancelled(), unless the reader stays free (Reader below).
  std::stop_token stop_token();
  // When the caller stops waiting; nothing when it set no deadline.
  std::optional<std::chrono::steady_clock::time_point> deadline() const;

  void output(std::string_view text);  // sends a part of the output ahead of the result, at once
  void output(const Data& data);
  // The value of a secret as it is now; the plugin needs the permission secret:NAME. Waits for the daemon, which reads
  // the value where it comes from, each time: ask when it is needed, use it, and let go of it, so that a value that was
  // changed is the next one used. Throws the daemon's refusal as a Failure: PERMISSION_DENIED, INVALID_CONFIG (nothing
  // gives it a value), QUEUE_FULL (asked for too often), SHUTTING_DOWN. With a concurrency of 1 and Reader::kRunsCalls
  // only the handler's own thread may ask.
  std::string secret(std::string_view name);
  void log(Level level, std::string_view line);  // one line of the plugin's log, attributed to this call

 private:
  Session& session_;
  CallState& state_;
};

using Handler = std::function<Outcome(Call&)>;

// How long a handler may take. A quick one never waits: it runs on the reading thread even when others run on workers,
// and the answers of a batch leave in one write.
enum class Pace : std::uint8_t { kOrdinary, kQuick };

// Who runs the handlers of a plugin with a concurrency of 1.
enum class Reader : std::uint8_t {
  kRunsCalls,  // the reading thread itself: no hand-off, the lowest latency
  kStaysFree,  // a worker thread: pings and cancels are seen at once while a handler runs
};

struct Options {
  std::string name;
  std::string version;
  std::uint32_t concurrency = 1;  // calls at once; the daemon may grant fewer
  Reader reader = Reader::kRunsCalls;
};

// What the plugin says of itself when the daemon asks.
struct Health {
  enum class State : std::uint8_t { kHealthy, kSick };
  State state = State::kHealthy;
  std::string detail;
};

class Plugin {
 public:
  explicit Plugin(Options options);
  ~Plugin();
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  // Answers the operation of that name; "" is the one called when the caller names none. Naming one twice, or an empty
  // handler, is a mistake of the author: the program says so on stderr and exits 64.
  Plugin& on(std::string operation, Handler handler, Pace pace = Pace::kOrdinary);
  // Answers every operation that no on() names.
  Plugin& on_any(Handler handler, Pace pace = Pace::kOrdinary);

  // Runs before the plugin says that it is ready, with the configuration as JSON. An exception ends the program: the
  // load fails and what() is in the plugin's log.
  Plugin& on_start(std::function<void(const std::string& config_json)> callback);
  // These run on the reading thread.
  Plugin& on_health(std::function<Health()> callback);
  Plugin& on_config_changed(std::function<void(const std::string& config_json)> callback);
  Plugin& on_shutdown(std::function<void()> callback);  // after the last call was answered

  // Serves until the daemon says Shutdown or closes the pipe, finishing the calls that have begun; returns main's
  // exit code: 0, 1 when on_start or on_shutdown threw, 64 when not started by Liongate, 76 when the daemon broke the
  // protocol (one line on stderr says how).
  int run();
  // The same over other descriptors than 3 and 4, which stay the caller's.
  int run(int input_fd, int output_fd);

  struct Definition;  // what the methods above collected

 private:
  std::unique_ptr<Definition> definition_;
};

}  // namespace liongate::plugin
