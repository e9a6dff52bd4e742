#include "cli/evidence_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <ostream>

#include "cli/json_output.h"
#include "kernel/base/limits.h"
#include "kernel/base/sys.h"

namespace liongate::cli {
namespace {

constexpr mode_t kFileMode = 0644;  // both are public

Result<void> write_evidence(const std::string& path, const std::string& text) {
  const std::string unfinished = path + ".unfinished";
  LG_ASSIGN(const UniqueFd file, sys::open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, kFileMode));
  LG_TRY(sys::write_all(file.get(), text));
  if (::fsync(file.get()) != 0) return make_errno_error(Reason::kInternal, "fsync " + unfinished, errno);
  if (std::rename(unfinished.c_str(), path.c_str()) != 0) {
    return make_errno_error(Reason::kInternal, "rename " + unfinished + " to " + path, errno);
  }
  return {};
}

}  // namespace

Result<std::string> read_evidence(const std::string& path) {
  if (path.empty()) return std::string();
  auto text = sys::read_file(path, limits::kNoteBytesMax);
  if (!text) {
    return make_error(Reason::kInvalidArgument, text.error().message)
        .with_hint("name a file that was made by liongatectl export-checkpoint or export-log-key");
  }
  return text->empty() ? "\n" : std::move(*text);
}

ExitCode deliver_evidence(Context& context, const std::string& path, const std::string& text,
                          const google::protobuf::Message& response) {
  if (!path.empty()) {
    const auto written = write_evidence(path, text);
    if (!written) return fail(context, failure_of(written.error(), context.verb));
  } else if (context.json()) {
    print_json(context, response);
  } else {
    context.out << text;
  }
  return finish(context);
}

}  // namespace liongate::cli
