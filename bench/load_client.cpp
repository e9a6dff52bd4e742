// Loads a plugin and unloads it again, many times: how long from the manifest to Ready, RPC and durable event included.
//
// Usage: bench_load SOCKET MANIFEST COUNT

#include <grpcpp/grpcpp.h>

#include <string>

#include "bench/measurement.h"
#include "liongate/v1/plugin_service.grpc.pb.h"

namespace liongate::bench {
namespace {

void require(const grpc::Status& status, const std::string& what) {
  if (!status.ok()) give_up("bench_load: " + what + ": " + status.error_message());
}

int run(int argc, char** argv) {
  if (argc != 4) give_up("usage: bench_load SOCKET MANIFEST COUNT");
  const auto channel = grpc::CreateChannel(std::string("unix:") + argv[1], grpc::InsecureChannelCredentials());
  const auto stub = v1::PluginService::NewStub(channel);
  const int count = std::atoi(argv[3]);
  constexpr int kWarmUpLoads = 5;
  Samples loads;
  Samples unloads;
  for (int i = 0; i < count + kWarmUpLoads; ++i) {
    v1::LoadPluginRequest load;
    load.set_manifest_path(argv[2]);
    v1::LoadPluginResponse loaded;
    grpc::ClientContext load_context;
    const std::uint64_t begin = now_ns();
    require(stub->LoadPlugin(&load_context, load, &loaded), "load");
    const std::uint64_t ready = now_ns();
    v1::UnloadPluginRequest unload;
    unload.set_plugin(loaded.plugin_id());
    v1::UnloadPluginResponse unloaded;
    grpc::ClientContext unload_context;
    require(stub->UnloadPlugin(&unload_context, unload, &unloaded), "unload");
    if (i < kWarmUpLoads) continue;
    loads.add_ns(ready - begin);
    unloads.add_ns(now_ns() - ready);
  }
  print_figures({{"p50_us", loads.percentile_us(0.50)},
                 {"p99_us", loads.percentile_us(0.99)},
                 {"unload_p50_us", unloads.percentile_us(0.50)},
                 {"count", static_cast<double>(loads.count())}});
  return 0;
}

}  // namespace
}  // namespace liongate::bench

int main(int argc, char** argv) {
  return liongate::bench::run(argc, argv);
}
