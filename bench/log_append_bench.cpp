// Durable appends a second at 1, 64 and 1024 events a commit: through the event log, with and without a key that signs
// checkpoints, and by raw write and fdatasync of as many bytes on a file written in advance.
//
// Usage: bench_log_append FOLDER SECONDS      FOLDER is made on the disk in question and removed; SECONDS for each
// point

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "bench/measurement.h"
#include "bench/sample_event.h"
#include "kernel/base/clock.h"
#include "kernel/base/unique_fd.h"
#include "kernel/event_log/event_log.h"

namespace liongate::bench {
namespace {

using event_log::EventLog;
using event_log::RecordUse;
using event_log::SyncClass;

constexpr std::uint64_t kRawFileBytes = 64ULL * 1024 * 1024;
constexpr std::size_t kRecordHeaderBytes = 24;
constexpr int kAppendsWithoutWaiting = 60'000;  // within the log's queue

template <typename T>
T must(Result<T> result) {
  if (!result) give_up("bench_log_append: " + result.error().message);
  return std::move(result).value();
}

struct Point {
  double events_per_s = 0;
  Samples commits;
};

// Runs `commit` until the time is over.
template <typename Commit>
Point measure(int batch, double seconds, Commit commit) {
  Point point;
  const std::uint64_t begin = now_ns();
  const std::uint64_t end = begin + static_cast<std::uint64_t>(seconds * 1e9);
  std::uint64_t now = begin;
  while (now < end) {
    commit();
    const std::uint64_t done = now_ns();
    point.commits.add_ns(done - now);
    now = done;
  }
  point.events_per_s = static_cast<double>(point.commits.count()) * batch / (static_cast<double>(now - begin) / 1e9);
  return point;
}

// The bytes that a batch of the log has on disk, with nobody in between.
Point measure_raw(const std::string& folder, int batch, double seconds, std::size_t record_bytes) {
  const std::string path = folder + "/raw";
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const std::vector<char> zeros(1U << 20);
  for (std::uint64_t at = 0; at < kRawFileBytes; at += zeros.size()) {
    if (::pwrite(file.get(), zeros.data(), zeros.size(), static_cast<off_t>(at)) < 0) give_up("cannot write " + path);
  }
  if (::fsync(file.get()) != 0) give_up("fsync " + path);
  const std::vector<char> bytes(record_bytes * static_cast<std::size_t>(batch), 'r');
  std::uint64_t at = 0;
  Point point = measure(batch, seconds, [&] {
    if (at + bytes.size() > kRawFileBytes) at = 0;
    if (::pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(at)) < 0) give_up("write " + path);
    if (::fdatasync(file.get()) != 0) give_up("fdatasync " + path);
    at += bytes.size();
  });
  ::unlink(path.c_str());
  return point;
}

enum class Signing { kOff, kOn };

// With a key checkpoints are made every second, sixty times as often as the daemon does.
Point measure_log(const std::string& folder, int batch, double seconds, Signing mode) {
  const SystemClock clock;
  std::atomic<EventSeq> durable{0};
  event_log::Handlers handlers;
  handlers.on_durable = [&durable](EventSeq seq) {
    durable.store(seq);
    durable.notify_one();
  };
  handlers.on_fatal = [](const Error& error) { give_up(error.message); };
  event_log::Options options;
  options.folder = folder;
  if (mode == Signing::kOn) {
    options.checkpoint_interval = std::chrono::seconds(1);
    options.open_key = [keys = folder + "-keys"](const signing::SigningLog& asks) {
      return signing::open_log_key(keys, asks);
    };
  }
  auto log = must(EventLog::open(options, handlers, clock));
  v1::Event event = sample_event(0);
  Point point = measure(batch, seconds, [&] {
    EventSeq seq = 0;
    // Only the last one asks for the sync, as a caller does that hands over a batch.
    for (int i = 1; i <= batch; ++i) {
      const SyncClass sync = i == batch ? SyncClass::kNow : SyncClass::kEventually;
      seq = must(log->append(event, sync, RecordUse::kNewWork));
    }
    for (EventSeq seen = durable.load(); seen < seq; seen = durable.load()) durable.wait(seen);
  });
  if (!log->close()) give_up("close");
  return point;
}

// What the kernel thread itself pays: appends without waiting for any.
double measure_append_ns(const std::string& folder) {
  const SystemClock clock;
  event_log::Options options;
  options.folder = folder;
  auto log = must(EventLog::open(options, {}, clock));
  v1::Event event = sample_event(0);
  const std::uint64_t begin = now_ns();
  for (int i = 0; i < kAppendsWithoutWaiting; ++i) {
    (void)must(log->append(event, SyncClass::kEventually, RecordUse::kNewWork));
  }
  const double elapsed_ns = static_cast<double>(now_ns() - begin);
  if (!log->close()) give_up("close");
  return elapsed_ns / kAppendsWithoutWaiting;
}

int run(int argc, char** argv) {
  if (argc != 3) give_up("usage: bench_log_append FOLDER SECONDS");
  const std::string folder = argv[1];
  const double seconds = std::atof(argv[2]);
  std::filesystem::create_directories(folder);
  v1::Event event = sample_event(0);
  event.set_seq(1'000'000);
  event.mutable_time()->set_seconds(1'700'000'000);
  event.mutable_time()->set_nanos(123'456'789);
  const std::size_t record_bytes = event.ByteSizeLong() + kRecordHeaderBytes;
  std::vector<std::pair<std::string, double>> figures = {{"record_bytes", static_cast<double>(record_bytes)}};
  for (const int batch : {1, 64, 1024}) {
    Point raw = measure_raw(folder, batch, seconds, record_bytes);
    const std::string part = folder + "/log-" + std::to_string(batch);
    Point log = measure_log(part, batch, seconds, Signing::kOff);
    Point signed_log = measure_log(part + "-signed", batch, seconds, Signing::kOn);
    for (const auto& [name, point] :
         {std::pair("raw_", &raw), std::pair("log_", &log), std::pair("signed_log_", &signed_log)}) {
      const std::string prefix = name + std::to_string(batch);
      figures.emplace_back(prefix + "_events_per_s", point->events_per_s);
      figures.emplace_back(prefix + "_commit_p50_us", point->commits.percentile_us(0.50));
      figures.emplace_back(prefix + "_commit_p99_us", point->commits.percentile_us(0.99));
    }
  }
  figures.emplace_back("append_ns", measure_append_ns(folder + "/append"));
  std::filesystem::remove_all(folder);
  print_figures(figures);
  return 0;
}

}  // namespace
}  // namespace liongate::bench

int main(int argc, char** argv) {
  return liongate::bench::run(argc, argv);
}
