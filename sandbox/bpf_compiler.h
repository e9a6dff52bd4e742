// Turns rules about system calls into a classic BPF program for seccomp.
//
// Shape of the program: another architecture or the x32 call table kills the process; then a balanced tree over ranges
// of call numbers, whose leaves are a constant answer (which the kernel caches in a bitmap) or tests of arguments. What
// no rule names gets the answer `unknown`.
//
// Ownership and thread: pure functions over plain values.
#pragma once

#include <linux/filter.h>

#include <array>
#include <cstdint>
#include <vector>

namespace liongate::sandbox {

inline constexpr std::uint32_t kX32Bit = 0x40000000;

enum class Width : std::uint8_t { kLow32, kFull64 };

// (argument & mask) == value. The kernel reads flags, modes and families from the low half of a register, so those are
// compared there: a test of all 64 bits would let a caller hide behind bits that nobody reads.
struct Condition {
  std::uint8_t argument = 0;
  Width width = Width::kLow32;
  std::uint32_t mask = 0xffffffff;  // kLow32 only
  std::uint64_t value = 0;
  int secret = -1;  // kFull64: the value is filled in for each start (see SecretSlots)
};

// Allowed when all conditions of one alternative hold; an alternative without conditions always does.
using Alternative = std::vector<Condition>;

struct SyscallRule {
  std::uint32_t number = 0;
  std::uint32_t otherwise = 0;  // SECCOMP_RET_* when no alternative holds
  std::vector<Alternative> alternatives;
};

inline constexpr int kSecretsMax = 3;
struct SecretSlot {
  std::size_t low = 0;  // index of the instruction that holds the low half; 0 for none
  std::size_t high = 0;
};

struct FilterProgram {
  std::vector<sock_filter> instructions;
  std::array<SecretSlot, kSecretsMax> secrets{};
};

// Compiles `rules`, sorted by number, each number once.
FilterProgram compile_filter(const std::vector<SyscallRule>& rules, std::uint32_t unknown);

// Writes the three secret values into a copy of the program.
void fill_secrets(FilterProgram& program, const std::array<std::uint64_t, kSecretsMax>& values);

}  // namespace liongate::sandbox
