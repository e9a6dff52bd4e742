#include "sandbox/bpf_compiler.h"

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <cstddef>

#include "kernel/base/assert.h"

#ifndef __x86_64__
#error "the filter knows the system calls of x86-64 only"
#endif

namespace liongate::sandbox {
namespace {

constexpr std::uint32_t kNumberOffset = offsetof(seccomp_data, nr);
constexpr std::uint32_t kArchitectureOffset = offsetof(seccomp_data, arch);
constexpr std::size_t kConditionalJumpMax = 255;

using Code = std::vector<sock_filter>;

sock_filter statement(int code, std::uint32_t k) {
  return BPF_STMT(static_cast<std::uint16_t>(code), k);
}
sock_filter jump(int code, std::uint32_t k, std::size_t if_true, std::size_t if_false) {
  LG_ASSERT(if_true <= kConditionalJumpMax && if_false <= kConditionalJumpMax);
  return BPF_JUMP(static_cast<std::uint16_t>(code), k, static_cast<std::uint8_t>(if_true),
                  static_cast<std::uint8_t>(if_false));
}
sock_filter load(std::uint32_t offset) {
  return statement(BPF_LD | BPF_W | BPF_ABS, offset);
}
sock_filter answer(std::uint32_t value) {
  return statement(BPF_RET | BPF_K, value);
}

std::uint32_t low_half_of(std::uint8_t argument) {
  return static_cast<std::uint32_t>(offsetof(seccomp_data, args) + argument * sizeof(std::uint64_t));
}
std::uint32_t high_half_of(std::uint8_t argument) {
  return low_half_of(argument) + static_cast<std::uint32_t>(sizeof(std::uint32_t));
}

// A stretch of call numbers from `first` to the next segment's first, all with the same code.
struct Segment {
  std::uint32_t first;
  const SyscallRule* rule;  // null: a constant answer
  std::uint32_t constant;
};

std::vector<Segment> segments_of(const std::vector<SyscallRule>& rules, std::uint32_t unknown) {
  std::vector<Segment> segments;
  const auto append = [&segments](Segment segment) {
    const bool same = !segments.empty() && segments.back().rule == nullptr && segment.rule == nullptr &&
                      segments.back().constant == segment.constant;
    if (!same) segments.push_back(segment);
  };
  std::uint32_t next = 0;
  for (const SyscallRule& rule : rules) {
    LG_ASSERT(rule.number >= next && rule.number < kX32Bit);
    if (rule.number > next) append({next, nullptr, unknown});
    const bool always = std::ranges::any_of(rule.alternatives, [](const Alternative& it) { return it.empty(); });
    if (always || rule.alternatives.empty()) {
      append({rule.number, nullptr, always ? SECCOMP_RET_ALLOW : rule.otherwise});
    } else {
      append({rule.number, &rule, 0});
    }
    next = rule.number + 1;
  }
  append({next, nullptr, unknown});
  return segments;
}

class Compiler {
 public:
  FilterProgram compile(const std::vector<Segment>& segments) {
    emit({load(kArchitectureOffset), jump(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
          answer(SECCOMP_RET_KILL_PROCESS), load(kNumberOffset), jump(BPF_JMP | BPF_JSET | BPF_K, kX32Bit, 0, 1),
          answer(SECCOMP_RET_KILL_PROCESS)});
    emit_tree(segments.data(), segments.size());
    LG_ASSERT(program_.instructions.size() <= BPF_MAXINSNS);
    return std::move(program_);
  }

 private:
  Code& code() { return program_.instructions; }
  void emit(const Code& more) { code().insert(code().end(), more.begin(), more.end()); }

  void emit_tree(const Segment* segments, std::size_t count) {
    if (count == 1) {
      segments->rule != nullptr ? emit_rule(*segments->rule) : emit({answer(segments->constant)});
      return;
    }
    const std::size_t half = count / 2;
    // The lower half follows at once, and the jump leads over it.
    emit({jump(BPF_JMP | BPF_JGE | BPF_K, segments[half].first, 0, 0)});
    const std::size_t branch = code().size() - 1;
    emit_tree(segments, half);
    const std::size_t distance = code().size() - branch - 1;
    if (distance <= kConditionalJumpMax) {
      code()[branch].jt = static_cast<std::uint8_t>(distance);
    } else {
      lead_over(branch, distance);
    }
    emit_tree(segments + half, count - half);
  }

  // A conditional jump reaches 255 only: an unconditional one goes behind it. What moves jumps within itself.
  void lead_over(std::size_t branch, std::size_t distance) {
    code()[branch].jf = 1;
    code().insert(code().begin() + static_cast<std::ptrdiff_t>(branch) + 1,
                  statement(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(distance)));
    for (SecretSlot& slot : program_.secrets) {
      if (slot.low <= branch) continue;
      ++slot.low;
      ++slot.high;
    }
  }

  void emit_rule(const SyscallRule& rule) {
    for (const Alternative& alternative : rule.alternatives) {
      std::vector<std::size_t> failures;  // jumps to be led behind this alternative
      for (const Condition& condition : alternative) emit_condition(condition, failures);
      emit({answer(SECCOMP_RET_ALLOW)});
      for (const std::size_t at : failures) {
        const std::size_t distance = code().size() - at - 1;
        LG_ASSERT(distance <= kConditionalJumpMax);
        code()[at].jf = static_cast<std::uint8_t>(distance);
      }
    }
    emit({answer(rule.otherwise)});
  }

  void emit_condition(const Condition& condition, std::vector<std::size_t>& failures) {
    LG_ASSERT(condition.argument < 6);
    const auto low = static_cast<std::uint32_t>(condition.value);
    emit({load(low_half_of(condition.argument))});
    if (condition.width == Width::kLow32 && condition.mask != 0xffffffff) {
      emit({statement(BPF_ALU | BPF_AND | BPF_K, condition.mask)});
    }
    failures.push_back(emit_equal(low));
    if (condition.width == Width::kLow32) return;
    emit({load(high_half_of(condition.argument))});
    failures.push_back(emit_equal(static_cast<std::uint32_t>(condition.value >> 32)));
    if (condition.secret < 0) return;
    auto& slot = program_.secrets.at(static_cast<std::size_t>(condition.secret));
    LG_ASSERT(slot.low == 0);
    slot = {failures[failures.size() - 2], failures.back()};
  }

  std::size_t emit_equal(std::uint32_t value) {
    emit({jump(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 0)});
    return code().size() - 1;
  }

  FilterProgram program_;
};

}  // namespace

FilterProgram compile_filter(const std::vector<SyscallRule>& rules, std::uint32_t unknown) {
  return Compiler().compile(segments_of(rules, unknown));
}

void fill_secrets(FilterProgram& program, const std::array<std::uint64_t, kSecretsMax>& values) {
  for (std::size_t index = 0; index < values.size(); ++index) {
    const SecretSlot& slot = program.secrets[index];
    if (slot.low == 0) continue;
    program.instructions[slot.low].k = static_cast<std::uint32_t>(values[index]);
    program.instructions[slot.high].k = static_cast<std::uint32_t>(values[index] >> 32);
  }
}

}  // namespace liongate::sandbox
