// Goal: EventService over a real connection: a follower that is slow, gone, too late, or never reads; what is asked in
// vain; what ends early. Method: a gRPC server of its own over a real log and a socket pair; no daemon.
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/server_posix.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "daemon/grpc_event_service.h"
#include "kernel/event_log/event_log.h"

using namespace liongate;
using namespace liongate::daemon;
using event_log::EventLog;
using event_log::RecordUse;
using event_log::SyncClass;

namespace {

class Service {
 public:
  explicit Service(std::uint64_t retention_bytes_max = 0, uid_t owner = ::geteuid()) : peers_(owner) {
    REQUIRE(::mkdtemp(folder_.data()) != nullptr);
    event_log::Options options{
        .folder = folder_ + "/log", .segment_bytes = 256 * 1024, .retention_bytes_max = retention_bytes_max};
    log = EventLog::open(options, {}, clock_).value();
    readers = std::make_unique<LogReaders>(*log);
    service_ = std::make_unique<GrpcEventService>(*readers, folder_);
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_->service());
    queue_ = builder.AddCompletionQueue();
    server_ = builder.BuildAndStart();
    edge_ = std::make_unique<GrpcEdge>(GrpcEdge{
        *queue_, io_, peers_, open_calls_,
        [this](const std::string& actor, const std::string& action, const Error&, const std::function<void()>& then) {
          denied.push_back(actor + " " + action);
          then();
        }});
    service_->serve(*edge_);
    queue_thread_ = std::thread([this] {
      void* tag = nullptr;
      bool ok = false;
      while (queue_->Next(&tag, &ok)) static_cast<CompletionTag*>(tag)->on_completion(ok);
    });
    kernel_thread_ = std::thread([this] { io_.run(); });
  }
  ~Service() {
    readers->begin_stop();
    server_->Shutdown(std::chrono::system_clock::now());
    CHECK(open_calls_.wait_for_none(10'000));
    queue_->Shutdown();
    queue_thread_.join();
    work_.reset();
    kernel_thread_.join();
    readers->stop();
    server_.reset();
    (void)log->close();
    std::filesystem::remove_all(folder_);
  }

  std::unique_ptr<v1::EventService::Stub> connect() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    grpc::AddInsecureChannelFromFd(server_.get(), peers_.enroll(UniqueFd(ends[0])).value());
    return v1::EventService::NewStub(grpc::CreateInsecureChannelFromFd("test", ends[1]));
  }

  // Returns when all of them are durable.
  void append(int count, std::size_t text_bytes = 100) {
    for (int i = 0; i < count; ++i) {
      v1::Event event;
      event.set_type("PluginInvoked");
      event.set_plugin_name("hello");
      event.mutable_plugin_invoked()->mutable_input()->set_text(std::string(text_bytes, 'x'));
      const EventSeq seq = log->append(event, SyncClass::kNow, RecordUse::kNewWork).value();
      if (i % 64 == 63 || i + 1 == count) {
        while (log->durable_seq() < seq) std::this_thread::yield();
      }
    }
  }

  std::string log_folder() const { return folder_ + "/log"; }

  std::unique_ptr<EventLog> log;
  std::unique_ptr<LogReaders> readers;
  std::vector<std::string> denied;

 private:
  std::string folder_ = "/tmp/liongate-event-service-XXXXXX";
  SystemClock clock_;
  PeerCredentials peers_;
  OpenCalls open_calls_;
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_ = boost::asio::make_work_guard(io_);
  std::unique_ptr<GrpcEventService> service_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<GrpcEdge> edge_;
  std::thread queue_thread_;
  std::thread kernel_thread_;
};

struct Stream {
  Stream(v1::EventService::Stub& stub, EventSeq after_seq, bool follow) {
    v1::ReplayEventsRequest request;
    request.mutable_filter()->set_after_seq(after_seq);
    request.set_follow(follow);
    reader = stub.ReplayEvents(&context, request);
  }
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<v1::ReplayEventsResponse>> reader;
};

std::size_t resident_kb() {
  std::ifstream statm("/proc/self/statm");
  std::size_t size = 0;
  std::size_t resident = 0;
  statm >> size >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) / 1024;
}

}  // namespace

TEST_CASE("followers that never read cost little memory, hold up no commit, and find everything later") {
  Service service;
  service.append(10);
  const auto stub = service.connect();
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < 8; ++i) streams.push_back(std::make_unique<Stream>(*stub, 0, true));
  v1::ReplayEventsResponse first;
  for (const auto& stream : streams) REQUIRE(stream->reader->Read(&first));
  // 60 MB, all of it durable while nobody reads: a commit that waited for a follower would wait for ever. They fill
  // what may be filled: the log's queue, gRPC's windows on both sides.
  service.append(6'000, 10'000);
  const std::size_t filled_kb = resident_kb();
  // As much again costs nothing more; kept for a single one of the followers it would be 60 MB.
  service.append(6'000, 10'000);
  CHECK(resident_kb() < filled_kb + 20 * 1024);
  EventSeq expected = first.events(first.events_size() - 1).seq() + 1;
  const EventSeq last = service.log->last_seq();
  v1::ReplayEventsResponse batch;
  while (expected <= last && streams[0]->reader->Read(&batch)) {
    for (const v1::Event& event : batch.events()) CHECK(event.seq() == expected++);
  }
  CHECK(expected == last + 1);
  for (const auto& stream : streams) stream->context.TryCancel();
}

TEST_CASE("a cursor that retention has passed gets the gap, typed and counted, and then what is left") {
  Service service(1024 * 1024);
  service.append(50);
  const auto stub = service.connect();
  service.append(3'000, 2'000);
  Stream stream(*stub, 7, false);
  v1::ReplayEventsResponse batch;
  REQUIRE(stream.reader->Read(&batch));
  REQUIRE(batch.has_gap());
  CHECK(batch.gap().first_missing_seq() == 8);
  CHECK(batch.gap().count() == batch.gap().last_missing_seq() - 7);
  EventSeq expected = batch.gap().last_missing_seq() + 1;
  do {
    for (const v1::Event& event : batch.events()) CHECK(event.seq() == expected++);
  } while (stream.reader->Read(&batch));
  CHECK(expected == 3'051);
  CHECK(stream.reader->Finish().ok());
}

TEST_CASE("a follower whose filter matches little still hears how far it is") {
  Service service;
  const auto stub = service.connect();
  v1::ReplayEventsRequest request;
  request.mutable_filter()->set_plugin("nobody");
  request.set_follow(true);
  grpc::ClientContext context;
  const auto reader = stub->ReplayEvents(&context, request);
  service.append(static_cast<int>(limits::kReplayCursorEventsMax) + 200);
  v1::ReplayEventsResponse batch;
  REQUIRE(reader->Read(&batch));
  CHECK(batch.events().empty());
  CHECK(batch.caught_up_seq() >= limits::kReplayCursorEventsMax);
  CHECK(batch.last_seq() >= batch.caught_up_seq());
  context.TryCancel();
}

TEST_CASE("what cannot be meant is refused as INVALID_ARGUMENT") {
  Service service;
  service.append(5);
  const auto stub = service.connect();
  const auto refused = [&](const v1::EventFilter& filter) {
    v1::SummarizeEventsRequest request;
    *request.mutable_filter() = filter;
    v1::SummarizeEventsResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub->SummarizeEvents(&context, request, &response);
    CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
    return status.error_message();
  };
  v1::EventFilter filter;
  filter.set_after_seq(6);
  CHECK(refused(filter).find("beyond the end") != std::string::npos);
  filter.Clear();
  filter.mutable_since()->set_seconds(-5);
  CHECK(refused(filter).find("since") != std::string::npos);
  filter.mutable_since()->set_seconds(253'402'300'799);  // the last second of the year 9999
  CHECK(refused(filter).find("since") != std::string::npos);
  filter.mutable_since()->set_seconds(2000);
  filter.mutable_until()->set_seconds(1000);
  CHECK(refused(filter).find("later than until") != std::string::npos);
}

TEST_CASE("a follower with an end in time is done when it has passed") {
  Service service;
  service.append(5);
  const auto stub = service.connect();
  v1::ReplayEventsRequest request;
  request.set_follow(true);
  request.mutable_filter()->mutable_until()->set_seconds(1000);
  grpc::ClientContext context;
  const auto reader = stub->ReplayEvents(&context, request);
  v1::ReplayEventsResponse batch;
  while (reader->Read(&batch)) CHECK(batch.events().empty());
  CHECK(reader->Finish().ok());
}

TEST_CASE("more followers than the bound are refused, and their places are free again") {
  Service service;
  service.append(1);
  const auto stub = service.connect();
  std::vector<std::unique_ptr<Stream>> streams;
  v1::ReplayEventsResponse batch;
  for (std::size_t i = 0; i < limits::kFollowersMax; ++i) {
    streams.push_back(std::make_unique<Stream>(*stub, 0, true));
    REQUIRE(streams.back()->reader->Read(&batch));
  }
  Stream late(*stub, 0, true);
  CHECK_FALSE(late.reader->Read(&batch));
  CHECK(late.reader->Finish().error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  for (const auto& stream : streams) {
    stream->context.TryCancel();
    while (stream->reader->Read(&batch)) {
    }
  }
  // The server hears of a cancellation a moment later.
  for (bool served = false; !served;) {
    Stream again(*stub, 0, true);
    served = again.reader->Read(&batch);
    again.context.TryCancel();
  }
}

TEST_CASE("verifications beyond the bound are refused; those that wait end with the daemon") {
  Service service;
  service.append(10);
  std::atomic<bool> go{false};
  for (int i = 0; i < limits::kVerificationsMax; ++i) {
    CHECK(service.readers->submit_verification([&go] { go.wait(false); }));
  }
  CHECK_FALSE(service.readers->submit_verification([] {}));
  const auto stub = service.connect();
  v1::VerifyLogRequest request;
  v1::VerifyLogResponse response;
  grpc::ClientContext context;
  CHECK(stub->VerifyLog(&context, request, &response).error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  // Queries go on meanwhile.
  v1::SummarizeEventsResponse summary;
  grpc::ClientContext second;
  CHECK(stub->SummarizeEvents(&second, v1::SummarizeEventsRequest(), &summary).ok());
  CHECK(summary.total() == 10);
  go = true;
  go.notify_all();
}

TEST_CASE("a verification ends early when nobody wants it any more") {
  Service service;
  service.append(200, 4'000);
  int asked = 0;
  const auto verification =
      event_log::verify(service.log_folder(), {}, [&](std::uint64_t, std::uint64_t) { return ++asked < 2; });
  REQUIRE_FALSE(verification.has_value());
  CHECK(verification.error().reason == Reason::kCancelled);
}

TEST_CASE("who may not call is refused, and the denial is recorded first") {
  Service service(0, ::geteuid() + 1);
  if (::geteuid() == 0) return;  // root may always call
  const auto stub = service.connect();
  v1::SummarizeEventsResponse response;
  grpc::ClientContext context;
  const grpc::Status status = stub->SummarizeEvents(&context, v1::SummarizeEventsRequest(), &response);
  CHECK(status.error_code() == grpc::StatusCode::UNAUTHENTICATED);
  CHECK(service.denied == std::vector<std::string>{"uid:" + std::to_string(::geteuid()) + " call SummarizeEvents"});
}
