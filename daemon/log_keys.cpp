#include "daemon/log_keys.h"

#include <unistd.h>

#include "daemon/daemon.h"
#include "kernel/base/sys.h"
#include "kernel/event_log/folder_lock.h"
#include "kernel/signing/key_folder.h"

namespace liongate::daemon {
namespace {

Result<std::string> read_evidence(const std::string& path) {
  auto text = sys::read_file(path, limits::kNoteBytesMax);
  if (text) return text;
  Error error = make_error(Reason::kInvalidArgument, text.error().message);
  error.sys_errno = text.error().sys_errno;
  error.hint = "name a file that was made by liongatectl export-checkpoint or export-log-key";
  return error;
}

// The public key that the private one belongs to would need the private one; the last of the ring is the same.
Result<signing::NoteKey> key_in_force(const std::string& folder) {
  LG_ASSIGN(const signing::KeyRing ring, signing::read_key_ring(folder));
  if (!ring.empty()) return ring.keys().back();
  return make_error(Reason::kInvalidArgument, "there is no key in " + folder)
      .with_hint("the first start of liongated makes one");
}

}  // namespace

std::string keys_folder(const std::string& state_dir) {
  return state_dir + "/keys";
}

std::string log_folder_in(const std::string& folder) {
  return ::access((folder + "/log").c_str(), F_OK) == 0 ? folder + "/log" : folder;
}

Result<std::string> change_log_key(const std::string& state_dir, KeyChange change) {
  const std::string log = log_folder(state_dir);
  if (::access(log.c_str(), F_OK) != 0) {
    return make_error(Reason::kInvalidArgument, state_dir + " holds no event log")
        .with_hint("name the daemon's state folder");
  }
  LG_ASSIGN(const event_log::FolderLock lock, event_log::FolderLock::take(log));
  LG_ASSIGN(const std::string name, event_log::signing_name(log));
  const SystemClock clock;
  const std::string folder = keys_folder(state_dir);
  LG_ASSIGN(const signing::NoteKey key, change == KeyChange::kRotate
                                            ? signing::rotate_log_key(folder, name, clock.wall_ns())
                                            : signing::replace_lost_log_key(folder, name));
  return key.text();
}

Result<std::string> export_log_key(const std::string& state_dir) {
  LG_ASSIGN(const signing::NoteKey key, key_in_force(keys_folder(state_dir)));
  return key.text();
}

Result<event_log::Evidence> make_evidence(const std::string& keys_folder, const EvidenceTexts& texts) {
  event_log::Evidence evidence;
  LG_ASSIGN(evidence.keys, signing::read_key_ring(keys_folder));
  evidence.checkpoint = texts.checkpoint;
  if (texts.key.empty()) return evidence;
  std::string_view key = texts.key;
  if (key.ends_with('\n')) key.remove_suffix(1);
  evidence.trusted = signing::NoteKey::parse(key);
  if (!evidence.trusted) {
    return make_error(Reason::kInvalidArgument, "the key given is no public key")
        .with_hint("make the file with liongatectl export-log-key");
  }
  return evidence;
}

Result<event_log::Evidence> collect_evidence(const std::string& folder, const EvidenceFiles& files) {
  EvidenceTexts texts;
  if (!files.checkpoint.empty()) {
    LG_ASSIGN(texts.checkpoint, read_evidence(files.checkpoint));
    // An empty file must not pass for a checkpoint that was not given.
    if (texts.checkpoint.empty()) texts.checkpoint = "\n";
  }
  if (!files.key.empty()) {
    LG_ASSIGN(texts.key, read_evidence(files.key));
    if (texts.key.empty()) texts.key = "\n";
  }
  const std::string log = log_folder_in(folder);
  const std::string state = log == folder ? folder + "/.." : folder;
  return make_evidence(keys_folder(state), texts);
}

}  // namespace liongate::daemon
