// Goal: a private key leaves nothing behind in memory. Method: the seed is known only inverted; all of this process's
// writable memory is searched for it while the key lives and when it is gone.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "kernel/base/sys.h"
#include "kernel/signing/note_key.h"

using namespace liongate;
using namespace liongate::signing;

namespace {

constexpr std::size_t kWindowBytes = 1024 * 1024;

// How often the bytes whose inverse is `wanted` stand in `window`.
int count_in(std::span<const std::byte> window, std::span<const std::byte> wanted) {
  int found = 0;
  for (std::size_t at = 0; at + wanted.size() <= window.size(); ++at) {
    std::size_t same = 0;
    while (same < wanted.size() && (window[at + same] ^ wanted[same]) == std::byte{0xFF}) ++same;
    if (same == wanted.size()) ++found;
  }
  return found;
}

// The same in all of this process's writable memory, read through a window that is not looked at itself.
int count_in_memory(const std::vector<std::byte>& wanted) {
  void* const place = ::mmap(nullptr, kWindowBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(place != MAP_FAILED);
  const std::span<std::byte> window(static_cast<std::byte*>(place), kWindowBytes);
  const auto own = reinterpret_cast<std::uintptr_t>(place);
  std::ifstream maps("/proc/self/maps");
  const UniqueFd memory = sys::open("/proc/self/mem", O_RDONLY).value();
  int found = 0;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char mode[8];
    if (std::sscanf(line.c_str(), "%lx-%lx %7s", &begin, &end, mode) != 3 || mode[0] != 'r' || mode[1] != 'w') continue;
    for (std::uintptr_t at = begin; at < end; at += kWindowBytes - wanted.size() + 1) {
      if (at < own + kWindowBytes && at + kWindowBytes > own) continue;
      const std::size_t bytes = std::min<std::size_t>(kWindowBytes, end - at);
      const ssize_t got = ::pread(memory.get(), window.data(), bytes, static_cast<off_t>(at));
      if (got > 0) found += count_in(window.first(static_cast<std::size_t>(got)), wanted);
    }
  }
  ::munmap(place, kWindowBytes);
  return found;
}

std::vector<std::byte> inverted(std::span<const std::byte> bytes) {
  std::vector<std::byte> result;
  for (const std::byte byte : bytes) result.push_back(~byte);
  return result;
}

}  // namespace

TEST_CASE("a key is in memory once while it lives, and not afterwards") {
  std::vector<std::byte> inverse;
  {
    Secret seed = new_seed();
    inverse = inverted(seed.bytes());
    CHECK(count_in_memory(inverse) == 1);
    const PrivateKey key =
        PrivateKey::from_seed(std::span<const std::byte, kSeedBytes>(seed.bytes().data(), kSeedBytes));
    seed = Secret();
    CHECK(count_in_memory(inverse) == 1);
    (void)key.sign("text");
    CHECK(count_in_memory(inverse) == 1);
  }
  CHECK(count_in_memory(inverse) == 0);
}

TEST_CASE("reading and writing a key as text leaves neither the key nor the text behind") {
  std::vector<std::byte> inverse;
  {
    const Secret text = make_note_signer("log").text;
    inverse = inverted(text.bytes().last(40));
    CHECK(count_in_memory(inverse) == 1);
    const auto signer = NoteSigner::parse(text.text());
    REQUIRE(signer.has_value());
    (void)signer->sign("text\n");
    CHECK(count_in_memory(inverse) == 1);
  }
  CHECK(count_in_memory(inverse) == 0);
}

TEST_CASE("a secret that is shrunk keeps nothing of what it lost") {
  Secret secret(8);
  std::memset(secret.bytes().data(), 7, 8);
  const std::byte* const memory = secret.bytes().data();
  secret.shrink(3);
  CHECK(secret.bytes().size() == 3);
  CHECK(memory[2] == std::byte{7});
  CHECK(memory[3] == std::byte{0});
  CHECK(memory[7] == std::byte{0});
}
