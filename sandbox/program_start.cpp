#include "sandbox/program_start.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "kernel/base/limits.h"
#include "sandbox/landlock.h"
#include "sandbox/privileges.h"
#include "sandbox/rlimits.h"
#include "sandbox/script_line.h"
#include "sandbox/seccomp_filter.h"

namespace liongate::sandbox {
namespace {

constexpr int kSetDenyWriteExecute = 65;  // PR_SET_MDWE, Linux 6.3
constexpr unsigned long kRefuseExecGain = 1;
constexpr int kSignalsEnd = 65;

// Addresses a user process may map, in pages: 47 bits less the first and last gigabyte.
constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kPageFirst = (1ULL << 30) / kPageBytes;
constexpr std::uint64_t kPageEnd = ((1ULL << 47) - (1ULL << 30)) / kPageBytes;
constexpr int kPlacementTriesMax = 64;

// Opens the file for reading and executing. The kernel checks the permission to execute at exec; a script is never
// exec'ed itself, so it is checked here for both.
UniqueFd open_executable(const std::string& path, SetupReporter& reporter) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  // A program may be executable without being readable.
  if (!fd.valid() && errno == EACCES) fd.reset(::open(path.c_str(), O_PATH | O_CLOEXEC));
  reporter.require(fd.valid(), path);
  struct stat info {};
  reporter.require(::fstat(fd.get(), &info) == 0, path);
  if (!S_ISREG(info.st_mode)) reporter.fail(S_ISDIR(info.st_mode) ? EISDIR : EACCES, path);
  // Without the effective-id flag the real id is asked, which is the same here; older kernels know no other way.
  reporter.require(::access(path.c_str(), X_OK) == 0, path);
  return fd;
}

std::string read_head(const UniqueFd& fd) {
  std::string head(kScriptLineBytesMax, '\0');
  const ssize_t got = ::pread(fd.get(), head.data(), head.size(), 0);
  head.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return head;
}

// Memory at an address that nothing but this call knows.
char* map_at_secret_place(std::size_t bytes) {
  for (int tries = 0; tries < kPlacementTriesMax; ++tries) {
    std::uint64_t random[2];
    if (::getrandom(random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) return nullptr;
    const std::uint64_t page = kPageFirst + random[0] % (kPageEnd - kPageFirst);
    // Room for the contents and for an offset within the first page, a multiple of a pointer's size.
    const std::uint64_t offset = random[1] % (kPageBytes / sizeof(char*)) * sizeof(char*);
    void* const place = ::mmap(reinterpret_cast<void*>(page * kPageBytes), offset + bytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (place != MAP_FAILED) return static_cast<char*>(place) + offset;
    if (errno != EEXIST && errno != ENOMEM) return nullptr;
  }
  return nullptr;
}

// A null-terminated array of pointers to `strings`, at a secret place.
char** secret_list(const std::vector<std::string>& strings) {
  auto** list = reinterpret_cast<char**>(map_at_secret_place((strings.size() + 1) * sizeof(char*)));
  if (list == nullptr) return nullptr;
  for (std::size_t index = 0; index < strings.size(); ++index) list[index] = const_cast<char*>(strings[index].c_str());
  return list;
}

struct ExecArguments {
  char* path;
  char** arguments;
  char** environment;
};

void reset_signals() {
  for (int signal = 1; signal < kSignalsEnd; ++signal) ::signal(signal, SIG_DFL);  // some cannot be set: left alone
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

struct Places {
  int executable;
  int landlock_rules;
};

// Puts the passed descriptors at 0..n-1; the program's file, the report socket and the rules follow, close at exec.
Places arrange_descriptors(const std::vector<UniqueFd>& passed, int executable, int landlock_rules,
                           SetupReporter& reporter) {
  reporter.begin(Step::kDescriptors);
  // Above every place that is about to be filled.
  const int parking = static_cast<int>(passed.size()) + 3;
  const auto park = [&reporter, parking](int fd) {
    const int parked = ::fcntl(fd, F_DUPFD_CLOEXEC, parking);
    reporter.require(parked >= 0, "descriptor " + std::to_string(fd));
    return parked;
  };
  std::vector<int> parked;
  for (const UniqueFd& fd : passed) parked.push_back(park(fd.get()));
  const int parked_executable = park(executable);
  reporter.move_to(park(reporter.socket()));
  const int parked_rules = landlock_rules >= 0 ? park(landlock_rules) : -1;
  int place = 0;
  for (const int fd : parked) reporter.require(::dup2(fd, place++) >= 0);
  Places places{place++, -1};
  reporter.require(::dup3(parked_executable, places.executable, O_CLOEXEC) >= 0);
  reporter.require(::dup3(reporter.socket(), place, O_CLOEXEC) >= 0);
  reporter.move_to(place++);
  if (parked_rules >= 0) {
    places.landlock_rules = place++;
    reporter.require(::dup3(parked_rules, places.landlock_rules, O_CLOEXEC) >= 0);
  }
  reporter.require(::syscall(SYS_close_range, place, ~0U, 0) == 0);
  return places;
}

void give_up_privileges(SetupReporter& reporter, bool allow_jit) {
  reporter.begin(Step::kDropPrivileges);
  reporter.require(drop_all_capabilities(), "capabilities");
  // Credential changes clear it. pid 1 is the parent; its death ends the namespace anyway.
  reporter.require(::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "parent death signal");
  reporter.require(set_no_new_privileges(), "no new privileges");
  if (!allow_jit && ::prctl(kSetDenyWriteExecute, kRefuseExecGain, 0, 0, 0) == 0) {
    reporter.gained(Gained::kDenyWriteExecute);
  }
  const SpeculationControl speculation = disable_store_bypass();
  if (speculation == SpeculationControl::kDisabled) reporter.gained(Gained::kNoStoreBypass);
  if (speculation == SpeculationControl::kNotAffected) reporter.gained(Gained::kStoreBypassHarmless);
}

ExecArguments hide_exec_arguments(const Program& program, const LaunchRequest& request, SetupReporter& reporter) {
  ExecArguments hidden{map_at_secret_place(1), secret_list(program.arguments), secret_list(request.environment)};
  reporter.require(hidden.path != nullptr && hidden.arguments != nullptr && hidden.environment != nullptr);
  *hidden.path = '\0';
  return hidden;
}

FilterProgram filter_with_secrets(const LaunchRequest& request, const ExecArguments& hidden) {
  FilterProgram filter = filter_for(permissions_of(request));
  std::array<std::uint64_t, kSecretsMax> secrets{};
  secrets[kSecretPath] = reinterpret_cast<std::uintptr_t>(hidden.path);
  secrets[kSecretArguments] = reinterpret_cast<std::uintptr_t>(hidden.arguments);
  secrets[kSecretEnvironment] = reinterpret_cast<std::uintptr_t>(hidden.environment);
  fill_secrets(filter, secrets);
  return filter;
}

}  // namespace

Program open_program(const LaunchRequest& request, SetupReporter& reporter) {
  reporter.begin(Step::kOpenProgram);
  Program program{open_executable(request.executable, reporter), request.arguments};
  std::string path = request.executable;
  for (int depth = 0; is_script(read_head(program.executable)); ++depth) {
    const auto line = parse_script_line(read_head(program.executable));
    if (!line) reporter.fail(ENOEXEC, path);
    if (depth == kScriptDepthMax) reporter.fail(ELOOP, path);
    // As the kernel does it: the interpreter, its argument, the script, what was given to the script.
    if (!program.arguments.empty()) program.arguments.erase(program.arguments.begin());
    program.arguments.insert(program.arguments.begin(), path);
    if (!line->argument.empty()) program.arguments.insert(program.arguments.begin(), line->argument);
    program.arguments.insert(program.arguments.begin(), line->interpreter);
    reporter.begin(Step::kOpenInterpreter);
    path = line->interpreter;
    program.executable = open_executable(path, reporter);
  }
  return program;
}

void start_program(const SandboxPlan& plan, const Program& program, int landlock_rules, SetupReporter& reporter) {
  const LaunchRequest& request = plan.request;
  reset_signals();
  ::umask(077);
  const Places places = arrange_descriptors(plan.descriptors, program.executable.get(), landlock_rules, reporter);
  const ExecArguments hidden = hide_exec_arguments(program, request, reporter);
  const FilterProgram filter = filter_with_secrets(request, hidden);
  give_up_privileges(reporter, request.allow_jit);
  // Limits after everything that needs memory or descriptors of ours.
  reporter.begin(Step::kResourceLimits);
  const auto keeper = plan.cgroup ? LimitKeeper::kControlGroup : LimitKeeper::kResourceLimits;
  reporter.require(set_resource_limits(request, keeper));
  reporter.begin(Step::kLandlock);
  if (places.landlock_rules >= 0) {
    reporter.require(restrict_by_landlock(places.landlock_rules));
    reporter.gained(Gained::kLandlock);
  }
  reporter.begin(Step::kSystemCallFilter);
  UniqueFd listener;
  reporter.require(load_filter_with_listener(filter, listener));
  reporter.require(set_open_files_limit(request), "open files");
  if (listener.valid()) reporter.gained(Gained::kDenialReports);
  reporter.ready_to_execute(listener);
  listener.reset();
  if (request.is_trial) ::_exit(0);
  reporter.begin(Step::kExecute);
  ::syscall(SYS_execveat, places.executable, hidden.path, hidden.arguments, hidden.environment, AT_EMPTY_PATH);
  reporter.fail(errno, request.executable);
}

}  // namespace liongate::sandbox
