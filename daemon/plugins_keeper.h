// Keeps the observers that run what plugins.yaml says: reads it at the start, when it changes and when asked, and
// loads, replaces and unloads entry by entry.
//
// What is compared is the entry as it was read with the entry that the plugin was loaded from, which is in the log: a
// daemon that was down meanwhile finds the same differences, before it starts anything of them again. A file with any
// fault changes nothing. An entry that failed is tried again whenever the file is read, but for one whose files
// changed: that takes reload-plugin.
//
// The file's folder is watched (inotify), so that a file that is replaced, made or removed is seen, too. What a change
// of a symbolic link's target makes of it is seen at the next SIGHUP. A change is looked at when it has settled
// (limits::kPluginsFileSettleMs): editors and scripts write in steps. A file that is gone or has no byte is believed
// after limits::kPluginsFileGoneMs, because unloading an observer forgets how far it was; who means it at once asks
// (SIGHUP, reload-config), or writes `plugins: []`.
//
// An entry that comes back while its plugin is still being unloaded is loaded when that has ended.
//
// Ownership and thread: owned by the daemon; kernel thread. The file is read on a thread of its own, one reading at a
// time. Errors are told to `Handlers` and recorded (PluginsFileRead); the daemon goes on.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "config/plugins_file.h"
#include "kernel/orchestrator/orchestrator.h"

namespace liongate::daemon {

class PluginsKeeper {
 public:
  struct Handlers {
    std::function<void(const std::string&)> warn;
    std::function<void(const std::string&)> inform;
  };
  // What became of a reading: nothing wrong, or the first fault there was (in strict_plugins of the file or not).
  struct Outcome {
    std::optional<Error> fault;
    bool strict = false;  // the file says so itself
  };
  using Done = std::function<void(Outcome)>;

  PluginsKeeper(boost::asio::io_context& kernel_io, orchestrator::Orchestrator& kernel, uid_t owner_uid,
                Handlers handlers);
  ~PluginsKeeper();

  // The file to keep to; empty for none. It is read by read().
  void set_path(const std::string& path);

  // Reads the file and puts it into force. `on_registered` is called when every entry is in the list of plugins or
  // cannot be, `done` when every one runs or has failed.
  void read(const std::string& actor, std::function<void(bool is_strict)> on_registered = nullptr, Done done = nullptr);

  // Only looks whether `path` can be put into force; tells on the kernel thread.
  void check(const std::string& path, std::function<void(Result<void>)> then);

 private:
  struct Reading;

  void watch();
  void wait_for_change();
  void on_change();
  void settle(int wait_ms);
  bool is_gone_for_now(const Reading& reading, const std::string& bytes);
  void unload(const std::shared_ptr<Reading>& reading, const std::string& id, const std::string& plugin_id);
  void record(const v1::PluginsFileRead& read, const std::string& actor);
  void on_read(const std::shared_ptr<Reading>& reading, Result<config::PluginsFile> file, std::string bytes);
  void put_into_force(const std::shared_ptr<Reading>& reading, const config::PluginsFile& file);
  void load(const std::shared_ptr<Reading>& reading, v1::PluginListing listing);
  void entry_registered(const std::shared_ptr<Reading>& reading, const std::string& id);
  void entry_ended(const std::shared_ptr<Reading>& reading, const std::string& id, const std::optional<Error>& fault);
  void finish(const std::shared_ptr<Reading>& reading);

  boost::asio::io_context& kernel_io_;
  orchestrator::Orchestrator& kernel_;
  const uid_t owner_uid_;
  Handlers handlers_;
  std::string path_;
  std::optional<std::string> last_bytes_;  // nothing: not read yet, or not readable
  bool has_resumed_ = false;               // what ran in the life before and still is an entry
  bool is_reading_ = false;
  std::optional<std::string> read_again_;  // somebody asked meanwhile: who
  std::set<std::string> leaving_;          // ids of entries whose plugins are being unloaded
  bool read_when_left_ = false;            // one of them is an entry again
  bool was_gone_ = false;                  // at the last look, which waits for its confirmation
  boost::asio::steady_timer settle_timer_;
  bool is_settling_ = false;
  boost::asio::posix::stream_descriptor changes_;
  boost::asio::thread_pool reader_{1};
};

// What an entry means to the kernel.
v1::PluginListing to_listing(const config::PluginsFile& file, const config::PluginsFileEntry& entry);

}  // namespace liongate::daemon
