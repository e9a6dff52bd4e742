// Gets the secrets that a plugin was granted, has them hidden in events, and records who is given which.
//
// The order is: fetch, record, give. A delivery that cannot be recorded does not happen.
//
// Ownership and thread: owned by the orchestrator; kernel thread. Keeps no value itself.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernel/orchestrator/journal.h"
#include "kernel/policy/secret_source.h"
#include "kernel/policy/secrets.h"

namespace liongate::orchestrator {

class SecretDelivery {
 public:
  using Values = std::vector<policy::SecretValue>;
  using Done = std::function<void(Result<Values>)>;

  // `source` may be null: then no secret has a value.
  SecretDelivery(policy::SecretSource* source, policy::Secrets& hidden, Journal& journal)
      : source_(source), hidden_(hidden), journal_(journal) {}

  // The values, as they are now, of all secrets that `manifest` has a permission for; hidden in events from then on.
  // `done` is called in a later turn, exactly once; at once where there are none. Errors: those of SecretSource::fetch,
  // and kInvalidConfig for a value too short to be hidden; each says which plugin it concerns.
  void fetch(const v1::Manifest& manifest, Done done);
  // The same for one secret, which the caller knows to be granted.
  void fetch_one(const std::string& name, Done done);

  // Records that `values` are about to be given: one SecretDelivered each, made of `origin` (plugin, instance, call,
  // actor). `how` is that of the event. Fails as Journal::record does.
  Result<void> record(const v1::Event& origin, const Values& values, const char* how);

 private:
  void fetch_names(std::vector<std::string> names, Done done);

  policy::SecretSource* source_;
  policy::Secrets& hidden_;
  Journal& journal_;
};

// What `how` may be.
inline constexpr const char* kDeliveredAsFile = "file";
inline constexpr const char* kDeliveredByHostCall = "host_call";

// The names of the permissions secret:NAME in `manifest`.
std::vector<std::string> secrets_of(const v1::Manifest& manifest);

}  // namespace liongate::orchestrator
