#include "daemon/grpc_event_service.h"

#include <atomic>
#include <limits>
#include <optional>

#include "daemon/daemon.h"
#include "daemon/log_keys.h"
#include "daemon/log_replay.h"
#include "kernel/event_log/query.h"
#include "kernel/registry/state.h"

namespace liongate::daemon {

using event_log::Filter;

namespace {

using EventRpc = GrpcEventService::Service;
using SummaryCall = UnaryCall<EventRpc, v1::SummarizeEventsRequest, v1::SummarizeEventsResponse>;
using VerifyCall = UnaryCall<EventRpc, v1::VerifyLogRequest, v1::VerifyLogResponse>;

// An event's time is nanoseconds since 1970 in 63 bits; what no event can have is asked for by mistake.
Result<std::int64_t> to_ns(const google::protobuf::Timestamp& time, const char* field) {
  constexpr std::int64_t kNanos = 1'000'000'000;
  constexpr std::int64_t kSecondsMax = std::numeric_limits<std::int64_t>::max() / kNanos - 1;
  if (time.nanos() < 0 || time.nanos() >= kNanos || time.seconds() > kSecondsMax || time.seconds() < 0) {
    return make_error(Reason::kInvalidArgument, std::string(field) + " is no time that an event can have")
        .with_hint("name a time between the years 1970 and 2262")
        .with("field", field);
  }
  return time.seconds() * kNanos + time.nanos();
}

v1::SummarizeEventsResponse to_summary_response(const event_log::Summary& summary) {
  const auto count = [&](const char* type) {
    const auto found = summary.counts_by_type.find(type);
    return found == summary.counts_by_type.end() ? 0 : found->second;
  };
  v1::SummarizeEventsResponse response;
  response.set_total(summary.total);
  response.set_first_seq(summary.first_seq);
  response.set_last_seq(summary.last_seq);
  response.set_plugins_invoked(count("PluginInvoked"));
  response.set_plugins_completed(count("PluginResult"));
  response.set_plugins_failed(count("PluginError"));
  response.set_tasks_submitted(count("TaskSubmitted"));
  response.set_tasks_completed(count("TaskCompleted"));
  response.set_tasks_failed(count("TaskError"));
  response.mutable_counts_by_type()->insert(summary.counts_by_type.begin(), summary.counts_by_type.end());
  return response;
}

Error ended_early(bool stopping) {
  return stopping ? make_error(Reason::kShuttingDown, "the daemon is shutting down")
                  : make_error(Reason::kCancelled, "the client went away");
}

// One SummarizeEvents call: counts in slices, between which others have their turn.
class LogSummary final : public std::enable_shared_from_this<LogSummary> {
 public:
  LogSummary(LogReaders& readers, std::shared_ptr<SummaryCall> call, Filter filter)
      : readers_(readers), call_(std::move(call)), filter_(std::move(filter)) {}

  void start() {
    call_->set_on_cancel([self = shared_from_this()] { self->cancelled_ = true; });
    readers_.submit([self = shared_from_this()] { self->step(); });
  }

 private:
  void step() {
    if (query_ == nullptr) {
      auto query = readers_.log().query(filter_);
      if (!query) {
        call_->fail(query.error());
        return;
      }
      query_ = std::move(*query);
    }
    if (readers_.stopping() || cancelled_) {
      call_->fail(ended_early(readers_.stopping()));
      return;
    }
    query_->begin_slice();
    const auto step = query_->count(summary_);
    if (!step) {
      call_->fail(step.error());
    } else if (*step == event_log::EventQuery::Step::kEnd) {
      v1::SummarizeEventsResponse response = to_summary_response(summary_);
      if (call_->request().explain()) *response.mutable_cost() = to_message(query_->cost());
      call_->finish(response);
    } else {
      readers_.submit([self = shared_from_this()] { self->step(); });
    }
  }

  LogReaders& readers_;
  std::shared_ptr<SummaryCall> call_;
  Filter filter_;
  std::unique_ptr<event_log::EventQuery> query_;
  event_log::Summary summary_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace

Result<Filter> to_filter(const v1::EventFilter& message) {
  Filter filter;
  filter.after_seq = message.after_seq();
  filter.plugin = message.plugin();
  filter.types.assign(message.types().begin(), message.types().end());
  filter.correlation_id = message.correlation_id();
  filter.actor = message.actor();
  filter.text = message.text();
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

void GrpcEventService::serve_replay(const GrpcEdge& edge) {
  auto handler = [this, &edge](std::shared_ptr<ReplayCall> call) {
    if (!edge.admit(call)) return;
    Result<Filter> filter = to_filter(call->request().filter());
    if (!filter) {
      call->fail(filter.error());
      return;
    }
    std::make_shared<LogReplay>(readers_, std::move(call), std::move(*filter))->start();
  };
  ReplayCall::arm(std::make_shared<const ReplayCall::Binding>(
      ReplayCall::Binding{service_, &EventRpc::RequestReplayEvents, edge.queue, edge.open_calls, handler}));
}

void GrpcEventService::serve_summary(const GrpcEdge& edge) {
  auto handler = [this, &edge](std::shared_ptr<SummaryCall> call) {
    if (!edge.admit(call)) return;
    Result<Filter> filter = to_filter(call->request().filter());
    if (!filter) {
      call->fail(filter.error());
      return;
    }
    std::make_shared<LogSummary>(readers_, std::move(call), std::move(*filter))->start();
  };
  SummaryCall::arm(std::make_shared<const SummaryCall::Binding>(SummaryCall::Binding{
      service_, &EventRpc::RequestSummarizeEvents, edge.queue, edge.open_calls, handler, Cancellation::kReported}));
}

Result<v1::VerifyLogResponse> GrpcEventService::verify(const v1::VerifyLogRequest& request,
                                                       const std::optional<registry::StateCopy>& living,
                                                       const event_log::VerifyProgress& go_on) {
  LG_ASSIGN(const event_log::Evidence evidence,
            make_evidence(keys_folder(state_dir_), {request.checkpoint(), request.key()}));
  LG_ASSIGN(const event_log::Verification records, event_log::verify(log_folder(state_dir_), evidence, go_on));
  v1::VerifyLogResponse response = to_response(records);
  if (!living || !response.intact()) return response;
  LG_ASSIGN(const auto store, snapshot::find_store(state_.snapshot_folder));
  const auto replay_on = [&](EventSeq) { return go_on(0, 0); };
  LG_ASSIGN(const auto state,
            snapshot::verify_state(readers_.log().view(), store.get(), registry::to_message(*living), replay_on));
  *response.mutable_state() = to_message(state);
  return response;
}

void GrpcEventService::serve_verify(const GrpcEdge& edge) {
  auto handler = [this, &edge](std::shared_ptr<VerifyCall> call) {
    if (!edge.admit(call)) return;
    const auto cancelled = std::make_shared<std::atomic<bool>>(false);
    call->set_on_cancel([cancelled] { *cancelled = true; });
    const auto submit = [this, call, cancelled](std::optional<registry::StateCopy> living) {
      const bool taken = readers_.submit_verification([this, call, cancelled, living = std::move(living)] {
        const auto go_on = [&](std::uint64_t, std::uint64_t) { return !*cancelled && !readers_.stopping(); };
        const auto response = verify(call->request(), living, go_on);
        if (response) {
          call->finish(*response);
        } else if (response.error().reason == Reason::kCancelled) {
          call->fail(ended_early(readers_.stopping()));
        } else {
          call->fail(response.error());
        }
      });
      if (!taken) {
        call->fail(make_error(Reason::kQueueFull, std::to_string(limits::kVerificationsMax) +
                                                      " verifications of the log are under way or wait"));
      }
    };
    if (!call->request().check_state() || !state_.copy) {
      submit(std::nullopt);
      return;
    }
    edge.post([this, submit] { state_.copy([submit](registry::StateCopy living) { submit(std::move(living)); }); });
  };
  VerifyCall::arm(std::make_shared<const VerifyCall::Binding>(VerifyCall::Binding{
      service_, &EventRpc::RequestVerifyLog, edge.queue, edge.open_calls, handler, Cancellation::kReported}));
}

void GrpcEventService::serve_exports(const GrpcEdge& edge) {
  edge.serve<EventRpc, v1::ExportCheckpointRequest, v1::ExportCheckpointResponse>(
      service_, &EventRpc::RequestExportCheckpoint, [this](auto call, const Caller&) {
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
  edge.serve<EventRpc, v1::ExportLogKeyRequest, v1::ExportLogKeyResponse>(
      service_, &EventRpc::RequestExportLogKey, [this](auto call, const Caller&) {
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
  serve_summary(edge);
  serve_verify(edge);
  serve_exports(edge);
}

}  // namespace liongate::daemon
