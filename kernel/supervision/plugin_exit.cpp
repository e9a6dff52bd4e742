#include "kernel/supervision/plugin_exit.h"

#include <cerrno>
#include <csignal>
#include <cstring>

namespace liongate::supervision {

std::string describe(const PluginExit& exit) {
  switch (exit.kind) {
    case ExitKind::kExited:
      return "exited with status " + std::to_string(exit.exit_code);
    case ExitKind::kSignalled: {
      if (exit.signal == SIGSYS) return "was killed: it called the kernel by another ABI (i386 or x32)";
      const char* description = ::sigdescr_np(exit.signal);
      return "was killed by signal " + std::to_string(exit.signal) + " (" +
             (description != nullptr ? description : "unknown") + ")" +
             (exit.in_setup ? " while its sandbox was set up" : "");
    }
    case ExitKind::kSetupFailed:
      return "could not be started: " + exit.step + ": " + std::strerror(exit.step_errno);
    case ExitKind::kLauncherLost:
      return "ended because liongate-launcher ended";
  }
  return "ended";
}

v1::ExitStatus to_message(const PluginExit& exit) {
  v1::ExitStatus status;
  switch (exit.kind) {
    case ExitKind::kExited:
      status.set_kind("exited");
      break;
    case ExitKind::kSignalled:
      status.set_kind("signalled");
      break;
    case ExitKind::kSetupFailed:
      status.set_kind("setup_failed");
      break;
    case ExitKind::kLauncherLost:
      status.set_kind("launcher_lost");
      break;
  }
  status.set_exit_code(exit.exit_code);
  status.set_signal(exit.signal);
  status.set_detail(describe(exit));
  status.set_cpu_time_ms(static_cast<double>(exit.cpu_time_us) / 1000.0);
  status.set_memory_peak_bytes(exit.memory_peak_bytes);
  status.set_cpu_wait_ms(static_cast<double>(exit.cpu_wait_us) / 1000.0);
  status.set_memory_wait_ms(static_cast<double>(exit.memory_wait_us) / 1000.0);
  status.set_io_wait_ms(static_cast<double>(exit.io_wait_us) / 1000.0);
  for (const v1::LimitHit& hit : exit.limit_hits) *status.add_limit_hits() = hit;
  return status;
}

bool is_passing(int sys_errno) {
  switch (sys_errno) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
    case ETIMEDOUT:
      return true;
    default:
      return false;
  }
}

Error load_error(const std::string& name, const PluginExit& exit) {
  const std::string message = "plugin " + name + " " + describe(exit);
  if (exit.kind == ExitKind::kSetupFailed && exit.host_refuses) {
    return make_error(Reason::kSandboxUnavailable, message)
        .with_hint(exit.limit_is_unkept
                       ? "leave the limit out, give liongated a control group (`liongatectl check-host`), or "
                         "accept that it is not kept: allow_degraded: [cgroup_limits] in its configuration"
                       : "`liongatectl check-host` shows what this host lacks and the remedy")
        .with("step", exit.step);
  }
  if (exit.kind == ExitKind::kLauncherLost) {
    return make_error(Reason::kSandboxUnavailable, message).with_hint("restart liongated");
  }
  Error error = make_error(Reason::kLoadFailure, message);
  if (exit.kind == ExitKind::kSetupFailed) {
    error.metadata["step"] = exit.step;
    if (exit.step_errno == ENOEXEC) {
      error.hint = "the file is neither an executable for this machine nor a script with a #! line";
    } else if (exit.step_errno == EACCES) {
      error.hint = "the plugin's user must be able to read and execute its files: check their modes";
    } else if (exit.step_errno == ENOENT) {
      error.hint = "the program, its interpreter (#! line) or a granted path does not exist";
    } else if (exit.step_errno == ELOOP) {
      error.hint = "grant the path a symbolic link leads to, not the link";
    }
  } else {
    error.hint = "a plugin must read Hello from fd 3 and answer Ready on fd 4; see docs/plugin-authors.md";
  }
  return error;
}

}  // namespace liongate::supervision
