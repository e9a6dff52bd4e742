#include "daemon/grpc_event_service.h"

#include <limits>

#include "daemon/daemon.h"
#include "daemon/log_keys.h"

namespace liongate::daemon {

using event_log::Filter;

namespace {

using Service = GrpcEventService::Service;
using ReplayCall = StreamCall<Service, v1::ReplayEventsRequest, v1::ReplayEventsResponse>;

// A message of events is sent when it holds so many or is so large.
constexpr std::size_t kMessageBytesTarget = 256 * 1024;
// Of a backlog in which little matches, so many events are looked at before others have their turn.
constexpr int kEventsPerTurn = 20'000;

Result<std::int64_t> to_ns(const google::protobuf::Timestamp& time, const char* field) {
  constexpr std::int64_t kSecondsMax = std::numeric_limits<std::int64_t>::max() / 1'000'000'000 - 1;
  if (time.nanos() < 0 || time.nanos() > 999'999'999 || time.seconds() > kSecondsMax || time.seconds() < -kSecondsMax) {
    return make_error(Reason::kInvalidArgument, std::string(field) + " is not a time").with("field", field);
  }
  return time.seconds() * 1'000'000'000 + time.nanos();
}

// One ReplayEvents stream: reads a message's worth, writes it, goes on when it has left.
class Replay final : public std::enable_shared_from_this<Replay> {
 public:
  Replay(LogReaders& readers, std::shared_ptr<ReplayCall> call, Filter filter)
      : readers_(readers),
        call_(std::move(call)),
        filter_(std::move(filter)),
        left_(call_->request().limit() == 0 ? std::numeric_limits<std::uint64_t>::max() : call_->request().limit()),
        follow_(call_->request().follow()) {}

  void start() {
    call_->set_on_drained([self = shared_from_this()] { self->go_on(); });
    call_->set_on_end([self = shared_from_this()] { self->leave(); });
    readers_.submit([self = shared_from_this()] { self->open(); });
  }

 private:
  void open() {
    auto reader = readers_.log().read(filter_.after_seq);
    if (!reader) {
      call_->fail(reader.error());
      return;
    }
    reader_ = std::move(*reader);
    if (follow_) {
      token_ = readers_.follow([weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->on_commit();
      });
      if (token_ == 0) {
        call_->fail(make_error(Reason::kQueueFull, std::to_string(limits::kFollowersMax) + " followers are connected"));
        return;
      }
    }
    step();
  }
  void go_on() {
    readers_.submit([self = shared_from_this()] { self->step(); });
  }
  // Writer thread: wakes the reader only when it waits at the end.
  void on_commit() {
    if (at_end_.exchange(false)) go_on();
  }
  void leave() {
    readers_.submit([self = shared_from_this()] {
      if (self->token_ != 0) self->readers_.leave(self->token_);
      self->token_ = 0;
      self->reader_.reset();
    });
  }

  void step() {
    if (reader_ == nullptr || call_->ended()) return;
    v1::ReplayEventsResponse response;
    std::size_t bytes = 0;
    bool end = false;
    for (int i = 0; i < kEventsPerTurn && left_ > 0; ++i) {
      const auto more = reader_->next(event_);
      if (!more) {
        call_->fail(more.error());
        return;
      }
      if (!*more) {
        end = true;
        break;
      }
      if (!filter_.matches(event_)) continue;
      --left_;
      bytes += event_.ByteSizeLong();
      response.add_events()->Swap(&event_);
      if (response.events_size() == static_cast<int>(limits::kReplayEventsPerMessageMax) ||
          bytes > kMessageBytesTarget) {
        break;
      }
    }
    finish_step(std::move(response), end);
  }

  void finish_step(v1::ReplayEventsResponse response, bool end) {
    const bool finished = left_ == 0 || (end && !follow_);
    const bool has_events = response.events_size() > 0;
    response.set_caught_up_seq(reader_->position());
    if (has_events) {
      call_->write(std::move(response));  // when it has left, on_drained goes on
      if (finished) call_->finish();
      return;
    }
    if (finished) {
      call_->finish();
    } else if (!end) {
      go_on();
    } else {
      at_end_ = true;
      // A commit between the last read and the line above woke nobody.
      const auto more = reader_->next(event_);
      if (more && !*more) return;
      if (at_end_.exchange(false)) take_one(more.has_value());
    }
  }
  // The event that was read to look for a missed commit.
  void take_one(bool read) {
    if (read && filter_.matches(event_)) {
      --left_;
      v1::ReplayEventsResponse response;
      response.add_events()->Swap(&event_);
      response.set_caught_up_seq(reader_->position());
      call_->write(std::move(response));
      if (left_ == 0) call_->finish();
      return;
    }
    go_on();
  }

  LogReaders& readers_;
  std::shared_ptr<ReplayCall> call_;
  Filter filter_;
  std::uint64_t left_;
  bool follow_;
  std::unique_ptr<event_log::EventReader> reader_;
  std::uint64_t token_ = 0;
  std::atomic<bool> at_end_{false};
  v1::Event event_;
};

}  // namespace

Result<Filter> to_filter(const v1::EventFilter& message) {
  Filter filter;
  filter.after_seq = message.after_seq();
  filter.plugin = message.plugin();
  filter.types.assign(message.types().begin(), message.types().end());
  filter.correlation_id = message.correlation_id();
  if (message.has_since()) {
    LG_ASSIGN(filter.since_ns, to_ns(message.since(), "since"));
  }
  if (message.has_until()) {
    LG_ASSIGN(filter.until_ns, to_ns(message.until(), "until"));
  }
  return filter;
}

v1::VerifyLogResponse to_response(const event_log::Verification& verification) {
  v1::VerifyLogResponse response;
  response.set_intact(verification.damages.empty());
  response.set_segments(verification.segments);
  response.set_events(verification.events);
  response.set_first_seq(verification.first_seq);
  response.set_last_seq(verification.last_seq);
  for (const event_log::Damage& damage : verification.damages) {
    v1::LogDamage& message = *response.add_damages();
    message.set_segment(damage.segment);
    message.set_offset(damage.offset);
    message.set_seq(damage.last_good_seq);
    message.set_kind(std::string(event_log::name_of(damage.kind)));
    message.set_message(damage.message);
  }
  response.set_checkpoints(verification.checkpoints);
  response.set_signed_seq(verification.signed_seq);
  response.set_checkpoint_verdict(std::string(event_log::name_of(verification.verdict)));
  response.mutable_notes()->Assign(verification.notes.begin(), verification.notes.end());
  return response;
}

void GrpcEventService::serve_replay(const GrpcEdge& edge) {
  auto handler = [this, &edge](std::shared_ptr<ReplayCall> call) {
    Result<Caller> caller = edge.identify(call->context());
    Result<Filter> filter = caller ? to_filter(call->request().filter()) : Result<Filter>(std::move(caller).error());
    if (!filter) {
      call->fail(filter.error());
      return;
    }
    std::make_shared<Replay>(readers_, std::move(call), std::move(*filter))->start();
  };
  ReplayCall::arm(std::make_shared<const ReplayCall::Binding>(
      ReplayCall::Binding{service_, &Service::RequestReplayEvents, edge.queue, edge.open_calls, handler}));
}

void GrpcEventService::serve_proofs(const GrpcEdge& edge) {
  edge.serve<Service, v1::VerifyLogRequest, v1::VerifyLogResponse>(
      service_, &Service::RequestVerifyLog, [this](auto call, const Caller&) {
        readers_.submit([this, call] {
          auto evidence = make_evidence(keys_folder(state_dir_), {call->request().checkpoint(), call->request().key()});
          const auto verification = evidence ? event_log::verify(log_folder(state_dir_), *evidence)
                                             : Result<event_log::Verification>(std::move(evidence).error());
          if (verification) {
            call->finish(to_response(*verification));
          } else {
            call->fail(verification.error());
          }
        });
      });
  edge.serve<Service, v1::ExportCheckpointRequest, v1::ExportCheckpointResponse>(
      service_, &Service::RequestExportCheckpoint, [this](auto call, const Caller&) {
        readers_.submit([this, call] {
          const auto note = readers_.log().checkpoint();
          if (!note) {
            call->fail(note.error());
            return;
          }
          v1::ExportCheckpointResponse response;
          response.set_checkpoint(*note);
          call->finish(response);
        });
      });
  edge.serve<Service, v1::ExportLogKeyRequest, v1::ExportLogKeyResponse>(
      service_, &Service::RequestExportLogKey, [this](auto call, const Caller&) {
        readers_.submit([this, call] {
          const auto key = export_log_key(state_dir_);
          if (!key) {
            call->fail(key.error());
            return;
          }
          v1::ExportLogKeyResponse response;
          response.set_key(*key);
          call->finish(response);
        });
      });
}

void GrpcEventService::serve(const GrpcEdge& edge) {
  serve_replay(edge);
  serve_proofs(edge);
  edge.serve<Service, v1::SummarizeEventsRequest, v1::SummarizeEventsResponse>(
      service_, &Service::RequestSummarizeEvents, [this](auto call, const Caller&) {
        Result<Filter> filter = to_filter(call->request().filter());
        if (!filter) {
          call->fail(filter.error());
          return;
        }
        readers_.submit([this, call, filter = std::move(*filter)] {
          auto reader = readers_.log().read(filter.after_seq);
          auto summary =
              reader ? event_log::summarize(**reader, filter) : Result<event_log::Summary>(std::move(reader).error());
          if (!summary) {
            call->fail(summary.error());
            return;
          }
          const auto count = [&](const char* type) {
            const auto found = summary->counts_by_type.find(type);
            return found == summary->counts_by_type.end() ? 0 : found->second;
          };
          v1::SummarizeEventsResponse response;
          response.set_total(summary->total);
          response.set_first_seq(summary->first_seq);
          response.set_last_seq(summary->last_seq);
          response.set_plugins_invoked(count("PluginInvoked"));
          response.set_plugins_completed(count("PluginResult"));
          response.set_plugins_failed(count("PluginError"));
          response.set_tasks_submitted(count("TaskSubmitted"));
          response.set_tasks_completed(count("TaskCompleted"));
          response.set_tasks_failed(count("TaskError"));
          response.mutable_counts_by_type()->insert(summary->counts_by_type.begin(), summary->counts_by_type.end());
          call->finish(response);
        });
      });
}

}  // namespace liongate::daemon
