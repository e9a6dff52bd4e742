// Replays the whole log of a running daemon through gRPC and counts: events a second as a client sees them.
//
// Usage: bench_replay_client SOCKET

#include <grpcpp/grpcpp.h>

#include <string>

#include "bench/measurement.h"
#include "liongate/v1/event_service.grpc.pb.h"

namespace liongate::bench {
namespace {

int run(int argc, char** argv) {
  if (argc != 2) give_up("usage: bench_replay_client SOCKET");
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  const auto channel =
      grpc::CreateCustomChannel(std::string("unix:") + argv[1], grpc::InsecureChannelCredentials(), arguments);
  const auto stub = v1::EventService::NewStub(channel);
  grpc::ClientContext context;
  const std::uint64_t begin = now_ns();
  const auto reader = stub->ReplayEvents(&context, v1::ReplayEventsRequest());
  v1::ReplayEventsResponse response;
  std::uint64_t events = 0;
  std::uint64_t last_seq = 0;
  while (reader->Read(&response)) {
    for (const v1::Event& event : response.events()) {
      if (event.seq() != last_seq + 1) give_up("bench_replay_client: the sequence has a gap");
      last_seq = event.seq();
    }
    events += static_cast<std::uint64_t>(response.events_size());
  }
  if (const grpc::Status status = reader->Finish(); !status.ok()) {
    give_up("bench_replay_client: " + status.error_message());
  }
  const double elapsed_s = static_cast<double>(now_ns() - begin) / 1e9;
  print_figures({{"events_per_s", static_cast<double>(events) / elapsed_s}, {"events", static_cast<double>(events)}});
  return 0;
}

}  // namespace
}  // namespace liongate::bench

int main(int argc, char** argv) {
  return liongate::bench::run(argc, argv);
}
