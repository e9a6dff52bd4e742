#include "liongate/observer.h"

#include <fcntl.h>
#include <google/protobuf/io/coded_stream.h>

#include <csignal>
#include <cstdio>

#include "sdk/cpp/observer_session.h"
#include "sdk/cpp/session.h"

namespace liongate::plugin {
namespace {

// Field numbers of liongate.v1.Event, which is no lite message.
enum Field : std::uint32_t {
  kSeq = 1,
  kTime = 2,
  kType = 3,
  kPluginId = 4,
  kInstanceId = 5,
  kCorrelationId = 6,
  kActor = 7,
  kPluginName = 8,
  kFirstPayload = 100,
};
enum Wire : std::uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
constexpr std::uint32_t kWireBits = 3;
constexpr int kObserverInputFd = 3;
constexpr int kObserverOutputFd = 4;

using Stream = google::protobuf::io::CodedInputStream;

// Reads a field that is not of length-prefixed bytes.
bool read_number(Stream& stream, std::uint32_t wire, std::uint64_t& value) {
  std::uint32_t half = 0;
  switch (wire) {
    case kVarint:
      return stream.ReadVarint64(&value);
    case kFixed64:
      return stream.ReadLittleEndian64(&value);
    case kFixed32:
      return stream.ReadLittleEndian32(&half);
    default:
      return false;
  }
}

// A google.protobuf.Timestamp.
bool read_time(const std::string& bytes, std::int64_t& time_ns) {
  Stream stream(reinterpret_cast<const std::uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
  std::int64_t parts[3] = {};
  while (const std::uint32_t tag = stream.ReadTag()) {
    std::uint64_t value = 0;
    if (!read_number(stream, tag & ((1U << kWireBits) - 1), value)) return false;
    if (tag >> kWireBits < 3) parts[tag >> kWireBits] = static_cast<std::int64_t>(value);
  }
  time_ns = parts[1] * 1'000'000'000 + parts[2];
  return true;
}

}  // namespace

std::optional<Event> Event::from_bytes(std::string bytes) {
  Event event;
  Stream stream(reinterpret_cast<const std::uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
  while (const std::uint32_t tag = stream.ReadTag()) {
    const std::uint32_t field = tag >> kWireBits;
    const std::uint32_t wire = tag & ((1U << kWireBits) - 1);
    std::uint64_t number = 0;
    if (wire != kBytes) {
      if (!read_number(stream, wire, number)) return std::nullopt;
      if (field == kSeq) event.seq_ = number;
      continue;
    }
    std::uint32_t size = 0;
    if (!stream.ReadVarint32(&size)) return std::nullopt;
    const auto at = static_cast<std::size_t>(stream.CurrentPosition());
    std::string text;
    if (size > bytes.size() - at || !stream.ReadString(&text, static_cast<int>(size))) return std::nullopt;
    if (field >= kFirstPayload) {
      event.payload_field_ = static_cast<int>(field);
      event.payload_at_ = at;
      event.payload_size_ = size;
    }
    switch (field) {
      case kTime:
        if (!read_time(text, event.time_ns_)) return std::nullopt;
        break;
      case kType:
        event.type_ = std::move(text);
        break;
      case kPluginId:
        event.plugin_id_ = std::move(text);
        break;
      case kInstanceId:
        event.instance_id_ = std::move(text);
        break;
      case kCorrelationId:
        event.correlation_id_ = std::move(text);
        break;
      case kActor:
        event.actor_ = std::move(text);
        break;
      case kPluginName:
        event.plugin_name_ = std::move(text);
        break;
      default:
        break;
    }
  }
  if (!stream.ConsumedEntireMessage()) return std::nullopt;
  event.bytes_ = std::move(bytes);
  return event;
}

PluginBase::PluginBase(std::string plugin_id, std::string config_json)
    : plugin_id_(std::move(plugin_id)), config_json_(std::move(config_json)) {}

PluginBase::~PluginBase() = default;

void PluginBase::on_gap(const Gap& gap) {
  std::printf("%s: %llu events (%llu to %llu) are missing: retention removed them\n", plugin_id_.c_str(),
              static_cast<unsigned long long>(gap.count), static_cast<unsigned long long>(gap.first_missing_seq),
              static_cast<unsigned long long>(gap.last_missing_seq));
}

bool PluginBase::wait(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return asked_.wait_for(lock, time, [this] { return stopping(); });
}

void PluginBase::ask_to_stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  asked_.notify_all();
}

int run_observer(const ObserverMaker& make) {
  if (::fcntl(kObserverInputFd, F_GETFD) < 0 || ::fcntl(kObserverOutputFd, F_GETFD) < 0) {
    std::fprintf(stderr, "this is a Liongate observer: name its manifest in plugins.yaml\n");
    return kExitUsage;
  }
  return run_observer(make, kObserverInputFd, kObserverOutputFd);
}

int run_observer(const ObserverMaker& make, int input_fd, int output_fd) {
  std::signal(SIGPIPE, SIG_IGN);  // a daemon that is gone is an error of write(), not the end of this process
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // printed lines belong to the plugin's log, one by one
  return ObserverSession(make, input_fd, output_fd).run();
}

}  // namespace liongate::plugin
