// The rules single fields of a manifest follow: names, versions, requirements, limits, the guess of the runtime.
//
// Ownership and thread: pure functions and constants; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/limits.h"
#include "kernel/base/manifest.h"

namespace liongate::config {

// Bounds of what a manifest may ask for. What the host really gives is the operator's and the kernel's matter.
inline constexpr std::uint64_t kMemoryBytesMin = 1024 * 1024;
inline constexpr std::uint64_t kMemoryBytesMax = 1ULL << 40U;
inline constexpr std::uint64_t kTimeMsMax = limits::kInvokeTimeoutMsMax;
inline constexpr std::uint64_t kProcessesMax = 4096;
inline constexpr std::uint64_t kOpenFilesMin = 8;  // the five descriptors every plugin has, and a few of its own
inline constexpr std::uint64_t kOpenFilesMax = 65'536;
inline constexpr std::uint64_t kCpuPercentMax = 100'000;  // a thousand CPUs
inline constexpr std::uint64_t kFileSizeBytesMax = 1ULL << 40U;
inline constexpr std::uint64_t kTmpBytesMin = 64 * 1024;
inline constexpr std::uint64_t kTmpBytesMax = 1ULL << 40U;
inline constexpr std::uint64_t kTmpFilesMax = 10'000'000;
inline constexpr std::uint64_t kIoBytesPerSecondMin = 64 * 1024;
inline constexpr std::uint64_t kIoBytesPerSecondMax = 1ULL << 40U;

// The keys of [limits]; a ceiling in a policy file has the same ranges.
struct LimitKey {
  std::string_view name;
  std::uint64_t min = 1;
  std::uint64_t max = 0;
};
inline constexpr std::array kLimitKeys{
    LimitKey{"memory_bytes_max", kMemoryBytesMin, kMemoryBytesMax},
    LimitKey{"cpu_time_ms_max", 1, kTimeMsMax},
    LimitKey{"wall_time_ms_max", 1, kTimeMsMax},
    LimitKey{"processes_max", 1, kProcessesMax},
    LimitKey{"open_files_max", kOpenFilesMin, kOpenFilesMax},
    LimitKey{"cpu_percent_max", 1, kCpuPercentMax},
    LimitKey{"file_size_bytes_max", 1, kFileSizeBytesMax},
    LimitKey{"tmp_bytes_max", kTmpBytesMin, kTmpBytesMax},
    LimitKey{"tmp_files_max", 1, kTmpFilesMax},
    LimitKey{"io_bytes_per_second_max", kIoBytesPerSecondMin, kIoBytesPerSecondMax},
    LimitKey{"output_bytes_max", 1, limits::kOutputBytesMax},
};

inline constexpr std::size_t kVersionBytesMax = 128;
inline constexpr std::size_t kPathBytesMax = 4095;
inline constexpr std::size_t kArgumentBytesMax = 16 * 1024;
inline constexpr std::size_t kDescriptionBytesMax = 4 * 1024;
inline constexpr std::size_t kAuthorBytesMax = 256;
inline constexpr std::size_t kTagsMax = 32;
inline constexpr std::size_t kTagBytesMax = 64;
inline constexpr std::size_t kDependenciesMax = 64;
inline constexpr std::size_t kRedactMax = 64;
inline constexpr std::size_t kRedactBytesMax = 256;
inline constexpr std::size_t kSecretsMax = 64;

// Lower-case letters, digits, `-` and `_`, a letter first, at most kPluginNameBytesMax; never in the form of a UUID,
// because commands take either.
bool is_plugin_name(std::string_view text);

// The NAME of secret:NAME: letters, digits, `.`, `_` and `-`, at most 255; a file's name, so neither `.` nor `..`.
bool is_secret_name(std::string_view text);

// A whole number in decimal, `maximum` at most, and nothing besides.
bool is_number_to(std::string_view text, unsigned maximum);

// The plugin name nearest to `text`: "My Plugin" gives "my-plugin"; empty where nothing is left of it.
std::string plugin_name_from(std::string_view text);

// A JSON pointer (RFC 6901) below the root: "/user/token"; "~" only as "~0" or "~1".
bool is_json_pointer(std::string_view text);

// Semantic Versioning 2.0.0.
bool is_semver(std::string_view text);

// What a dependency may require: "*" or comparators separated by commas or blanks, each an optional ^ ~ = < <= > >= and
// one to three numbers ("^1.0", ">=1.2, <2").
bool is_version_requirement(std::string_view text);

// .py python; .js, .mjs and .cjs node; .wasm wasm; .sh command; everything else native.
Runtime runtime_guessed_from(std::string_view entry_point);

// By its name in manifests or by an alias of the seeds (javascript, microservice).
std::optional<Runtime> find_runtime(std::string_view name);
std::vector<std::string> runtime_names();

}  // namespace liongate::config
