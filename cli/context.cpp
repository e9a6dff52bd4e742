#include "cli/context.h"

#include <ostream>
#include <sstream>

#include "cli/plain_text.h"
#include "config/document.h"

namespace liongate::cli {
namespace {

config::Node text_node(const std::string& text) {
  config::Node node;
  node.kind = config::NodeKind::kString;
  node.text = text;
  return node;
}

std::string error_json(const Failure& failure) {
  config::Node object;
  object.kind = config::NodeKind::kTable;
  config::Node metadata = object;
  for (const auto& [key, value] : failure.metadata) metadata.members.push_back({key, 1, text_node(value)});
  const bool has_subject = failure.subject.empty() || failure.what.starts_with(failure.subject);
  object.members.push_back({"code", 1, text_node(failure.code)});
  object.members.push_back({"reason", 1, text_node(failure.reason)});
  object.members.push_back(
      {"message", 1, text_node(has_subject ? failure.what : failure.subject + ": " + failure.what)});
  object.members.push_back({"metadata", 1, std::move(metadata)});
  return config::to_json(object);
}

}  // namespace

ExitCode fail(Context& context, const Failure& failure) {
  context.out.flush();
  if (context.json()) {
    context.err << error_json(failure) << '\n';
    return failure.exit_code;
  }
  // All faults of a manifest or configuration come together, each a line of its own; any other error is one line.
  const bool is_list = failure.reason == "INVALID_MANIFEST" || failure.reason == "UNKNOWN_PERMISSION" ||
                       failure.reason == "INVALID_CONFIG";
  std::istringstream lines(failure.what.empty() ? "failed" : is_list ? failure.what : one_line(failure.what));
  for (std::string line; std::getline(lines, line);) {
    const bool names_subject = failure.subject.empty() || line.starts_with(failure.subject);
    context.err << "liongatectl: " << (names_subject ? "" : one_line(failure.subject) + ": ") << one_line(line) << " ("
                << failure.reason << ")\n";
  }
  if (!failure.hint.empty()) context.err << "hint: " << one_line(failure.hint) << '\n';
  return failure.exit_code;
}

ExitCode finish(Context& context) {
  context.out.flush();
  if (context.out.good()) return ExitCode::kDone;
  return fail(context, {ExitCode::kFailure,
                        "stdout",
                        "the output could not be written",
                        "INTERNAL",
                        "INTERNAL",
                        "is the disk full?",
                        {}});
}

void warn(Context& context, const std::string& text) {
  context.err << "warning: " << one_line(text) << '\n';
}

}  // namespace liongate::cli
