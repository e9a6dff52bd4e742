// Plugins that try to use up the machine, named by the first argument; CMakeLists.txt is the catalogue. Each goes on
// until it is killed: whoever calls one gives it a deadline.
#include <fcntl.h>
#include <liongate/plugin.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>

using namespace liongate::plugin;

namespace {

constexpr std::size_t kBlockBytes = 1024UL * 1024;

// Every child forks and burns CPU, and does so again when it is refused.
Outcome bomb_with_forks(Call&) {
  for (;;) {
    static_cast<void>(::fork());
  }
}

// Maps and touches; what is refused is asked for again.
Outcome bomb_with_memory(Call&) {
  for (;;) {
    void* const block = ::mmap(nullptr, kBlockBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) continue;
    for (std::size_t at = 0; at < kBlockBytes; at += 4096) static_cast<volatile char*>(block)[at] = 'x';
  }
}

// Fills both private folders with bytes and with files, and begins again when nothing more is taken.
Outcome bomb_with_files(Call&) {
  const std::string block(kBlockBytes, 'x');
  for (unsigned number = 0;; ++number) {
    for (const char* folder : {"/tmp/", "/dev/shm/"}) {
      const std::string path = folder + std::to_string(number);
      const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
      if (fd < 0) continue;
      while (::write(fd, block.data(), block.size()) > 0) {
      }
      ::close(fd);
    }
  }
}

Outcome bomb_with_output(Call&) {
  const std::string block(kBlockBytes / 16, '\n');
  for (;;) {
    if (::write(STDOUT_FILENO, block.data(), block.size()) <= 0) return Failure{"CLOSED", "stdout is gone"};
  }
}

struct Bomb {
  std::string_view name;
  Outcome (*explode)(Call& call);
};

constexpr Bomb kBombs[] = {
    {"fork_storm", bomb_with_forks},
    {"memory_bomb", bomb_with_memory},
    {"disk_bomb", bomb_with_files},
    {"stdout_flood", bomb_with_output},
};

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  for (const Bomb& bomb : kBombs) {
    if (bomb.name != name) continue;
    Plugin plugin({.name = std::string(name), .version = "0.1.0", .concurrency = 1});
    plugin.on("", bomb.explode);
    return plugin.run();
  }
  std::fprintf(stderr, "bombs: no bomb is named \"%s\"\n", argc > 1 ? argv[1] : "");
  return 64;
}
