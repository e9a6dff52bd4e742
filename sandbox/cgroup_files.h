// The texts of cgroup v2 files: which group a process is in, keyed counters, pressure, and what is written to cpu.max.
//
// Ownership and thread: pure functions; texts come from the kernel, or in tests from plain files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace liongate::sandbox {

inline constexpr std::uint32_t kCpuPeriodUs = 100'000;  // of cpu.max

// Which hierarchies /proc/PID/cgroup names: the path in v2, and the controllers that v1 has taken.
struct OwnCgroup {
  std::optional<std::string> path;              // of the line "0::PATH"; absent: no v2 at all
  std::vector<std::string> legacy_controllers;  // of lines "N:NAMES:PATH", unnamed hierarchies left out
};
OwnCgroup parse_own_cgroup(std::string_view text);

// The number behind `key` in lines of "KEY NUMBER"; 0 where the kernel does not have that key.
std::uint64_t keyed_value(std::string_view text, std::string_view key);

// Words separated by blanks or line ends, e.g. cgroup.controllers.
std::vector<std::string> words_of_list(std::string_view text);

// A whole file that is one number. "max" and what is no number are nothing.
std::optional<std::uint64_t> single_value(std::string_view text);

// Microseconds in which some task waited for the resource, since the group was made: "total=" of the line "some".
std::optional<std::uint64_t> pressure_total_us(std::string_view text);

// cpu.max for a share of `percent` of one CPU; above 100 it is more than one.
std::string cpu_max_text(std::uint32_t percent);

// memory.high for a memory.max of `bytes`: near enough that little of the limit is lost, and the kernel reclaims first.
std::uint64_t memory_high_of(std::uint64_t bytes);

}  // namespace liongate::sandbox
