// Runs a filter program on one system call, as the kernel would; for tests and for showing what a plugin may do.
//
// Ownership and thread: pure function.
#pragma once

#include <linux/seccomp.h>

#include <cstdint>
#include <optional>
#include <span>

#include "sandbox/bpf_compiler.h"

namespace liongate::sandbox {

// The program's answer, SECCOMP_RET_* with its data. Nothing for a program that the kernel would not load: an unknown
// instruction, a read outside the call, or a way that leads past the end.
std::optional<std::uint32_t> evaluate_filter(std::span<const sock_filter> program, const seccomp_data& call);

}  // namespace liongate::sandbox
