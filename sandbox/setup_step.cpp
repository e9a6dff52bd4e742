#include "sandbox/setup_step.h"

#include <array>
#include <cerrno>
#include <utility>

namespace liongate::sandbox {
namespace {

// kHost: without it there is no sandbox. kRequest: the request names something that is not there or not usable.
enum class Blame : std::uint8_t { kHost, kRequest };

struct StepTraits {
  Step step;
  std::string_view words;
  Blame blame;
};

constexpr std::array<StepTraits, kStepCount> kSteps{{
    {Step::kCheckRequest, "check the launch request", Blame::kRequest},
    {Step::kPinGrant, "open the granted path", Blame::kRequest},
    {Step::kCloneGrant, "clone the mount of the granted path", Blame::kHost},
    {Step::kControlGroup, "make the control group", Blame::kHost},
    {Step::kKeepLimit, "keep the limit", Blame::kHost},
    {Step::kCreateNamespaces, "create the namespaces", Blame::kHost},
    {Step::kMapIds, "map the user and group ids", Blame::kHost},
    {Step::kAwaitLauncher, "wait for the launcher", Blame::kRequest},
    {Step::kNetworkGate, "open the doors of the network gate", Blame::kHost},
    {Step::kBecomeUser, "become the sandbox's user", Blame::kHost},
    {Step::kSession, "start a session of its own", Blame::kHost},
    {Step::kHostName, "set the host name", Blame::kHost},
    {Step::kPrivateMounts, "make all mounts private", Blame::kHost},
    {Step::kCompareGrant, "find the granted path again", Blame::kRequest},
    {Step::kNewRoot, "mount the new root", Blame::kHost},
    {Step::kTemporaryFolders, "mount the temporary folders", Blame::kHost},
    {Step::kDevices, "mount the devices", Blame::kHost},
    {Step::kMountPoint, "make the mount point", Blame::kRequest},
    {Step::kBind, "mount the granted path", Blame::kHost},
    {Step::kLandlockRules, "write down what Landlock allows", Blame::kHost},
    {Step::kLink, "make the symbolic link", Blame::kRequest},
    {Step::kSyntheticFile, "write the synthetic file", Blame::kRequest},
    {Step::kSecrets, "make the file of the secret", Blame::kHost},
    {Step::kPrivateSettings, "lower the kernel's limits for the namespaces", Blame::kRequest},
    {Step::kMountProc, "mount the private /proc", Blame::kHost},
    {Step::kPivotRoot, "change to the new root", Blame::kHost},
    {Step::kOpenProgram, "open the program", Blame::kRequest},
    {Step::kOpenInterpreter, "open the script's interpreter", Blame::kRequest},
    {Step::kWorkingFolder, "enter the working folder", Blame::kRequest},
    {Step::kForkProgram, "create the program's process", Blame::kRequest},
    {Step::kDescriptors, "arrange the descriptors", Blame::kRequest},
    {Step::kResourceLimits, "set the resource limits", Blame::kRequest},
    {Step::kDropPrivileges, "drop all privileges", Blame::kHost},
    {Step::kLandlock, "put the Landlock rules in force", Blame::kHost},
    {Step::kSystemCallFilter, "load the system call filter", Blame::kHost},
    {Step::kExecute, "execute the program", Blame::kRequest},
}};

constexpr bool table_is_complete() {
  for (std::size_t index = 0; index < kSteps.size(); ++index) {
    if (static_cast<std::size_t>(kSteps[index].step) != index) return false;
  }
  return true;
}
static_assert(table_is_complete(), "one row for each step, in the order of the enum");

constexpr const char* kStepKey = "step";
constexpr const char* kArgumentKey = "argument";

}  // namespace

std::string_view words_of(Step step) {
  return kSteps[static_cast<std::size_t>(step)].words;
}

bool host_refuses(Step step, int sys_errno) {
  // Out of memory, descriptors or time is a passing want, not a mechanism that the host does not have.
  const bool passing = sys_errno == ENOMEM || sys_errno == EMFILE || sys_errno == ENFILE || sys_errno == ETIMEDOUT;
  return kSteps[static_cast<std::size_t>(step)].blame == Blame::kHost && !passing;
}

Error setup_error(Step step, int sys_errno, const std::string& argument) {
  const Reason reason = host_refuses(step, sys_errno) ? Reason::kSandboxUnavailable : Reason::kLoadFailure;
  return make_errno_error(reason, std::string(words_of(step)) + " " + argument, sys_errno)
      .with(kStepKey, std::to_string(static_cast<std::uint32_t>(step)))
      .with(kArgumentKey, argument);
}

Exited setup_failure(std::uint64_t launch_id, const Error& error) {
  const auto value_of = [&error](const char* key) {
    const auto found = error.metadata.find(key);
    return found == error.metadata.end() ? std::string() : found->second;
  };
  const std::string step_text = value_of(kStepKey);
  LG_ASSERT(!step_text.empty());
  const auto step = static_cast<Step>(std::stoul(step_text));
  Exited exited;
  exited.launch_id = launch_id;
  exited.kind = EndKind::kSetupFailed;
  exited.step = words_of(step);
  exited.step_errno = error.sys_errno;
  exited.argument = value_of(kArgumentKey);
  exited.host_refuses = host_refuses(step, error.sys_errno);
  return exited;
}

}  // namespace liongate::sandbox
