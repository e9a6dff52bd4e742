#include "config/host_capacity.h"

#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

namespace liongate::config {
namespace {

// A hard limit is the most that a process started from here can have.
std::uint64_t hard_limit(__rlimit_resource resource) {
  struct rlimit limit {};
  return ::getrlimit(resource, &limit) == 0 && limit.rlim_max != RLIM_INFINITY ? limit.rlim_max : 0;
}

}  // namespace

HostCapacity host_capacity() {
  HostCapacity host;
  struct sysinfo info {};
  if (::sysinfo(&info) == 0) host.memory_bytes = static_cast<std::uint64_t>(info.totalram) * info.mem_unit;
  const long cpus = ::sysconf(_SC_NPROCESSORS_ONLN);
  if (cpus > 0) host.cpu_percent = static_cast<std::uint64_t>(cpus) * 100;
  host.open_files = hard_limit(RLIMIT_NOFILE);
  host.processes = hard_limit(RLIMIT_NPROC);
  host.file_size_bytes = hard_limit(RLIMIT_FSIZE);
  return host;
}

}  // namespace liongate::config
