#include "daemon/grpc_event_service.h"

#include <limits>
#include <optional>

#include "kernel/registry/state.h"

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
  return response;
}

v1::StateVerification to_message(const snapshot::StateVerification& verification) {
  v1::StateVerification message;
  message.set_matches(verification.matches());
  message.set_seq(verification.seq);
  message.set_replayed_sha256(verification.replayed_sha256);
  message.set_base_seq(verification.base_seq);
  for (const snapshot::StateCheck& check : verification.checks) {
    v1::StateCheck& one = *message.add_checks();
    one.set_subject(check.subject);
    one.set_seq(check.seq);
    one.set_sha256(check.sha256);
    one.set_replayed_sha256(check.replayed_sha256);
    one.set_matches(check.matches());
    one.set_message(check.message);
  }
  return message;
}

std::string log_folder(const std::string& state_dir) {
  return state_dir + "/log";
}
std::string snapshot_folder(const std::string& state_dir) {
  return state_dir + "/snapshots";
}

Result<v1::VerifyLogResponse> verify_state_folder(const std::string& state_dir, bool check_state) {
  LG_ASSIGN(const event_log::Verification records, event_log::verify(log_folder(state_dir)));
  v1::VerifyLogResponse response = to_response(records);
  if (!check_state || !response.intact()) return response;
  LG_ASSIGN(const event_log::LogView log, event_log::view_offline(log_folder(state_dir)));
  LG_ASSIGN(const auto store, snapshot::find_store(snapshot_folder(state_dir)));
  LG_ASSIGN(const auto state, snapshot::verify_state(log, store.get(), std::nullopt));
  *response.mutable_state() = to_message(state);
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

void GrpcEventService::serve(const GrpcEdge& edge) {
  serve_replay(edge);
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
  serve_verify(edge);
}

namespace {

Result<v1::VerifyLogResponse> verify(const std::string& state_dir, const event_log::EventLog& log,
                                     const std::optional<registry::StateCopy>& living) {
  LG_ASSIGN(const event_log::Verification records, event_log::verify(log_folder(state_dir)));
  v1::VerifyLogResponse response = to_response(records);
  if (!living || !response.intact()) return response;
  LG_ASSIGN(const auto store, snapshot::find_store(snapshot_folder(state_dir)));
  LG_ASSIGN(const auto state, snapshot::verify_state(log.view(), store.get(), registry::to_message(*living)));
  *response.mutable_state() = to_message(state);
  return response;
}

}  // namespace

void GrpcEventService::serve_verify(const GrpcEdge& edge) {
  edge.serve<Service, v1::VerifyLogRequest, v1::VerifyLogResponse>(
      service_, &Service::RequestVerifyLog, [this](auto call, const Caller&) {
        const auto answer = [this, call](std::optional<registry::StateCopy> living) {
          readers_.submit([this, call, living = std::move(living)] {
            const auto response = verify(state_dir_, readers_.log(), living);
            if (response) {
              call->finish(*response);
            } else {
              call->fail(response.error());
            }
          });
        };
        if (call->request().check_state()) {
          kernel_.copy_state([answer](registry::StateCopy living) { answer(std::move(living)); });
        } else {
          answer(std::nullopt);
        }
      });
}

}  // namespace liongate::daemon
