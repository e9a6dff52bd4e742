#include "cli/permission_text.h"

#include <ostream>

#include "cli/plain_text.h"
#include "cli/table.h"

namespace liongate::cli {
namespace {

const char* word_of(bool granted) {
  return granted ? "granted" : "refused";
}

std::string effective_text(const v1::LimitDecision& limit) {
  if (!limit.granted()) return "refused";
  if (limit.effective() == 0) return "the host's default";
  return std::to_string(limit.effective()) + (limit.asked() == 0 ? ", lowered" : "");
}

}  // namespace

void print_decision(Context& context, const std::string& subject, const v1::PolicyDecision& decision) {
  context.out << one_line(subject) << ": " << coloured(context, word_of(decision.granted())) << " in environment "
              << one_line(decision.environment());
  if (decision.permissions().empty()) context.out << "; it asks for no permission";
  context.out << '\n';
  if (!decision.permissions().empty() || !decision.revoked().empty()) {
    Table table({"PERMISSION", "DECISION", "RULE", "WHY", "WHAT WOULD CHANGE IT"});
    for (const v1::PermissionDecision& one : decision.permissions()) {
      table.add({one.permission(), word_of(one.granted()), one.rule(), one.why(), one.remedy()});
    }
    for (const v1::PermissionDecision& one : decision.revoked()) {
      table.add({one.permission(), "revoked", one.rule(), one.why(), one.remedy()});
    }
    context.out << '\n';
    table.flush(context);
  }
  if (decision.limits().empty()) return;
  Table table({"LIMIT", "ASKED", "CEILING", "IN FORCE", "RULE", "WHAT WOULD CHANGE IT"});
  for (const v1::LimitDecision& one : decision.limits()) {
    table.add({one.limit(), one.asked() == 0 ? "not stated" : std::to_string(one.asked()),
               std::to_string(one.ceiling()), effective_text(one), one.rule(), one.remedy()});
  }
  context.out << '\n';
  table.flush(context);
}

}  // namespace liongate::cli
