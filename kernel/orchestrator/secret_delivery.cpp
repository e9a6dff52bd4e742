#include "kernel/orchestrator/secret_delivery.h"

namespace liongate::orchestrator {
namespace {

constexpr std::string_view kPrefix = "secret:";

}  // namespace

std::vector<std::string> secrets_of(const v1::Manifest& manifest) {
  std::vector<std::string> names;
  for (const std::string& permission : manifest.permissions()) {
    if (permission.starts_with(kPrefix)) names.push_back(permission.substr(kPrefix.size()));
  }
  return names;
}

void SecretDelivery::fetch(const v1::Manifest& manifest, Done done) {
  std::vector<std::string> names = secrets_of(manifest);
  if (names.empty()) {
    done(Values());
    return;
  }
  fetch_names(std::move(names), [plugin = manifest.name(), done = std::move(done)](Result<Values> values) {
    done(values ? std::move(values) : std::move(values).error().in("plugin " + plugin));
  });
}

void SecretDelivery::fetch_one(const std::string& name, Done done) {
  fetch_names({name}, std::move(done));
}

void SecretDelivery::fetch_names(std::vector<std::string> names, Done done) {
  if (source_ == nullptr) {
    done(make_error(Reason::kInvalidConfig, "secret " + names.front() + ": there is no source of secrets"));
    return;
  }
  source_->fetch(std::move(names), [this, done = std::move(done)](Result<Values> values) {
    if (values) {
      for (const policy::SecretValue& one : *values) {
        if (auto learned = hidden_.learn_value(one.name, one.value.text()); !learned) {
          done(std::move(learned).error());
          return;
        }
      }
    }
    done(std::move(values));
  });
}

Result<void> SecretDelivery::record(const v1::Event& origin, const Values& values, const char* how) {
  for (const policy::SecretValue& one : values) {
    v1::Event event = origin;
    event.set_type("SecretDelivered");
    v1::SecretDelivered& delivered = *event.mutable_secret_delivered();
    delivered.set_name(one.name);
    delivered.set_source(one.source);
    delivered.set_how(how);
    LG_TRY(journal_.record(event, event_log::SyncClass::kBatch, event_log::RecordUse::kNewWork));
  }
  return {};
}

}  // namespace liongate::orchestrator
