// Plugins that keep the protocol and are odd in some other way, named by the first argument; CMakeLists.txt is the
// catalogue. Each is what a test of the daemon needs to see one thing.
#include <liongate/plugin.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace liongate::plugin;

namespace {

constexpr std::uint32_t kConcurrency = 16;
constexpr std::chrono::milliseconds kSlowStart{1500};
constexpr std::chrono::milliseconds kPartInterval{20};
constexpr std::chrono::milliseconds kCancelPoll{5};
constexpr std::size_t kMebibyte = 1024UL * 1024;
constexpr std::uint64_t kForever = 1ULL << 40;
constexpr int kForksMax = 10'000;

std::uint64_t number_in(Call& call, std::uint64_t when_empty) {
  const std::string_view text = call.input();
  if (text.empty()) return when_empty;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) throw Failure{"BAD_INPUT", "the input is no number"};
  return number;
}

// Sleeps the input's milliseconds; the operation "deaf" does not look at cancels.
Outcome sleep_politely(Call& call) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(number_in(call, kForever));
  while (std::chrono::steady_clock::now() < end) {
    if (call.cancelled()) return Failure{"CANCELLED", "cancelled while asleep"};
    std::this_thread::sleep_for(kCancelPoll);
  }
  return "slept";
}

Outcome sleep_deafly(Call& call) {
  std::this_thread::sleep_for(std::chrono::milliseconds(number_in(call, kForever)));
  return "slept";
}

void slow(Plugin& plugin) {
  plugin.on("", sleep_politely).on("deaf", sleep_deafly);
}

void spinner(Plugin& plugin) {
  plugin.on("", [](Call& call) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(number_in(call, kForever));
    while (std::chrono::steady_clock::now() < end) {
    }
    return "spun";
  });
}

// Takes the input's number of MiB and touches every page; says how far it came.
void memory_hog(Plugin& plugin) {
  plugin.on("", [](Call& call) -> Outcome {
    const std::uint64_t wanted = number_in(call, kForever);
    std::vector<std::unique_ptr<char[]>> blocks;
    try {
      while (blocks.size() < wanted) {
        blocks.push_back(std::make_unique_for_overwrite<char[]>(kMebibyte));
        std::fill_n(blocks.back().get(), kMebibyte, 'x');
      }
    } catch (const std::bad_alloc&) {
      return Failure{"OUT_OF_MEMORY", "refused after " + std::to_string(blocks.size()) + " MiB"};
    }
    return std::to_string(blocks.size()) + " MiB";
  });
}

// Forks until it is refused; the children stay, as those of a fork bomb do. "threads" does the same with threads.
void fork_bomb(Plugin& plugin) {
  plugin.on("", [](Call&) -> Outcome {
    int forks = 0;
    for (; forks < kForksMax; ++forks) {
      const pid_t child = ::fork();
      if (child < 0) break;
      if (child == 0) {
        for (;;) ::pause();
      }
    }
    return std::to_string(forks) + " processes";
  });
  plugin.on("threads", [](Call&) -> Outcome {
    int threads = 0;
    try {
      for (; threads < kForksMax; ++threads) std::thread([] { ::pause(); }).detach();
    } catch (const std::system_error&) {
      return std::to_string(threads) + " threads";
    }
    return std::to_string(threads) + " threads";
  });
}

// Sends the input's number of parts, "part 1\n" and so on; "slow" rests between them.
void streamer(Plugin& plugin) {
  plugin.on_any([](Call& call) -> Outcome {
    const std::uint64_t parts = number_in(call, 3);
    for (std::uint64_t i = 1; i <= parts && !call.cancelled(); ++i) {
      call.output("part " + std::to_string(i) + "\n");
      if (call.operation() == "slow") std::this_thread::sleep_for(kPartInterval);
    }
    return "done";
  });
}

void logger(Plugin& plugin) {
  plugin.on("", [](Call& call) -> Outcome {
    call.log(Level::kDebug, "debug: " + std::string(call.input()));
    call.log(Level::kInfo, "info: " + std::string(call.input()));
    call.log(Level::kWarning, "warning: " + std::string(call.input()));
    call.log(Level::kError, "error: " + std::string(call.input()));
    std::printf("on stdout: %s\n", std::string(call.input()).c_str());
    std::fflush(stdout);
    std::fprintf(stderr, "on stderr: %s\n", std::string(call.input()).c_str());
    return "logged";
  });
}

void health(Plugin& plugin) {
  const auto state = std::make_shared<Health>();
  plugin.on("sick", [state](Call& call) -> Outcome {
    *state = {.state = Health::State::kSick, .detail = std::string(call.input())};
    return "sick now";
  });
  plugin.on("well", [state](Call&) -> Outcome {
    *state = {};
    return "well again";
  });
  plugin.on_health([state] { return *state; });
}

void fails(Plugin& plugin) {
  plugin.on("", [](Call& call) -> Outcome {
    return Failure{"OUT_OF_PAPER", "no paper for: " + std::string(call.input())};
  });
  plugin.on("retryable", [](Call&) -> Outcome { return Failure{"BUSY", "come back later", Retry::kYes}; });
  plugin.on("throws", [](Call&) -> Outcome { throw std::runtime_error("thrown on purpose"); });
  plugin.on("warns", [](Call&) -> Outcome {
    return std::move(Outcome("fine").warn("but only just").with_metadata("paper", "low"));
  });
}

void big_output(Plugin& plugin) {
  plugin.on("", [](Call& call) { return std::string(number_in(call, kMebibyte), 'x'); });
  plugin.on("data", [](Call& call) { return Data{std::string(number_in(call, kMebibyte), '\0')}; });
}

// The input is a path; "write" has the contents after its first line break.
void fs_writer(Plugin& plugin) {
  plugin.on("write", [](Call& call) -> Outcome {
    const std::string input(call.input());
    const std::size_t line_end = std::min(input.find('\n'), input.size());
    std::ofstream file(input.substr(0, line_end));
    file << (line_end < input.size() ? input.substr(line_end + 1) : "") << std::flush;
    if (!file) return Failure{"CANNOT_WRITE", input.substr(0, line_end)};
    return "written";
  });
  plugin.on("read", [](Call& call) -> Outcome {
    std::ifstream file{std::string(call.input())};
    std::ostringstream contents;
    contents << file.rdbuf();
    if (!file) return Failure{"CANNOT_READ", std::string(call.input())};
    return contents.str();
  });
}

void env_reader(Plugin& plugin) {
  plugin.on("", [](Call& call) -> Outcome {
    const char* value = std::getenv(std::string(call.input()).c_str());
    if (value == nullptr) return Failure{"NOT_SET", std::string(call.input())};
    return value;
  });
}

void config_reader(Plugin& plugin) {
  plugin.on("", [](Call& call) { return call.config_json(); });
}

void slow_start(Plugin& plugin) {
  plugin.on_start([](const std::string&) { std::this_thread::sleep_for(kSlowStart); });
  config_reader(plugin);
}

void fails_start(Plugin& plugin) {
  plugin.on_start([](const std::string&) { throw std::runtime_error("there is no ink"); });
}

struct Oddity {
  std::string_view name;
  std::uint32_t concurrency;
  void (*declare)(Plugin& plugin);
};

constexpr Oddity kOddities[] = {
    {"slow", kConcurrency, slow},
    {"slow_single", 1, slow},
    {"spinner", kConcurrency, spinner},
    {"memory_hog", 1, memory_hog},
    {"fork_bomb", 1, fork_bomb},
    {"streamer", kConcurrency, streamer},
    {"logger", 1, logger},
    {"health", 1, health},
    {"fails", 1, fails},
    {"big_output", 1, big_output},
    {"fs_writer", 1, fs_writer},
    {"env_reader", 1, env_reader},
    {"config_reader", 1, config_reader},
    {"slow_start", 1, slow_start},
    {"fails_start", 1, fails_start},
};

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  for (const Oddity& oddity : kOddities) {
    if (oddity.name != name) continue;
    Plugin plugin({.name = std::string(name), .version = "0.1.0", .concurrency = oddity.concurrency});
    oddity.declare(plugin);
    return plugin.run();
  }
  std::fprintf(stderr, "odd: no oddity is named \"%s\"\n", argc > 1 ? argv[1] : "");
  return 64;
}
