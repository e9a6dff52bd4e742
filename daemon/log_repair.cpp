#include "daemon/log_repair.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <cstdio>

#include "kernel/event_log/repair.h"

namespace liongate::daemon {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;

void print_json(const event_log::Repair& repair) {
  Struct report;
  auto& fields = *report.mutable_fields();
  fields["repaired"].set_bool_value(!repair.damages.empty());
  fields["events"].set_string_value(std::to_string(repair.events));
  fields["first_seq"].set_string_value(std::to_string(repair.first_seq));
  fields["last_seq"].set_string_value(std::to_string(repair.last_seq));
  fields["quarantine"].set_string_value(repair.quarantine);
  fields["shortened"].set_string_value(repair.shortened);
  fields["shortened_at"].set_string_value(std::to_string(repair.shortened_at));
  ListValue& moved = *fields["moved"].mutable_list_value();
  for (const std::string& name : repair.moved) moved.add_values()->set_string_value(name);
  ListValue& damages = *fields["damages"].mutable_list_value();
  for (const event_log::Damage& damage : repair.damages) {
    auto& entry = *damages.add_values()->mutable_struct_value()->mutable_fields();
    entry["kind"].set_string_value(std::string(name_of(damage.kind)));
    entry["segment"].set_string_value(damage.segment);
    entry["offset"].set_string_value(std::to_string(damage.offset));
    entry["seq"].set_string_value(std::to_string(damage.last_good_seq));
    entry["message"].set_string_value(damage.message);
  }
  std::string text;
  if (google::protobuf::util::MessageToJsonString(report, &text).ok()) std::puts(text.c_str());
}

void print_text(const event_log::Repair& repair) {
  const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  if (repair.damages.empty()) {
    std::printf("nothing to repair: %llu events, %llu to %llu\n", number(repair.events), number(repair.first_seq),
                number(repair.last_seq));
    return;
  }
  for (const event_log::Damage& damage : repair.damages) std::printf("damage: %s\n", damage.message.c_str());
  if (repair.events == 0) {
    std::puts("kept: no event");
  } else {
    std::printf("kept: %llu events, %llu to %llu\n", number(repair.events), number(repair.first_seq),
                number(repair.last_seq));
  }
  if (!repair.shortened.empty()) {
    std::printf("kept in part: %s up to offset %llu, the whole of it is in quarantine\n", repair.shortened.c_str(),
                number(repair.shortened_at));
  }
  for (const std::string& name : repair.moved) std::printf("moved: %s\n", name.c_str());
  std::printf("nothing was deleted: the rest lies in %s\n", repair.quarantine.c_str());
}

}  // namespace

Result<void> repair_log(const std::string& log_folder, bool json) {
  LG_ASSIGN(const event_log::Repair repair, event_log::repair(log_folder));
  json ? print_json(repair) : print_text(repair);
  return {};
}

}  // namespace liongate::daemon
