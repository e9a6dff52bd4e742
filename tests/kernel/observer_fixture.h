// What tests of observers do: load one, call others beside it, look at what it was shown.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "tests/kernel/kernel_fixture.h"

namespace liongate::testing {

inline orchestrator::LoadRequest observer_request(v1::ObserverSettings settings = {}) {
  orchestrator::LoadRequest request;
  request.source.manifest.set_role("observer");
  *request.source.manifest.mutable_observer() = std::move(settings);
  return request;
}

inline v1::ObserverSettings showing(const std::vector<std::string>& types, const std::string& start = "") {
  v1::ObserverSettings settings;
  for (const std::string& type : types) settings.add_types(type);
  settings.set_start(start);
  return settings;
}

inline std::shared_ptr<FakePlugin> observe(Kernel& kernel, const std::string& name, v1::ObserverSettings settings = {},
                                           Script script = {}) {
  kernel.launcher().script = std::move(script);
  const Result<v1::Plugin> loaded = kernel.wait(kernel.load(name, observer_request(std::move(settings))));
  INFO((loaded ? std::string() : loaded.error().message));
  REQUIRE(loaded.has_value());
  return kernel.launcher().plugins.back();
}

// Calls that are all answered.
inline void call(Kernel& kernel, int times, const std::string& plugin = "hello") {
  for (int i = 0; i < times; ++i) {
    const auto outcome = kernel.invoke(plugin);
    REQUIRE(kernel.until([&] { return outcome->done(); }));
    REQUIRE(outcome->succeeded());
  }
}

inline std::vector<EventSeq> seqs_of(const FakePlugin& plugin) {
  std::vector<EventSeq> seqs;
  for (const v1::Event& event : plugin.events()) seqs.push_back(event.seq());
  return seqs;
}

inline bool was_shown(const FakePlugin& plugin, EventSeq seq) {
  const std::vector<EventSeq> seqs = seqs_of(plugin);
  return std::find(seqs.begin(), seqs.end(), seq) != seqs.end();
}

inline v1::ObserverStatus status_of(Kernel& kernel, const std::string& name) {
  return kernel.orchestrator().get(name).value().observer();
}

inline bool wait_acknowledged(Kernel& kernel, const std::string& name, EventSeq seq) {
  return kernel.until([&] { return status_of(kernel, name).cursor_seq() >= seq; });
}

inline PluginId listed(Kernel& kernel, const std::string& id, Result<v1::Plugin>* outcome = nullptr) {
  orchestrator::LoadRequest request;
  request.source.listing = v1::PluginListing();
  request.source.listing->set_id(id);
  request.source.listing->set_file("/etc/liongate/plugins.yaml");
  Result<v1::Plugin> result = kernel.wait(kernel.load("", std::move(request)));
  if (outcome != nullptr) *outcome = result;
  const Result<v1::Plugin> present = kernel.orchestrator().get(id);
  REQUIRE(present.has_value());
  return PluginId(present->plugin_id());
}

}  // namespace liongate::testing
