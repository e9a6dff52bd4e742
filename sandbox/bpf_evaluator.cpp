#include "sandbox/bpf_evaluator.h"

#include <cstring>

namespace liongate::sandbox {

std::optional<std::uint32_t> evaluate_filter(std::span<const sock_filter> program, const seccomp_data& call) {
  std::uint32_t accumulator = 0;
  for (std::size_t at = 0; at < program.size(); ++at) {
    const sock_filter& it = program[at];
    const auto branch = [&](bool taken) { at += taken ? it.jt : it.jf; };
    switch (it.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (it.k % sizeof accumulator != 0 || it.k + sizeof accumulator > sizeof call) return std::nullopt;
        std::memcpy(&accumulator, reinterpret_cast<const std::byte*>(&call) + it.k, sizeof accumulator);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        accumulator &= it.k;
        break;
      case BPF_JMP | BPF_JA:
        at += it.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        branch(accumulator == it.k);
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        branch(accumulator >= it.k);
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        branch((accumulator & it.k) != 0);
        break;
      case BPF_RET | BPF_K:
        return it.k;
      default:
        return std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace liongate::sandbox
