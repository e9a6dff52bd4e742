// The attacker of the documentation and the integration tests: changes one event of a log at rest, and makes every
// checksum, hash, seal and header behind it right again (log_forger.h).
//
// Usage: forge_log STATE_DIR SEQ ACTOR              changes who caused event SEQ; the checkpoints' trees are computed
//                                                   again, their signatures stay
//        forge_log STATE_DIR SEQ ACTOR --drop       the same, and removes the checkpoints
//        forge_log STATE_DIR SEQ ACTOR --resign     the same, and signs them with a new key that replaces the keys
//        folder
// Exit codes: 0 done; 1 it could not be done; 2 usage.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "kernel/event_log/event_log.h"
#include "tests/event_log/log_forger.h"

namespace {

using namespace liongate;
using namespace liongate::event_log;

void write_text(const std::string& path, std::string_view text) {
  std::ofstream file(path, std::ios::trunc);
  file << text << '\n';
  std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

void replace_keys(const std::string& folder, const signing::NewNoteSigner& made) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) std::filesystem::remove(entry.path());
  write_text(folder + "/log-signing.key", made.text.text());
  write_text(folder + "/log-0001.pub", made.signer.public_key().text());
}

void run(const std::string& state_dir, EventSeq seq, const std::string& actor, std::string_view how) {
  const std::string log = state_dir + "/log";
  Forgery forgery{.seq = seq, .change = [&](v1::Event& event) { event.set_actor(actor); }};
  if (how == "--drop") forgery.checkpoints = ForgedCheckpoints::kDrop;
  std::optional<signing::NewNoteSigner> made;
  if (how == "--resign") {
    const auto name = signing_name(log);
    if (!name) throw std::runtime_error(name.error().message);
    made = signing::make_note_signer(*name);
    forgery.checkpoints = ForgedCheckpoints::kResign;
    forgery.signer = &made->signer;
  }
  forge(log, forgery);
  if (made) replace_keys(state_dir + "/keys", *made);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view how = argc == 5 ? argv[4] : "";
  if ((argc != 4 && argc != 5) || (argc == 5 && how != "--drop" && how != "--resign")) {
    std::fprintf(stderr, "usage: forge_log STATE_DIR SEQ ACTOR [--drop|--resign]\n");
    return 2;
  }
  try {
    run(argv[1], std::strtoull(argv[2], nullptr, 10), argv[3], how);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "forge_log: %s\n", problem.what());
    return 1;
  }
  return 0;
}
