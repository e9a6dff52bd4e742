// Calls one plugin over the daemon's socket with a fixed number of calls in flight: latency of each, calls a second.
//
// Usage: bench_invoke SOCKET PLUGIN IN_FLIGHT SECONDS [durable|before_run|batch|async]
// One thread, one asynchronous completion queue: at any time IN_FLIGHT calls are open; each that ends begins the next.
// The peers (bench_chain) serve the same method, so that one client measures all.

#include <grpcpp/grpcpp.h>
#include <sys/resource.h>

#include <memory>
#include <string>

#include "bench/measurement.h"
#include "liongate/v1/plugin_service.grpc.pb.h"

namespace liongate::bench {
namespace {

constexpr std::size_t kInputBytes = 100;
constexpr int kWarmUpCalls = 500;

struct Call {
  grpc::ClientContext context;
  v1::InvokePluginResponse response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::InvokePluginResponse>> reader;
  std::uint64_t begin_ns = 0;
};

double cpu_us() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto us = [](const timeval& t) { return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec); };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

v1::Durability durability_of(const std::string& name) {
  if (name == "before_run") return v1::DURABILITY_BEFORE_RUN;
  if (name == "batch") return v1::DURABILITY_BATCH;
  if (name == "async") return v1::DURABILITY_ASYNC;
  if (name == "durable") return v1::DURABILITY_DURABLE;
  give_up("bench_invoke: unknown durability: " + name);
}

class InvokeLoad {
 public:
  InvokeLoad(const std::string& socket, v1::InvokePluginRequest request)
      : channel_(grpc::CreateChannel("unix:" + socket, grpc::InsecureChannelCredentials())),
        stub_(v1::PluginService::NewStub(channel_)),
        request_(std::move(request)) {
    if (!channel_->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(20))) {
      give_up("bench_invoke: nobody answers at " + socket);
    }
  }

  // Keeps `in_flight` calls open for `calls_max` calls or until `end_ns`, whichever comes first.
  void run(int in_flight, std::uint64_t calls_max, std::uint64_t end_ns) {
    samples_.clear();
    std::uint64_t begun = 0;
    int open = 0;
    for (; open < in_flight && begun < calls_max; ++open, ++begun) begin();
    void* tag = nullptr;
    bool ok = false;
    while (open > 0 && queue_.Next(&tag, &ok)) {
      const std::unique_ptr<Call> call(static_cast<Call*>(tag));
      const std::uint64_t now = now_ns();
      if (!call->status.ok()) give_up("bench_invoke: a call failed: " + call->status.error_message());
      if (call->response.text().size() != kInputBytes) give_up("bench_invoke: the answer is not the input");
      samples_.add_ns(now - call->begin_ns);
      --open;
      if (begun < calls_max && now < end_ns) {
        begin();
        ++begun;
        ++open;
      }
    }
  }

  Samples& samples() { return samples_; }

 private:
  void begin() {
    auto* call = new Call;  // owned by the queue until its tag comes back
    call->begin_ns = now_ns();
    call->reader = stub_->AsyncInvokePlugin(&call->context, request_, &queue_);
    call->reader->Finish(&call->response, &call->status, call);
  }

  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::PluginService::Stub> stub_;
  v1::InvokePluginRequest request_;
  grpc::CompletionQueue queue_;
  Samples samples_;
};

int run(int argc, char** argv) {
  if (argc < 5) give_up("usage: bench_invoke SOCKET PLUGIN IN_FLIGHT SECONDS [DURABILITY]");
  v1::InvokePluginRequest request;
  request.set_plugin(argv[2]);
  request.set_text(std::string(kInputBytes, 'a'));
  request.set_durability(durability_of(argc > 5 ? argv[5] : "durable"));
  const int in_flight = std::atoi(argv[3]);
  const double seconds = std::atof(argv[4]);

  InvokeLoad load(argv[1], request);
  load.run(in_flight, kWarmUpCalls, ~0ULL);
  const std::uint64_t begin = now_ns();
  const double cpu_before_us = cpu_us();
  load.run(in_flight, ~0ULL, begin + static_cast<std::uint64_t>(seconds * 1e9));
  const double elapsed_s = static_cast<double>(now_ns() - begin) / 1e9;
  const auto calls = static_cast<double>(load.samples().count());
  print_figures({{"p50_us", load.samples().percentile_us(0.50)},
                 {"p99_us", load.samples().percentile_us(0.99)},
                 {"calls_per_s", calls / elapsed_s},
                 {"calls", calls},
                 {"client_cpu_us_per_call", (cpu_us() - cpu_before_us) / calls}});
  return 0;
}

}  // namespace
}  // namespace liongate::bench

int main(int argc, char** argv) {
  return liongate::bench::run(argc, argv);
}
