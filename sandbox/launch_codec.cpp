#include <cstring>
#include <limits>

#include "kernel/base/limits.h"
#include "sandbox/launch_protocol.h"

namespace liongate::sandbox {
namespace {

// The first word of a packet. Requests and reports have numbers of their own, so that neither is taken for the other.
enum class Kind : std::uint32_t {
  kLaunch = 1,
  kKill = 2,
  kOpen = 3,
  kCheckHost = 4,
  kDenialRecorded = 5,
  kStarted = 101,
  kExited = 102,
  kOpened = 103,
  kHostReport = 104,
  kDenied = 105,
  kDoorOpened = 106,
};

// Both directions walk the same list of fields (see `fields` below): one visitor writes, the other reads.
class Writer {
 public:
  template <typename T>
  requires std::is_integral_v<T>
  void operator()(T& value) {
    using Unsigned = std::make_unsigned_t<std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, T>>;
    auto rest = static_cast<Unsigned>(value);
    for (std::size_t index = 0; index < sizeof(T); ++index) {
      bytes_.push_back(static_cast<std::byte>(rest & 0xff));
      if constexpr (sizeof(T) > 1) rest = static_cast<Unsigned>(rest >> 8);
    }
  }
  template <typename T>
  requires std::is_enum_v<T>
  void operator()(T& value) {
    auto number = static_cast<std::underlying_type_t<T>>(value);
    (*this)(number);
  }
  void operator()(std::string& text) {
    write_count(text.size());
    const auto* data = reinterpret_cast<const std::byte*>(text.data());
    bytes_.insert(bytes_.end(), data, data + text.size());
  }
  template <typename T>
  void operator()(std::vector<T>& list) {
    write_count(list.size());
    for (T& element : list) write_element(element);
  }
  void write_element(std::string& text) { (*this)(text); }
  template <typename T>
  void write_element(T& element) {
    fields(*this, element);
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  void write_count(std::size_t count) {
    auto number = static_cast<std::uint32_t>(count);
    (*this)(number);
  }
  std::vector<std::byte> bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}

  template <typename T>
  requires std::is_integral_v<T>
  void operator()(T& value) {
    using Unsigned = std::make_unsigned_t<std::conditional_t<std::is_same_v<T, bool>, std::uint8_t, T>>;
    if (!take(sizeof(T))) return;
    Unsigned number = 0;
    for (std::size_t index = 0; index < sizeof(T); ++index) {
      number = static_cast<Unsigned>(number | (static_cast<Unsigned>(taken_[index]) << (8 * index)));
    }
    if constexpr (std::is_same_v<T, bool>) {
      if (number > 1) broken_ = true;
      value = number == 1;
    } else {
      value = static_cast<T>(number);
    }
  }
  void operator()(Access& value) { read_enum(value, Access::kReadWrite); }
  void operator()(Presence& value) { read_enum(value, Presence::kOptional); }
  void operator()(OpenKind& value) { read_enum(value, OpenKind::kFolder); }
  void operator()(EndKind& value) { read_enum(value, EndKind::kSetupFailed); }
  void operator()(std::string& text) {
    std::uint32_t length = 0;
    (*this)(length);
    if (!take(length)) return;
    text.assign(reinterpret_cast<const char*>(taken_.data()), taken_.size());
  }
  template <typename T>
  void operator()(std::vector<T>& list) {
    std::uint32_t count = 0;
    (*this)(count);
    // Every element takes at least the four bytes of a count, so a lying count is refused before any allocation.
    if (broken_ || count > rest_.size() / sizeof(std::uint32_t)) {
      broken_ = true;
      return;
    }
    for (std::uint32_t index = 0; index < count && !broken_; ++index) read_element(list.emplace_back());
  }
  void read_element(std::string& text) { (*this)(text); }
  template <typename T>
  void read_element(T& element) {
    fields(*this, element);
  }
  bool exact() const { return !broken_ && rest_.empty(); }

 private:
  template <typename T>
  void read_enum(T& value, T last) {
    std::uint8_t number = 0;
    (*this)(number);
    if (number > static_cast<std::uint8_t>(last)) broken_ = true;
    value = static_cast<T>(number);
  }
  bool take(std::size_t count) {
    if (broken_ || count > rest_.size()) {
      broken_ = true;
      return false;
    }
    taken_ = rest_.first(count);
    rest_ = rest_.subspan(count);
    return true;
  }
  std::span<const std::byte> rest_;
  std::span<const std::byte> taken_;
  bool broken_ = false;
};

// The fields of each message in the order of launch_protocol.h, once for both directions.
template <typename Visitor, typename... Fields>
void visit_all(Visitor& visit, Fields&... each) {
  (visit(each), ...);
}
void fields(auto& visit, BindMount& it) {
  visit_all(visit, it.source, it.target, it.access, it.presence, it.executable);
}
void fields(auto& visit, SymbolicLink& it) {
  visit_all(visit, it.target, it.link_path);
}
void fields(auto& visit, SyntheticFile& it) {
  visit_all(visit, it.path, it.contents);
}
void fields(auto& visit, SecretFile& it) {
  visit_all(visit, it.name);
}
void fields(auto& visit, GatePort& it) {
  visit_all(visit, it.port);
}
void fields(auto& visit, ResourceLimits& it) {
  visit_all(visit, it.memory_bytes_max, it.cpu_time_s_max, it.file_size_bytes_max, it.processes_max, it.open_files_max,
            it.tmp_bytes_max, it.tmp_files_max, it.cpu_percent_max, it.io_bytes_per_second_max, it.is_background);
}
void fields(auto& visit, LaunchRequest& it) {
  visit_all(visit, it.launch_id, it.name, it.executable, it.arguments, it.environment, it.working_directory, it.binds,
            it.links, it.files, it.secrets);
  fields(visit, it.limits);
  visit_all(visit, it.allow_processes, it.allow_jit, it.allow_network, it.allow_any_port, it.is_trial, it.watch_paths,
            it.gate_ports, it.descriptor_count);
}
void fields(auto& visit, KillRequest& it) {
  visit_all(visit, it.launch_id);
}
void fields(auto& visit, DenialRecordedRequest& it) {
  visit_all(visit, it.launch_id, it.denial_id);
}
void fields(auto& visit, OpenRequest& it) {
  visit_all(visit, it.request_id, it.path, it.kind);
}
void fields(auto&, CheckHostRequest&) {}
void fields(auto& visit, Mechanism& it) {
  visit_all(visit, it.name, it.state, it.detail);
}
void fields(auto& visit, StepTime& it) {
  visit_all(visit, it.step, it.duration_us);
}
void fields(auto& visit, WatchedFolder& it) {
  visit_all(visit, it.watch, it.path);
}
void fields(auto& visit, Started& it) {
  visit_all(visit, it.launch_id, it.pid, it.posture, it.steps, it.watched, it.gate_sockets);
}
void fields(auto& visit, LimitHit& it) {
  visit_all(visit, it.limit, it.limit_value, it.used, it.killed);
}
void fields(auto& visit, Exited& it) {
  visit_all(visit, it.launch_id, it.kind, it.exit_code, it.signal, it.step, it.step_errno, it.argument, it.host_refuses,
            it.cpu_time_us, it.memory_peak_bytes, it.cpu_wait_us, it.memory_wait_us, it.io_wait_us, it.limit_hits);
}
void fields(auto& visit, Denied& it) {
  visit_all(visit, it.launch_id, it.denial_id, it.system_call, it.arguments, it.rule, it.permission, it.answer_errno,
            it.count);
}
void fields(auto& visit, DoorOpened& it) {
  visit_all(visit, it.launch_id, it.port);
}
void fields(auto& visit, Opened& it) {
  visit_all(visit, it.request_id, it.open_errno);
}
void fields(auto& visit, HostMechanism& it) {
  visit_all(visit, it.name, it.available, it.mandatory, it.reason, it.remedy);
}
void fields(auto& visit, HostReport& it) {
  visit_all(visit, it.rootless, it.mechanisms);
}

constexpr Kind kind_of(const LaunchRequest&) {
  return Kind::kLaunch;
}
constexpr Kind kind_of(const KillRequest&) {
  return Kind::kKill;
}
constexpr Kind kind_of(const OpenRequest&) {
  return Kind::kOpen;
}
constexpr Kind kind_of(const CheckHostRequest&) {
  return Kind::kCheckHost;
}
constexpr Kind kind_of(const DenialRecordedRequest&) {
  return Kind::kDenialRecorded;
}
constexpr Kind kind_of(const DoorOpened&) {
  return Kind::kDoorOpened;
}
constexpr Kind kind_of(const Started&) {
  return Kind::kStarted;
}
constexpr Kind kind_of(const Exited&) {
  return Kind::kExited;
}
constexpr Kind kind_of(const Opened&) {
  return Kind::kOpened;
}
constexpr Kind kind_of(const HostReport&) {
  return Kind::kHostReport;
}
constexpr Kind kind_of(const Denied&) {
  return Kind::kDenied;
}

template <typename Message>
Result<std::vector<std::byte>> encode_message(const Message& message) {
  Writer writer;
  std::visit(
      [&writer](auto copy) {
        auto kind = static_cast<std::uint32_t>(kind_of(copy));
        writer(kind);
        fields(writer, copy);
      },
      message);
  std::vector<std::byte> packet = writer.take();
  if (packet.size() > limits::kLaunchMessageBytesMax) {
    return make_error(Reason::kInvalidArgument, "a launcher message of " + std::to_string(packet.size()) +
                                                    " bytes is longer than " +
                                                    std::to_string(limits::kLaunchMessageBytesMax));
  }
  return packet;
}

Error malformed() {
  return make_error(Reason::kInvalidArgument, "a launcher packet does not decode");
}

// Reads the rest of a packet as `Fields`, into the variant `Message`.
template <typename Message, typename Fields>
Result<Message> decode_as(Reader& reader) {
  Fields decoded;
  fields(reader, decoded);
  if (!reader.exact()) return malformed();
  return Message(std::move(decoded));
}

}  // namespace

Result<std::vector<std::byte>> encode(const Request& request) {
  return encode_message(request);
}
Result<std::vector<std::byte>> encode(const Report& report) {
  return encode_message(report);
}

Result<Request> decode_request(std::span<const std::byte> packet) {
  if (packet.size() > limits::kLaunchMessageBytesMax) return malformed();
  Reader reader(packet);
  std::uint32_t kind = 0;
  reader(kind);
  switch (static_cast<Kind>(kind)) {
    case Kind::kLaunch:
      return decode_as<Request, LaunchRequest>(reader);
    case Kind::kKill:
      return decode_as<Request, KillRequest>(reader);
    case Kind::kOpen:
      return decode_as<Request, OpenRequest>(reader);
    case Kind::kCheckHost:
      return decode_as<Request, CheckHostRequest>(reader);
    case Kind::kDenialRecorded:
      return decode_as<Request, DenialRecordedRequest>(reader);
    default:
      return malformed();
  }
}

Result<Report> decode_report(std::span<const std::byte> packet) {
  if (packet.size() > limits::kLaunchMessageBytesMax) return malformed();
  Reader reader(packet);
  std::uint32_t kind = 0;
  reader(kind);
  switch (static_cast<Kind>(kind)) {
    case Kind::kStarted:
      return decode_as<Report, Started>(reader);
    case Kind::kExited:
      return decode_as<Report, Exited>(reader);
    case Kind::kOpened:
      return decode_as<Report, Opened>(reader);
    case Kind::kHostReport:
      return decode_as<Report, HostReport>(reader);
    case Kind::kDenied:
      return decode_as<Report, Denied>(reader);
    case Kind::kDoorOpened:
      return decode_as<Report, DoorOpened>(reader);
    default:
      return malformed();
  }
}

}  // namespace liongate::sandbox
