// The launcher itself: waits for requests and for the ends of sandboxes, and answers. Nothing in it waits for a plugin.
//
// Ownership and thread: the launcher's only thread. Owns every launch; ends when the daemon closes the control socket.
#pragma once

#include <memory>
#include <set>
#include <unordered_map>

#include "sandbox/launch.h"
#include "sandbox/plugin_uids.h"
#include "sandbox/report_queue.h"

namespace liongate::sandbox {

// More sandboxes than plugins, because a command has one for each call. Fewer where the launcher may not open the three
// descriptors that each takes, beside those that requests in hand bring along.
inline constexpr std::size_t kLaunchesMax = 8192;
inline constexpr std::size_t kDescriptorsPerLaunch = 3;
inline constexpr std::size_t kDescriptorsReserved = 256;

class LauncherLoop {
 public:
  // The sockets are borrowed and made non-blocking.
  LauncherLoop(int control_socket, int files_socket, const HostFacts& host, UidRange uids, CgroupTree cgroups);

  // Returns when the daemon is gone, or the error that makes going on senseless (a packet that does not decode).
  Result<void> run();

 private:
  enum class Source : std::uint64_t { kControl, kFiles, kChannel, kEnd, kHostCheck, kDenials };

  struct HostCheck {
    pid_t pid = -1;
    UniqueFd answer;
    SteadyTime deadline;
  };

  Result<void> prepare();
  Result<void> watch(int fd, std::uint32_t events, Source source, std::uint64_t key);
  void unwatch(int fd);
  Result<void> handle(std::uint32_t events, Source source, std::uint64_t key);
  Result<void> read_requests(int socket);
  Result<void> handle_request(Packet packet, int socket);
  Result<void> handle_launch(LaunchRequest request, std::vector<UniqueFd> descriptors);
  Result<void> handle_open(const OpenRequest& request);
  Result<void> begin_host_check();
  Result<void> read_channel(std::uint64_t launch_id);
  Result<void> read_denial(std::uint64_t launch_id, std::uint32_t events);
  Result<void> handle_recorded(const DenialRecordedRequest& request);
  Result<void> finish_launch(std::uint64_t launch_id);
  Result<void> finish_host_check();
  Result<void> rearm_queues();
  DenialListener::MayReport may_report() const;
  void note_deadline(std::uint64_t launch_id);
  int wait_ms() const;
  Result<void> expire_late_ones();
  std::optional<HostIds> take_ids();
  void give_back(HostIds ids);

  HostFacts host_;
  PluginUids uids_;
  NetworkSpare networks_;
  UniqueFd epoll_;
  ReportQueue control_;
  ReportQueue files_;
  CgroupTree cgroups_;
  std::unordered_map<std::uint64_t, Launch> launches_;
  std::set<std::pair<SteadyTime, std::uint64_t>> deadlines_;  // of launches that have one
  std::unordered_map<std::uint64_t, SteadyTime> noted_deadlines_;
  DenialBudget denial_budget_{kDenialsPerSliceMaxOfAll};
  std::optional<HostCheck> host_check_;
  std::size_t launches_max_ = kLaunchesMax;
  bool daemon_gone_ = false;
};

}  // namespace liongate::sandbox
