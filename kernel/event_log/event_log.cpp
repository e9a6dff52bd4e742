#include "kernel/event_log/event_log.h"

#include <algorithm>
#include <atomic>
#include <optional>

#include "kernel/base/sys.h"
#include "kernel/event_log/commit_writer.h"
#include "kernel/event_log/folder_lock.h"
#include "kernel/event_log/query.h"
#include "kernel/event_log/reader.h"
#include "kernel/event_log/recovery.h"
#include "kernel/event_log/runtime.h"

namespace liongate::event_log {
namespace {

constexpr mode_t kFolderMode = 0700;
constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

Result<void> check_filter(const Filter& filter) {
  if (filter.text.size() > limits::kFilterTextBytesMax) {
    return make_error(Reason::kInvalidArgument, "a text of " + std::to_string(filter.text.size()) +
                                                    " bytes to look for is over the bound of " +
                                                    std::to_string(limits::kFilterTextBytesMax))
        .with("field", "text");
  }
  if (filter.types.size() > limits::kFilterTypesMax) {
    return make_error(Reason::kInvalidArgument, std::to_string(filter.types.size()) +
                                                    " types to look for are over the bound of " +
                                                    std::to_string(limits::kFilterTypesMax))
        .with("field", "types");
  }
  if (filter.since_ns && filter.until_ns && *filter.since_ns > *filter.until_ns) {
    return make_error(Reason::kInvalidArgument, "since is later than until: nothing lies between them")
        .with_hint("exchange the two times")
        .with("field", "since");
  }
  return {};
}

}  // namespace

class EventLog::Impl {
 public:
  Impl(std::optional<FolderLock> lock, std::shared_ptr<Storage> storage, const Options& options, Handlers handlers,
       const Clock& clock, Recovered recovered, std::unique_ptr<Notary> notary)
      : lock_(std::move(lock)),
        storage_(std::move(storage)),
        clock_(clock),
        recovery_(std::move(recovered.report)),
        node_id_(node_id_text(recovered.end.node)),
        catalog_(std::move(recovered.catalog)),
        last_seq_(recovered.end.last_seq),
        last_time_ns_(recovered.end.last_time_ns),
        writer_(storage_, catalog_, options, std::move(handlers), recovered.end, clock, std::move(notary)) {}

  Result<EventSeq> append(v1::Event& event, SyncClass sync, RecordUse use) {
    if (writer_.failed()) return writer_.failure();
    if (use == RecordUse::kNewWork && writer_.read_only()) {
      return make_error(Reason::kLogReadOnly, "the event log is read-only: no space left in " + storage_->location())
          .with_hint("free space on that file system; the log goes on by itself");
    }
    const EventSeq seq = last_seq_.load(std::memory_order_relaxed) + 1;
    const std::int64_t time_ns = std::max(last_time_ns_, clock_.wall_ns());
    event.set_seq(seq);
    event.mutable_time()->set_seconds(time_ns / kNanosPerSecond);
    event.mutable_time()->set_nanos(static_cast<std::int32_t>(time_ns % kNanosPerSecond));
    const std::size_t bytes = event.ByteSizeLong();
    if (bytes > limits::kLogRecordBytesMax) {
      event.clear_seq();
      return make_error(Reason::kInputTooLarge, "an event of " + std::to_string(bytes) +
                                                    " bytes is over the bound of " +
                                                    std::to_string(limits::kLogRecordBytesMax));
    }
    if (writer_.queue().push(event, bytes, time_ns, sync, use) == AppendQueue::Push::kFull) {
      event.clear_seq();
      return make_error(Reason::kQueueFull, "the event log is too far behind")
          .with_hint("the disk is slower than the calls that come in; try again later");
    }
    last_seq_.store(seq, std::memory_order_release);
    last_time_ns_ = time_ns;
    return seq;
  }

  LogView view() const {
    return {.node_id = node_id_,
            .first_seq = catalog_->first_seq(),
            .last_seq = last_seq_.load(std::memory_order_acquire),
            .read = [storage = storage_, catalog = catalog_](EventSeq after_seq) {
              return Result<std::unique_ptr<EventReader>>(make_reader(storage, catalog, after_seq));
            }};
  }

  Result<void> close() {
    if (closed_) return {};
    closed_ = true;
    auto result = writer_.close();
    lock_.reset();
    return result;
  }

  std::optional<FolderLock> lock_;
  const std::shared_ptr<Storage> storage_;
  const Clock& clock_;
  const Recovery recovery_;
  const std::string node_id_;
  const std::shared_ptr<Catalog> catalog_;
  std::atomic<EventSeq> last_seq_;
  std::int64_t last_time_ns_;
  bool closed_ = false;
  CommitWriter writer_;
};

EventLog::EventLog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EventLog::~EventLog() {
  (void)impl_->close();
}

namespace {

// The one who signs for what was recovered. A log that holds nothing becomes the one that its key is of.
Result<std::unique_ptr<Notary>> appoint_notary(Storage& storage, const Options& options, Recovered& recovered) {
  if (!options.open_key) return std::unique_ptr<Notary>();
  LG_ASSIGN(TreeState tree, complete_tree(storage, recovered.segments, *recovered.tail));
  const bool is_new = recovered.segments.empty();
  LG_ASSIGN(signing::NoteSigner key,
            options.open_key({.name = checkpoint_origin(recovered.end.node),
                              .last_note = tree.note,
                              .age = is_new ? signing::SigningLog::Age::kNew : signing::SigningLog::Age::kContinued}));
  const auto node = parse_origin(key.public_key().name);
  if (!node) return make_error(Reason::kInvalidConfig, "the log's key is named " + key.public_key().name);
  recovered.end.node = *node;
  return std::make_unique<Notary>(std::move(key), std::move(tree));
}

}  // namespace

// Takes what is on disk and the key there is for it into a log. The same for a folder and for any other storage.
Result<std::unique_ptr<EventLog>> EventLog::begin(std::optional<FolderLock> lock, std::shared_ptr<Storage> storage,
                                                  const Options& options, Handlers handlers, const Clock& clock) {
  LG_ASSIGN(Recovered recovered, recover(*storage));
  if (recovered.end.epoch == 0) recovered.end.node = parse_node_id(runtime::new_node_uuid());
  ++recovered.end.epoch;
  LG_ASSIGN(std::unique_ptr<Notary> notary, appoint_notary(*storage, options, recovered));
  auto impl = std::make_unique<Impl>(std::move(lock), std::move(storage), options, std::move(handlers), clock,
                                     std::move(recovered), std::move(notary));
  return std::unique_ptr<EventLog>(new EventLog(std::move(impl)));
}

Result<std::unique_ptr<EventLog>> EventLog::open(Options options, Handlers handlers, const Clock& clock) {
  auto made = sys::make_directories(options.folder, kFolderMode);
  if (!made) return std::move(made).error().in("event log folder");
  LG_ASSIGN(FolderLock lock, FolderLock::take(options.folder));
  LG_ASSIGN(std::shared_ptr<Storage> storage, open_disk_storage(options.folder));
  return begin(std::move(lock), std::move(storage), options, std::move(handlers), clock);
}

Result<std::unique_ptr<EventLog>> EventLog::open_on(std::shared_ptr<Storage> storage, Options options,
                                                    Handlers handlers, const Clock& clock) {
  return begin(std::nullopt, std::move(storage), options, std::move(handlers), clock);
}

const Recovery& EventLog::recovery() const {
  return impl_->recovery_;
}
const std::string& EventLog::node_id() const {
  return impl_->node_id_;
}

Result<EventSeq> EventLog::append(v1::Event& event, SyncClass sync, RecordUse use) {
  return impl_->append(event, sync, use);
}

EventSeq EventLog::first_seq() const {
  return impl_->catalog_->first_seq();
}
EventSeq EventLog::last_seq() const {
  return impl_->last_seq_.load(std::memory_order_acquire);
}
EventSeq EventLog::durable_seq() const {
  return impl_->writer_.durable_seq();
}
bool EventLog::read_only() const {
  return impl_->writer_.read_only();
}

void EventLog::sync_soon() {
  impl_->writer_.sync_soon();
}

std::optional<Removal> EventLog::removable(const RetentionRule& rule) const {
  return impl_->catalog_->removable(rule);
}
void EventLog::remove_through(EventSeq last_seq) {
  impl_->writer_.remove_through(last_seq);
}

LogView EventLog::view() const {
  return impl_->view();
}

Result<std::unique_ptr<EventReader>> EventLog::read(EventSeq after_seq) const {
  return make_reader(impl_->storage_, impl_->catalog_, after_seq);
}

Result<std::unique_ptr<EventQuery>> EventLog::query(Filter filter) const {
  LG_TRY(check_filter(filter));
  impl_->writer_.sync_up_to(last_seq(), std::chrono::milliseconds(limits::kReadBarrierMs));
  if (filter.after_seq > durable_seq()) {
    return make_error(Reason::kInvalidArgument, "cursor " + std::to_string(filter.after_seq) +
                                                    " is beyond the end of the log, whose last event is " +
                                                    std::to_string(durable_seq()))
        .with_hint("a cursor belongs to the log it was read from; begin anew without one")
        .with("field", "after_seq")
        .with("last_seq", std::to_string(durable_seq()));
  }
  return make_query(impl_->storage_, impl_->catalog_, std::move(filter));
}

Result<std::unique_ptr<EventQuery>> EventLog::follow(Filter filter) const {
  LG_TRY(check_filter(filter));
  return make_query(impl_->storage_, impl_->catalog_, std::move(filter));
}

std::uint64_t EventLog::add_commit_listener(std::function<void(EventSeq committed_seq)> listener) {
  return impl_->writer_.add_listener(std::move(listener));
}
void EventLog::remove_commit_listener(std::uint64_t token) {
  impl_->writer_.remove_listener(token);
}

Result<std::string> EventLog::checkpoint() {
  return impl_->writer_.checkpoint();
}

Result<void> EventLog::close() {
  return impl_->close();
}

Result<std::unique_ptr<EventReader>> read_offline(const std::string& folder, EventSeq after_seq) {
  LG_ASSIGN(std::shared_ptr<Storage> storage, open_disk_storage(folder));
  LG_ASSIGN(const Survey found, survey(*storage, Access::kRead));
  return make_reader(std::move(storage), found.catalog, after_seq);
}

Result<LogView> view_offline(const std::string& folder) {
  LG_ASSIGN(std::shared_ptr<Storage> storage, open_disk_storage(folder));
  LG_ASSIGN(const Survey found, survey(*storage, Access::kRead));
  LogView view;
  if (found.end.epoch > 0) view.node_id = node_id_text(found.end.node);
  view.first_seq = found.catalog->first_seq();
  view.last_seq = found.end.last_seq;
  view.read = [storage, catalog = found.catalog](EventSeq after_seq) {
    return Result<std::unique_ptr<EventReader>>(make_reader(storage, catalog, after_seq));
  };
  return view;
}

Result<std::string> last_checkpoint(const std::string& folder) {
  LG_ASSIGN(const std::shared_ptr<Storage> storage, open_disk_storage(folder));
  if (FolderLock::is_held(folder)) {
    return make_error(Reason::kInvalidArgument, "a daemon writes the event log in " + folder)
        .with_hint("ask the daemon: leave out --state-dir");
  }
  LG_ASSIGN(const FolderListing listing, list_folder(*storage));
  LG_ASSIGN(std::string note, find_last_note(*storage, listing.segments));
  if (note.empty()) return make_error(Reason::kInvalidArgument, "the event log in " + folder + " holds no checkpoint");
  return note;
}

Result<std::string> signing_name(const std::string& folder) {
  LG_ASSIGN(const std::shared_ptr<Storage> storage, open_disk_storage(folder));
  LG_ASSIGN(const FolderListing listing, list_folder(*storage));
  if (listing.segments.empty()) {
    return make_error(Reason::kInvalidArgument, "the event log in " + folder + " is empty: it has no key yet");
  }
  LG_ASSIGN(const OpenedSegment segment, open_segment(*storage, listing.segments.back(), Access::kRead));
  return checkpoint_origin(segment.header.node);
}

}  // namespace liongate::event_log
