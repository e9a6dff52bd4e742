#include "daemon/plugins_keeper.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>

#include "config/faults.h"
#include "kernel/base/sys.h"
#include "kernel/lifecycle/transition.h"

namespace liongate::daemon {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

constexpr std::uint32_t kChanges = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE;

// The same entry: where in the file it stands does not count.
bool is_same(v1::PluginListing one, v1::PluginListing other) {
  one.clear_line();
  other.clear_line();
  return one.SerializeAsString() == other.SerializeAsString();
}

void set_limit(v1::ManifestLimits& limits, const std::string& name, std::uint64_t value) {
  const auto* field = limits.GetDescriptor()->FindFieldByName(name);
  LG_ASSERT(field != nullptr);
  if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_UINT32) {
    limits.GetReflection()->SetUInt32(&limits, field, static_cast<std::uint32_t>(value));
  } else {
    limits.GetReflection()->SetUInt64(&limits, field, value);
  }
}

}  // namespace

struct PluginsKeeper::Reading {
  std::string actor;
  bool is_asked = true;  // not only because the file changed
  std::function<void(bool)> on_registered;
  Done done;
  std::set<std::string> unregistered;
  std::set<std::string> unended;
  std::map<std::string, std::uint32_t> lines;  // of the file, by id
  bool is_registered = false;
  Outcome outcome;
};

v1::PluginListing to_listing(const config::PluginsFile& file, const config::PluginsFileEntry& entry) {
  v1::PluginListing listing;
  listing.set_file(file.path);
  listing.set_id(entry.id);
  listing.set_module(entry.module);
  listing.set_config_json(entry.config_json);
  listing.set_description(entry.description);
  listing.set_line(static_cast<std::uint32_t>(entry.line));
  v1::ObserverSettings& observer = *listing.mutable_observer();
  for (const std::string& type : entry.observer.types) observer.add_types(type);
  observer.set_plugin(entry.observer.plugin);
  observer.set_correlation_id(entry.observer.correlation_id);
  observer.set_start(entry.observer.start);
  observer.set_ack_timeout_ms(entry.observer.ack_timeout_ms);
  observer.set_retries(entry.observer.retries);
  observer.set_on_error(entry.observer.on_error);
  for (const std::string& permission : entry.permissions) listing.add_permissions(permission);
  for (const auto& [name, value] : entry.limits) set_limit(*listing.mutable_limits(), name, value);
  for (const std::string& folder : file.module_folders) listing.add_module_folders(folder);
  return listing;
}

PluginsKeeper::PluginsKeeper(asio::io_context& kernel_io, orchestrator::Orchestrator& kernel, uid_t owner_uid,
                             Handlers handlers)
    : kernel_io_(kernel_io),
      kernel_(kernel),
      owner_uid_(owner_uid),
      handlers_(std::move(handlers)),
      settle_timer_(kernel_io),
      changes_(kernel_io) {
  asio::post(reader_, [] { sys::name_thread("plugins-file"); });
}

PluginsKeeper::~PluginsKeeper() {
  reader_.stop();
  reader_.join();
}

void PluginsKeeper::set_path(const std::string& path) {
  if (path == path_) return;
  path_ = path;
  last_bytes_.reset();
  watch();
}

// --- the file changes ---

void PluginsKeeper::watch() {
  boost::system::error_code ignored;
  changes_.close(ignored);
  if (path_.empty()) return;
  UniqueFd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  const std::string folder = fs::path(path_).parent_path().string();
  if (!fd || ::inotify_add_watch(fd.get(), folder.c_str(), kChanges | IN_ONLYDIR) < 0) {
    // No such folder: then there is no file either, and SIGHUP looks again.
    if (errno != ENOENT) {
      handlers_.warn(folder + " cannot be watched (" + std::strerror(errno) +
                     "): changes of plugins.yaml take a SIGHUP");
    }
    return;
  }
  changes_.assign(fd.release(), ignored);
  wait_for_change();
}

void PluginsKeeper::wait_for_change() {
  changes_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (!error) on_change();
  });
}

void PluginsKeeper::on_change() {
  const std::string name = fs::path(path_).filename().string();
  bool is_ours = false;
  bool is_gone = false;
  alignas(inotify_event) std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t got = ::read(changes_.native_handle(), buffer.data(), buffer.size());
    if (got <= 0) break;
    for (std::size_t at = 0; at + sizeof(inotify_event) <= static_cast<std::size_t>(got);) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const char* const changed = buffer.data() + at + sizeof event;
      is_gone = is_gone || (event.mask & IN_IGNORED) != 0;
      // A link named ..data is how containers exchange a whole folder of configuration.
      is_ours = is_ours || (event.len > 0 && (name == changed || std::strcmp(changed, "..data") == 0)) ||
                (event.mask & IN_Q_OVERFLOW) != 0;
      at += sizeof event + event.len;
    }
  }
  if (is_gone) {
    watch();
  } else {
    wait_for_change();
  }
  if (!is_ours && !is_gone) return;
  was_gone_ = false;  // what was seen then has changed
  settle(limits::kPluginsFileSettleMs);
}

void PluginsKeeper::settle(int wait_ms) {
  // Not put off by further changes: a file that is written again and again is looked at, too.
  if (is_settling_ && wait_ms <= limits::kPluginsFileSettleMs &&
      settle_timer_.expiry() <= asio::steady_timer::clock_type::now() + std::chrono::milliseconds(wait_ms)) {
    return;
  }
  is_settling_ = true;
  settle_timer_.expires_after(std::chrono::milliseconds(wait_ms));
  settle_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    is_settling_ = false;
    read("");
  });
}

// --- reading ---

void PluginsKeeper::read(const std::string& actor, std::function<void(bool)> on_registered, Done done) {
  if (is_reading_) {
    // What is read now may be older than what made somebody ask.
    if (!read_again_ || !actor.empty()) read_again_ = actor;
    if (on_registered) on_registered(false);
    if (done) done({});
    return;
  }
  auto reading = std::make_shared<Reading>();
  reading->is_asked = !actor.empty();
  reading->actor = actor.empty() ? "system" : actor;
  reading->on_registered = std::move(on_registered);
  reading->done = std::move(done);
  if (reading->is_asked && !changes_.is_open()) watch();
  is_reading_ = true;
  asio::post(reader_, [this, reading, path = path_] {
    std::string bytes;
    Result<config::PluginsFile> file = path.empty() ? config::PluginsFile{} : config::load_plugins_file(path, &bytes);
    asio::post(kernel_io_, [this, reading, file = std::move(file), bytes = std::move(bytes)]() mutable {
      on_read(reading, std::move(file), std::move(bytes));
    });
  });
}

void PluginsKeeper::check(const std::string& path, std::function<void(Result<void>)> then) {
  asio::post(reader_, [this, path, then = std::move(then)]() mutable {
    Result<config::PluginsFile> file = path.empty() ? config::PluginsFile{} : config::load_plugins_file(path, nullptr);
    Result<void> checked;
    if (!file) checked = std::move(file).error();
    asio::post(kernel_io_, [then = std::move(then), checked = std::move(checked)] { then(checked); });
  });
}

// True where a change left no file, or an empty one, for the first time: that is looked at once more.
bool PluginsKeeper::is_gone_for_now(const Reading& reading, const std::string& bytes) {
  if (reading.is_asked || !bytes.empty() || was_gone_ || kernel_.list_listed().empty()) return false;
  was_gone_ = true;
  settle(limits::kPluginsFileGoneMs);
  return true;
}

void PluginsKeeper::on_read(const std::shared_ptr<Reading>& reading, Result<config::PluginsFile> file,
                            std::string bytes) {
  const bool is_known = file && last_bytes_ && *last_bytes_ == bytes;
  if (is_known && !reading->is_asked) {  // touched, not changed
    finish(reading);
    return;
  }
  if (!file) {
    v1::PluginsFileRead read;
    read.set_path(path_);
    read.set_error(file.error().message);
    record(read, reading->actor);
    handlers_.warn("plugins.yaml is refused, what is in force stays:\n" + file.error().message);
    last_bytes_.reset();
    reading->outcome.fault = std::move(file).error();
    if (!std::exchange(has_resumed_, true)) {
      for (const auto& listed : kernel_.list_listed()) kernel_.resume_listed(listed.id.str());
    }
    finish(reading);
    return;
  }
  if (is_gone_for_now(*reading, bytes)) {
    finish(reading);
    return;
  }
  was_gone_ = false;
  last_bytes_ = std::move(bytes);
  reading->outcome.strict = file->strict;
  put_into_force(reading, *file);
}

void PluginsKeeper::put_into_force(const std::shared_ptr<Reading>& reading, const config::PluginsFile& file) {
  std::map<std::string, orchestrator::Orchestrator::Listed> present;
  for (auto& listed : kernel_.list_listed()) present.emplace(listed.loaded->listing().id(), listed);
  v1::PluginsFileRead read;
  read.set_path(path_);
  for (const std::string& warning : file.warnings) {
    if (static_cast<std::size_t>(read.warnings_size()) < config::kFaultsShownMax) {
      read.add_warnings(warning);
      handlers_.warn(warning);
    }
  }
  if (file.warnings.size() > config::kFaultsShownMax) {
    const std::string rest = "and " + std::to_string(file.warnings.size() - config::kFaultsShownMax) + " more warnings";
    read.add_warnings(rest);
    handlers_.warn("plugins.yaml: " + rest);
  }
  std::vector<v1::PluginListing> to_load;
  for (const config::PluginsFileEntry& entry : file.entries) {
    if (!entry.enabled) continue;
    v1::PluginListing listing = to_listing(file, entry);
    const auto found = present.find(entry.id);
    if (found == present.end()) {
      read.add_added(entry.id);
      to_load.push_back(std::move(listing));
      continue;
    }
    if (leaving_.contains(entry.id)) {
      read_when_left_ = true;
      present.erase(found);
      continue;
    }
    const bool is_changed = !is_same(found->second.loaded->listing(), listing);
    const bool has_failed = found->second.state == lifecycle::State::kFailed &&
                            found->second.state_reason != traits_of(Reason::kEntryPointChanged).name;
    if (is_changed) read.add_changed(entry.id);
    if (is_changed || has_failed) {
      to_load.push_back(std::move(listing));
    } else if (!has_resumed_) {
      kernel_.resume_listed(found->second.id.str());
    }
    present.erase(found);
  }
  has_resumed_ = true;
  std::erase_if(present, [this](const auto& one) { return leaving_.contains(one.first); });
  for (const auto& [id, listed] : present) read.add_removed(id);
  if (read.added_size() + read.changed_size() + read.removed_size() + read.warnings_size() > 0) {
    record(read, reading->actor);
    handlers_.inform("plugins.yaml: " + std::to_string(read.added_size()) + " added, " +
                     std::to_string(read.changed_size()) + " changed, " + std::to_string(read.removed_size()) +
                     " removed");
  }
  for (const v1::PluginListing& listing : to_load) {
    reading->unregistered.insert(listing.id());
    reading->unended.insert(listing.id());
    reading->lines.emplace(listing.id(), listing.line());
  }
  for (const auto& [id, listed] : present) unload(reading, id, listed.id.str());
  for (v1::PluginListing& listing : to_load) load(reading, std::move(listing));
  entry_registered(reading, "");
  if (reading->unended.empty()) finish(reading);
}

void PluginsKeeper::unload(const std::shared_ptr<Reading>& reading, const std::string& id,
                           const std::string& plugin_id) {
  const std::string key = "unload " + id;
  reading->unended.insert(key);
  leaving_.insert(id);
  kernel_.unload(plugin_id, reading->actor, [this, reading, key, id](const Result<v1::Plugin>& unloaded) {
    leaving_.erase(id);
    if (!unloaded) handlers_.warn("plugins.yaml: plugin " + id + " cannot be unloaded: " + unloaded.error().message);
    entry_ended(reading, key, std::nullopt);
    if (leaving_.empty() && std::exchange(read_when_left_, false)) read("system");
  });
}

void PluginsKeeper::record(const v1::PluginsFileRead& read, const std::string& actor) {
  if (const Result<void> recorded = kernel_.record_plugins_file(read, actor); !recorded) {
    handlers_.warn("the reading of plugins.yaml is not in the log: " + recorded.error().message);
  }
}

void PluginsKeeper::load(const std::shared_ptr<Reading>& reading, v1::PluginListing listing) {
  const std::string id = listing.id();
  orchestrator::LoadRequest request;
  request.source.caller_uid = owner_uid_;
  request.source.listing = std::move(listing);
  request.actor = reading->actor;
  // The operator wrote the entry: what it asks for now is what they want now.
  request.consent = orchestrator::Consent::kGiven;
  // Only ever over an entry: whoever loaded a plugin of that name by hand keeps it.
  for (const auto& listed : kernel_.list_listed()) {
    if (listed.loaded->listing().id() == id) request.on_duplicate = orchestrator::OnDuplicate::kReplace;
  }
  request.on_registered = [this, reading, id] { entry_registered(reading, id); };
  kernel_.load(std::move(request), [this, reading, id](const Result<v1::Plugin>& loaded) {
    entry_ended(reading, id, loaded ? std::nullopt : std::optional<Error>(loaded.error()));
  });
}

void PluginsKeeper::entry_registered(const std::shared_ptr<Reading>& reading, const std::string& id) {
  reading->unregistered.erase(id);
  if (!reading->unregistered.empty() || reading->is_registered) return;
  reading->is_registered = true;
  if (reading->on_registered) std::exchange(reading->on_registered, nullptr)(reading->outcome.strict);
  // From here on the list of plugins has all of it: the next reading can be compared with that.
  is_reading_ = false;
  if (const auto again = std::exchange(read_again_, std::nullopt)) read(*again);
}

void PluginsKeeper::entry_ended(const std::shared_ptr<Reading>& reading, const std::string& id,
                                const std::optional<Error>& fault) {
  if (fault) {
    const std::string subject = "plugin " + id + ": ";
    const Error told = fault->message.starts_with(subject) ? *fault : Error(*fault).in("plugin " + id);
    const auto line = reading->lines.find(id);
    handlers_.warn(path_ + (line == reading->lines.end() ? "" : ":" + std::to_string(line->second)) + ": " +
                   told.message + " (" + std::string(told.reason_name()) + ")" +
                   (told.hint.empty() ? "" : "; " + told.hint));
    if (!reading->outcome.fault) reading->outcome.fault = told;
  }
  entry_registered(reading, id);
  if (reading->unended.erase(id) > 0 && reading->unended.empty()) finish(reading);
}

void PluginsKeeper::finish(const std::shared_ptr<Reading>& reading) {
  entry_registered(reading, "");
  if (reading->done) std::exchange(reading->done, nullptr)(reading->outcome);
}

}  // namespace liongate::daemon
