#include "tests/event_log/simulation/history.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "kernel/event_log/event_log.h"
#include "kernel/event_log/reader.h"
#include "kernel/event_log/recovery.h"
#include "kernel/event_log/runtime.h"
#include "kernel/event_log/verify.h"

namespace liongate::simulation {
namespace {

using event_log::EventLog;
using event_log::EventReader;
using event_log::RecordUse;
using event_log::SyncClass;

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kSignedSegmentBytesMin = 32 * 1024;  // a checkpoint at the beginning and one at the end fit
constexpr std::int64_t kAnswerWithinNs = 3600 * kSecondNs;   // of simulated time: nobody waits longer for the disk

struct Violation {
  std::string what;
};

class JumpingClock final : public Clock {
 public:
  std::int64_t wall_ns() const override { return 1'700'000'000 * kSecondNs + offset_ns + Fibers::current().now_ns(); }
  MonotonicTime now() const override { return MonotonicTime(std::chrono::nanoseconds(Fibers::current().now_ns())); }
  std::int64_t offset_ns = 0;
};

// What the handlers of one life heard. Outlives the log, whose threads call them to the last.
struct Ears {
  EventSeq durable = 0;
  EventSeq committed = 0;
  bool closing = false;  // on a full disk a log that is closed says what it could not write
  bool disk_failed = false;
  std::optional<std::string> fatal;
  std::optional<std::string> wrong;
  Fibers::Queue waiting;
};

class History {
 public:
  explicit History(const HistoryOptions& options)
      : options_(options), random_(Random(options.seed).next()), trace_(options.print) {}

  HistoryResult run();

 private:
  FaultPlan draw_plan();
  void sign_checkpoints();
  void live(const FaultPlan& plan);
  void act(Ears& ears);
  void append(Ears& ears);
  void wait_for_answer(Ears& ears);
  void read_on(EventReader& reader);
  void check_living();
  void check_before_recovery();
  void check_recovered(EventSeq last_seq, bool killed);
  void check_event(EventSeq seq, std::string_view bytes);
  void export_checkpoint(Ears& ears);
  void check_exported();
  void end_life(Ears& ears);
  void close(Ears& ears);
  void crash(FaultPlan::Crash kind);
  event_log::Handlers handlers(const std::shared_ptr<Ears>& ears);

  const HistoryOptions options_;
  Random random_;
  Trace trace_;
  HistoryCounts counts_;
  std::shared_ptr<FaultyDisk> disk_ = std::make_shared<FaultyDisk>(trace_);
  JumpingClock clock_;
  event_log::Options log_options_;

  std::shared_ptr<Mount> mount_;  // of the life that is lived
  std::unique_ptr<EventLog> log_;
  std::unique_ptr<EventReader> follower_;
  std::vector<std::string> submitted_;  // by number, as serialised; what was lost is forgotten after a recovery
  EventSeq acknowledged_ = 0;
  EventSeq committed_ = 0;  // readers could see it
  EventSeq awaited_ = 0;    // the last one that somebody wants on disk
  bool killed_ = false;     // the last life ended by a kill: the page cache is as it was
  // Of a history that signs: the key it signs with, and the checkpoints that somebody took away.
  std::optional<signing::NoteKey> key_;
  std::vector<std::string> exported_;
};

FaultPlan History::draw_plan() {
  FaultPlan plan;
  const std::uint64_t horizon = random_.one_in(4) ? 30 : 250;  // a fault during recovery, or later
  plan.crash = random_.one_in(2) ? FaultPlan::Crash::kKill : FaultPlan::Crash::kPowerCut;
  if (random_.one_in(2)) plan.crash_at = random_.between(1, horizon);
  std::uint64_t* const errors[] = {&plan.write_error_at, &plan.sync_error_at, &plan.sync_no_space_at,
                                   &plan.writeback_error_at, &plan.read_error_at};
  if (random_.one_in(4)) *errors[random_.below(std::size(errors))] = random_.between(1, horizon);
  if (random_.one_in(4)) {
    plan.no_space_from = random_.between(1, horizon);
    plan.no_space_until = plan.no_space_from + random_.between(1, 80);
    plan.no_space_in_place = random_.one_in(3);
  }
  if (random_.one_in(4)) plan.slow_sync_chance = random_.between(2, 8);
  return plan;
}

event_log::Handlers History::handlers(const std::shared_ptr<Ears>& ears) {
  return {.on_durable =
              [this, ears](EventSeq seq) {
                trace_.add("durable " + std::to_string(seq));
                if (ears->fatal) ears->wrong = "an event was acknowledged after the log had failed";
                if (seq < ears->durable) ears->wrong = "acknowledged numbers went back";
                ears->durable = seq;
                Fibers::current().wake_all(ears->waiting);
              },
          .on_read_only = [this](bool read_only,
                                 const std::string&) { trace_.add(read_only ? "read-only" : "writable again"); },
          .on_fatal =
              [this, ears, mount = mount_](const Error& error) {
                trace_.add("fatal: " + error.message);
                if (ears->fatal) ears->wrong = "the log failed twice";
                ears->fatal = error.message;
                const bool excused = mount->fatal_fault() || (ears->closing && mount->had_no_space());
                if (!excused) ears->wrong = "the log gave up on a disk that did not fail: " + error.message;
                ears->disk_failed = !mount->dead();
                Fibers::current().wake_all(ears->waiting);
              }};
}

void History::append(Ears& ears) {
  v1::Event event;
  event.set_type("PluginInvoked");
  event.set_correlation_id(std::to_string(random_.next()));
  const std::uint64_t kind = random_.below(20);
  const std::uint64_t bytes = kind == 0 ? random_.below(9000) : kind < 4 ? random_.below(1500) : random_.below(200);
  event.mutable_plugin_invoked()->mutable_input()->set_text(std::string(bytes, static_cast<char>('a' + bytes % 26)));
  constexpr SyncClass kClasses[] = {SyncClass::kNow, SyncClass::kNow, SyncClass::kBatch, SyncClass::kEventually};
  const SyncClass sync = kClasses[random_.below(std::size(kClasses))];
  const RecordUse use = random_.one_in(3) ? RecordUse::kTerminal : RecordUse::kNewWork;
  const auto seq = log_->append(event, sync, use);
  if (!seq) {
    const Error& error = seq.error();
    trace_.add("refused: " + error.message);
    const bool full = error.reason == Reason::kLogReadOnly && use == RecordUse::kNewWork && mount_->had_no_space();
    if (!full && !ears.fatal) throw Violation{"an event was refused: " + error.message};
    return;
  }
  if (*seq != submitted_.size() + 1)
    throw Violation{"event " + std::to_string(*seq) + " follows " + std::to_string(submitted_.size())};
  submitted_.push_back(event.SerializeAsString());
  ++counts_.submitted;
  if (sync != SyncClass::kEventually) awaited_ = *seq;
  trace_.add("append " + std::to_string(*seq));
}

// Whoever waits for the disk is answered, unless it failed. Want of space ends, and the log goes on by itself.
void History::wait_for_answer(Ears& ears) {
  Fibers& fibers = Fibers::current();
  const std::int64_t deadline = fibers.now_ns() + kAnswerWithinNs;
  while (ears.durable < awaited_ && !ears.fatal && !mount_->dead()) {
    if (!fibers.wait(ears.waiting, deadline) && fibers.now_ns() >= deadline) {
      throw Violation{"nobody was told that event " + std::to_string(awaited_) + " is durable"};
    }
  }
}

void History::check_event(EventSeq seq, std::string_view bytes) {
  ++counts_.events_read;
  if (seq > submitted_.size()) throw Violation{"event " + std::to_string(seq) + " was never submitted"};
  if (submitted_[seq - 1] != bytes) throw Violation{"event " + std::to_string(seq) + " is not what was submitted"};
}

void History::read_on(EventReader& reader) {
  for (;;) {
    EventSeq seq = 0;
    std::string_view bytes;
    const EventSeq before = reader.position();
    const auto any = reader.next_bytes(seq, bytes);
    if (!any && mount_->fatal_fault()) return;
    if (!any) throw Violation{"a reader was refused: " + any.error().message};
    if (!*any) return;
    if (seq != before + 1 && log_options_.retention_bytes_max == 0) {
      throw Violation{"a reader found event " + std::to_string(seq) + " behind " + std::to_string(before)};
    }
    check_event(seq, bytes);
  }
}

// Asked of a log whose disk may fail or be full meanwhile: then there is none, but an answer there always is.
void History::export_checkpoint(Ears& ears) {
  const auto note = log_->checkpoint();
  trace_.add(note ? "exported a checkpoint" : "no checkpoint: " + note.error().message);
  if (note) {
    exported_.push_back(*note);
    ++counts_.checkpoints;
  } else if (!ears.fatal && !mount_->dead() && !mount_->had_no_space() && !mount_->fatal_fault()) {
    throw Violation{"a checkpoint was refused: " + note.error().message};
  }
}

// Whatever happened since, the log goes on from what was signed; only retention can take the proof away.
void History::check_exported() {
  if (exported_.empty()) return;
  const std::string& oldest = exported_.front();
  const std::string& any = exported_[random_.below(exported_.size())];
  for (const std::string* note : {&oldest, &any, &std::as_const(exported_.back())}) {
    const auto honest = std::make_shared<Mount>(disk_, FaultPlan{});
    event_log::Evidence evidence{.keys = {}, .trusted = key_, .checkpoint = *note};
    evidence.keys.add(*key_);
    const auto found = event_log::verify_storage(*honest, event_log::LogState::kAtRest, evidence);
    if (!found) throw Violation{"verify against a checkpoint: " + found.error().message};
    if (!found->damages.empty()) throw Violation{"against a checkpoint: " + found->damages.front().message};
    const bool removed = found->verdict == event_log::CheckpointVerdict::kNotProvable;
    if (removed && log_options_.retention_bytes_max != 0) continue;
    if (found->verdict != event_log::CheckpointVerdict::kExtends) {
      throw Violation{"the log does not extend a checkpoint that was taken from it"};
    }
  }
}

void History::check_living() {
  const auto found =
      event_log::verify_storage(*std::make_shared<Mount>(disk_, FaultPlan{}), event_log::LogState::kWritten);
  if (mount_->fatal_fault() || disk_->lost_pages) return;
  if (!found) throw Violation{"verify of a living log: " + found.error().message};
  if (!found->damages.empty()) throw Violation{"verify of a living log: " + found->damages.front().message};
}

void History::act(Ears& ears) {
  const std::uint64_t choice = random_.below(100);
  if (choice < 70) {
    append(ears);
  } else if (choice < 80) {
    wait_for_answer(ears);
  } else if (choice < 88) {
    Fibers::current().sleep(static_cast<std::int64_t>(random_.below(30'000'000)));
  } else if (choice < 94) {
    read_on(*follower_);
  } else if (choice < 96) {
    if (auto reader = log_->read(random_.below(submitted_.size() + 1))) read_on(**reader);
  } else if (choice < 97 && log_options_.open_key) {
    export_checkpoint(ears);
  } else if (choice < 98) {
    clock_.offset_ns += static_cast<std::int64_t>(random_.below(7200)) * kSecondNs - 3600 * kSecondNs;
  } else {
    check_living();
  }
}

// What a crash left is honest: nothing in it may look like damage to what had been acknowledged.
void History::check_before_recovery() {
  const auto honest = std::make_shared<Mount>(disk_, FaultPlan{});
  const auto found = event_log::verify_storage(*honest, event_log::LogState::kAtRest);
  if (!found) throw Violation{"verify after a crash: " + found.error().message};
  for (const auto& damage : found->damages) {
    using event_log::DamageKind;
    const bool tail = damage.kind == DamageKind::kTornTail || damage.kind == DamageKind::kNonZeroPadding;
    if (!tail) throw Violation{"after a crash verify speaks of damage: " + damage.message};
  }
}

void History::check_recovered(EventSeq last_seq, bool killed) {
  const auto honest = std::make_shared<Mount>(disk_, FaultPlan{});
  const auto found = event_log::verify_storage(*honest, event_log::LogState::kAtRest);
  if (!found) throw Violation{"verify after recovery: " + found.error().message};
  if (!found->damages.empty()) throw Violation{"verify after recovery: " + found->damages.front().message};
  auto survey = event_log::survey(*honest, event_log::Access::kRead);
  if (!survey) throw Violation{"what was recovered cannot be read: " + survey.error().message};
  if (survey->end.last_seq != last_seq) throw Violation{"recovery and files differ in their last event"};
  const auto text = [](EventSeq seq) { return std::to_string(seq); };
  if (last_seq > submitted_.size()) throw Violation{"more was recovered than was submitted"};
  if (killed && !disk_->lost_pages && last_seq < committed_) {
    throw Violation{"event " + text(committed_) + " was read, a kill left " + text(last_seq)};
  }
  const auto reader = event_log::make_reader(honest, survey->catalog, 0);
  EventSeq expected = 0;
  for (;;) {
    EventSeq seq = 0;
    std::string_view bytes;
    const auto any = reader->next_bytes(seq, bytes);
    if (!any) throw Violation{"what was recovered cannot be read: " + any.error().message};
    if (!*any) break;
    const bool retained = expected == 0 && log_options_.retention_bytes_max != 0;
    if (seq != expected + 1 && !retained) {
      throw Violation{"event " + text(seq) + " follows " + text(expected) + " after recovery"};
    }
    expected = seq;
    check_event(seq, bytes);
  }
  if (expected != last_seq && last_seq != 0) throw Violation{"the last events that were recovered cannot be read"};
}

void History::crash(FaultPlan::Crash kind) {
  mount_->crash(kind);
  follower_.reset();
  log_.reset();
}

void History::close(Ears& ears) {
  trace_.add("close");
  ears.closing = true;
  const auto closed = log_->close();
  trace_.add(closed ? "closed" : "closed: " + closed.error().message);
  if (closed && !mount_->dead()) ears.durable = submitted_.size();
  const bool excused = mount_->fatal_fault() || mount_->had_no_space();
  if (!closed && !excused) throw Violation{"close failed: " + closed.error().message};
  crash(random_.one_in(2) ? FaultPlan::Crash::kKill : FaultPlan::Crash::kPowerCut);
}

void History::end_life(Ears& ears) {
  const std::uint64_t choice = random_.below(10);
  if (!mount_->dead() && !ears.fatal && choice < 4) return close(ears);
  if (!mount_->dead() && !ears.fatal && choice < 7) wait_for_answer(ears);
  crash(random_.one_in(2) ? FaultPlan::Crash::kKill : FaultPlan::Crash::kPowerCut);
}

void History::live(const FaultPlan& plan) {
  ++counts_.lives;
  if (random_.one_in(3)) check_before_recovery();
  const auto ears = std::make_shared<Ears>();
  mount_ = std::make_shared<Mount>(disk_, plan, options_.lie);
  const std::uint64_t cuts = disk_->power_cuts;
  auto opened = EventLog::open_on(mount_, log_options_, handlers(ears), clock_);
  if (opened) {
    log_ = std::move(opened).value();
    ++counts_.recoveries;
    counts_.torn_tails += log_->recovery().torn_tail ? 1 : 0;
    const EventSeq last_seq = log_->last_seq();
    trace_.add("recovered " + std::to_string(last_seq));
    if (last_seq < acknowledged_) {
      throw Violation{"event " + std::to_string(acknowledged_) + " was acknowledged, " + std::to_string(last_seq) +
                      " were recovered"};
    }
    if (!mount_->dead()) check_recovered(last_seq, killed_);
    if (!mount_->dead()) check_exported();
    // From here on it says that all of these are durable.
    submitted_.resize(std::min<std::size_t>(submitted_.size(), last_seq));
    acknowledged_ = committed_ = awaited_ = ears->durable = ears->committed = last_seq;
    const auto token = log_->add_commit_listener([ears](EventSeq seq) { ears->committed = seq; });
    follower_ = log_->read(log_options_.retention_bytes_max != 0 ? last_seq : 0).value();
    const std::uint64_t actions = random_.below(60);
    for (std::uint64_t i = 0; i < actions && !mount_->dead() && !ears->fatal && !ears->wrong; ++i) act(*ears);
    log_->remove_commit_listener(token);
    end_life(*ears);
    acknowledged_ = std::max(acknowledged_, ears->durable);
    committed_ = std::max(committed_, ears->committed);
  } else {
    trace_.add("not opened: " + opened.error().message);
    const bool dropped =
        disk_->lost_pages && opened.error().message.find("changed while it was read") != std::string::npos;
    const bool excused = mount_->fatal_fault() || mount_->had_no_space() || dropped;
    if (!excused) throw Violation{"the log was refused: " + opened.error().message};
    mount_->crash(random_.one_in(2) ? FaultPlan::Crash::kKill : FaultPlan::Crash::kPowerCut);
  }
  counts_.operations += mount_->operations();
  counts_.fatal_faults += ears->disk_failed ? 1 : 0;
  counts_.full_disks += mount_->had_no_space() ? 1 : 0;
  const bool cut = disk_->power_cuts != cuts;
  (cut ? counts_.power_cuts : counts_.kills) += 1;
  killed_ = !cut && (killed_ || opened.has_value());
  if (ears->wrong) throw Violation{*ears->wrong};
}

// A key that is the same in every history: what it is cannot matter. Checkpoints come often, to meet every fault.
void History::sign_checkpoints() {
  const auto signer_for = [](const std::string& name) {
    constexpr std::array<std::byte, signing::kSeedBytes> kSeed{};
    return signing::NoteSigner(name, signing::PrivateKey::from_seed(kSeed));
  };
  log_options_.segment_bytes += kSignedSegmentBytesMin;
  log_options_.checkpoint_interval = std::chrono::milliseconds(random_.between(1, 2000));
  log_options_.open_key = [this, signer_for](const signing::SigningLog& asks) -> Result<signing::NoteSigner> {
    // As the folder of keys does: a log that holds nothing yet takes the name of the key that is there.
    const bool keeps_name = key_ && asks.age == signing::SigningLog::Age::kNew;
    signing::NoteSigner signer = signer_for(keeps_name ? key_->name : asks.name);
    key_ = signer.public_key();
    return signer;
  };
}

HistoryResult History::run() {
  HistoryResult result;
  const Fibers fibers(random_, "seed " + std::to_string(options_.seed));
  log_options_ = {.folder = "", .segment_bytes = 4096 * random_.between(2, 12)};
  if (random_.one_in(4)) log_options_.retention_bytes_max = log_options_.segment_bytes * random_.between(2, 4);
  if (random_.one_in(3)) sign_checkpoints();
  try {
    const std::uint64_t lives = random_.between(2, 6);
    for (std::uint64_t life = 0; life < lives; ++life) live(draw_plan());
    live({});  // whatever happened: a disk that works again is enough
  } catch (const Violation& violation) {
    result.violation = violation.what;
    trace_.add("VIOLATION: " + violation.what);
    if (mount_) mount_->crash(FaultPlan::Crash::kKill);
    follower_.reset();
    log_.reset();
  }
  counts_.acknowledged = acknowledged_;
  result.digest = trace_.digest();
  result.counts = counts_;
  return result;
}

}  // namespace

HistoryCounts& HistoryCounts::operator+=(const HistoryCounts& other) {
  lives += other.lives;
  recoveries += other.recoveries;
  torn_tails += other.torn_tails;
  kills += other.kills;
  power_cuts += other.power_cuts;
  fatal_faults += other.fatal_faults;
  full_disks += other.full_disks;
  submitted += other.submitted;
  acknowledged += other.acknowledged;
  checkpoints += other.checkpoints;
  events_read += other.events_read;
  operations += other.operations;
  return *this;
}

HistoryResult run_history(const HistoryOptions& options) {
  return History(options).run();
}

}  // namespace liongate::simulation
