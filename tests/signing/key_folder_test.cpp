// Goal: a log's keys are made once, kept private, handed over, replaced only when they are lost, and refused whenever
// they are not what they should be. Method: real folders; files changed, removed and cut short by hand.
#include "kernel/signing/key_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "kernel/base/limits.h"

using namespace liongate;
using namespace liongate::signing;

namespace {

const std::string kName = "liongate/7c9e6679-7425-40de-944b-e07fc1f90ae7";

struct Folder {
  std::string path = "/tmp/liongate-keys-XXXXXX";
  std::string keys;
  Folder() {
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    keys = path + "/keys";
  }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string file(const std::string& name) const { return keys + "/" + name; }
  void write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    std::ofstream(file(name), std::ios::trunc) << text;
    REQUIRE(::chmod(file(name).c_str(), mode) == 0);
  }
  std::string read(const std::string& name) const {
    std::ifstream stream(file(name));
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  mode_t mode(const std::string& name) const {
    struct stat info {};
    REQUIRE(::stat(file(name).c_str(), &info) == 0);
    return info.st_mode & 07777;
  }
  NoteKey open(const std::string& last_note = "") const {
    const auto signer = open_log_key(keys, {.name = kName, .last_note = last_note});
    INFO((signer ? "" : signer.error().message));
    REQUIRE(signer.has_value());
    return signer->public_key();
  }
  Error refused(const std::string& last_note = "") const {
    const auto signer = open_log_key(keys, {.name = kName, .last_note = last_note});
    REQUIRE_FALSE(signer.has_value());
    CHECK(signer.error().reason == Reason::kInvalidConfig);
    CHECK_FALSE(signer.error().hint.empty());
    return signer.error();
  }
};

}  // namespace

TEST_CASE("the first start makes a key, and every other opens it") {
  const Folder folder;
  const mode_t mask = ::umask(0);
  const NoteKey key = folder.open();
  ::umask(mask);
  CHECK(folder.mode("") == 0700);
  CHECK(folder.mode("log-signing.key") == 0600);
  CHECK(folder.read("log-0001.pub") == key.text() + "\n");
  CHECK(folder.open() == key);
  CHECK(read_key_ring(folder.keys)->keys() == std::vector<NoteKey>{key});
  CHECK(std::distance(std::filesystem::directory_iterator(folder.keys), {}) == 2);
}

TEST_CASE("a folder or a key that others can reach is refused") {
  const Folder folder;
  (void)folder.open();
  SECTION("folder") {
    REQUIRE(::chmod(folder.keys.c_str(), 0755) == 0);
    const Error error = folder.refused();
    CHECK(error.message.find("0755") != std::string::npos);
    CHECK(error.hint.find("chmod 700 " + folder.keys) == 0);
  }
  SECTION("key") {
    REQUIRE(::chmod(folder.file("log-signing.key").c_str(), 0640) == 0);
    CHECK(folder.refused().hint.find("chmod 600 ") == 0);
    CHECK_FALSE(replace_lost_log_key(folder.keys, kName).has_value());
  }
  SECTION("a link instead of a key") {
    std::filesystem::rename(folder.file("log-signing.key"), folder.path + "/elsewhere");
    std::filesystem::create_symlink(folder.path + "/elsewhere", folder.file("log-signing.key"));
    CHECK_FALSE(open_log_key(folder.keys, {.name = kName}).has_value());
  }
  SECTION("a folder instead of a key") {
    std::filesystem::remove(folder.file("log-signing.key"));
    std::filesystem::create_directory(folder.file("log-signing.key"));
    REQUIRE(::chmod(folder.file("log-signing.key").c_str(), 0700) == 0);
    CHECK_FALSE(open_log_key(folder.keys, {.name = kName}).has_value());
  }
  if (::geteuid() != 0) return;
  SECTION("another user's folder") {
    REQUIRE(::chown(folder.keys.c_str(), 65534, 65534) == 0);
    CHECK(folder.refused().message.find("belongs to uid 65534") != std::string::npos);
  }
  SECTION("another user's key") {
    REQUIRE(::chown(folder.file("log-signing.key").c_str(), 65534, 65534) == 0);
    CHECK(folder.refused().message.find("belongs to uid 65534") != std::string::npos);
  }
}

TEST_CASE("a key that is missing or no key is refused until somebody replaces it") {
  const Folder folder;
  const NoteKey first = folder.open();
  const std::string note = NoteSigner::parse(folder.read("log-signing.key"))->sign("liongate\n");
  SECTION("missing") {
    std::filesystem::remove(folder.file("log-signing.key"));
    CHECK(folder.refused().message.find("is missing") != std::string::npos);
  }
  SECTION("empty") {
    folder.write("log-signing.key", "");
    CHECK(folder.refused().message.find("holds no key") != std::string::npos);
  }
  SECTION("cut short") {
    folder.write("log-signing.key", folder.read("log-signing.key").substr(0, 60));
    CHECK(folder.refused().message.find("holds no key") != std::string::npos);
  }
  CHECK_FALSE(rotate_log_key(folder.keys, kName, 0).has_value());
  const auto second = replace_lost_log_key(folder.keys, kName);
  REQUIRE(second.has_value());
  CHECK(folder.open(note) == *second);
  const KeyRing ring = read_key_ring(folder.keys).value();
  CHECK(ring.keys() == std::vector<NoteKey>{first, *second});
  CHECK_FALSE(ring.vouches(first, *second));
}

TEST_CASE("a key that is there is not replaced") {
  const Folder folder;
  const NoteKey key = folder.open();
  const auto replaced = replace_lost_log_key(folder.keys, kName);
  REQUIRE_FALSE(replaced.has_value());
  CHECK(replaced.error().reason == Reason::kInvalidArgument);
  CHECK(folder.open() == key);
}

TEST_CASE("a folder that lost everything is not a first start where the log was signed") {
  const Folder folder;
  CHECK(folder.refused("any note").message.find("was signed before") != std::string::npos);
}

TEST_CASE("rotation hands over, and a verifier who trusts the first key can follow") {
  const Folder folder;
  std::vector<NoteKey> keys{folder.open()};
  for (int i = 0; i < 3; ++i) {
    keys.push_back(rotate_log_key(folder.keys, kName, 1'700'000'000'000'000'000).value());
    CHECK(folder.open() == keys.back());
  }
  const KeyRing ring = read_key_ring(folder.keys).value();
  CHECK(ring.keys() == keys);
  CHECK(ring.vouches(keys.front(), keys.back()));
  CHECK(folder.mode("log-signing.key") == 0600);
  CHECK(folder.read("log-0003.handover").find(kName + "\nkey handover\n" + keys[2].text() + "\ntime 2023-") == 0);
}

TEST_CASE("a rotation that was cut short leaves the old key in force") {
  const Folder folder;
  const NoteKey first = folder.open();
  const std::string old_private = folder.read("log-signing.key");
  const NoteKey lost = rotate_log_key(folder.keys, kName, 0).value();
  folder.write("log-signing.key", old_private);
  SECTION("in front of the private key") {}
  SECTION("in front of the public key") {
    std::filesystem::remove(folder.file("log-0002.pub"));
  }
  CHECK(folder.open() == first);
  const NoteKey next = rotate_log_key(folder.keys, kName, 0).value();
  CHECK(folder.open() == next);
  CHECK(std::filesystem::exists(folder.file("log-0003.pub")));
  CHECK(read_key_ring(folder.keys)->vouches(first, next));
  CHECK(read_key_ring(folder.keys)->vouches(first, lost));
}

TEST_CASE("a first start or a replacement that was cut short is finished") {
  const Folder folder;
  const NoteKey first = folder.open();
  std::filesystem::remove(folder.file("log-0001.pub"));
  CHECK(folder.open() == first);
  CHECK(std::filesystem::exists(folder.file("log-0001.pub")));
  std::filesystem::remove(folder.file("log-signing.key"));
  const NoteKey second = replace_lost_log_key(folder.keys, kName).value();
  std::filesystem::remove(folder.file("log-0002.pub"));
  CHECK(folder.refused().message.find("no public key beside it") != std::string::npos);
  CHECK(replace_lost_log_key(folder.keys, kName).value() == second);
  CHECK(folder.open() == second);
}

TEST_CASE("public files that are not what they should be are named") {
  const Folder folder;
  (void)folder.open();
  SECTION("a public key") {
    folder.write("log-0001.pub", "hello\n");
    CHECK(folder.refused().message.find("log-0001.pub holds no public key") != std::string::npos);
    CHECK_FALSE(read_key_ring(folder.keys).has_value());
  }
  SECTION("a handover") {
    folder.write("log-0002.handover", "hello\n");
    CHECK(folder.refused().message.find("log-0002.handover: it is no handover") != std::string::npos);
  }
  SECTION("a handover by a stranger") {
    const NoteSigner stranger = make_note_signer(kName).signer;
    folder.write("log-0002.handover", stranger.sign(handover_text(make_note_signer(kName).signer.public_key(), 0)));
    CHECK(folder.refused().message.find("signed by no key before it") != std::string::npos);
  }
  SECTION("an endless file") {
    folder.write("log-0002.pub", std::string(limits::kNoteBytesMax + 1, 'x'));
    CHECK_FALSE(read_key_ring(folder.keys).has_value());
  }
  SECTION("other files are nobody's business") {
    folder.write("log-1.pub", "hello\n");
    folder.write("notes.txt", "hello\n");
    CHECK(read_key_ring(folder.keys)->keys().size() == 1);
  }
}

TEST_CASE("the number of keys of one log is bounded") {
  const Folder folder;
  (void)folder.open();
  folder.write("log-9999.pub", make_note_signer(kName).signer.public_key().text() + "\n");
  const auto rotated = rotate_log_key(folder.keys, kName, 0);
  REQUIRE_FALSE(rotated.has_value());
  CHECK(rotated.error().message.find("9999 keys") != std::string::npos);
}

TEST_CASE("a new log takes the name of the key that is there, and one that holds something does not") {
  const Folder folder;
  const NoteKey key = folder.open();
  const auto opened = open_log_key(folder.keys, {.name = "liongate/x", .age = SigningLog::Age::kNew});
  REQUIRE(opened.has_value());
  CHECK(opened->public_key() == key);
  CHECK_FALSE(open_log_key(folder.keys, {.name = "liongate/x"}).has_value());
}

TEST_CASE("a folder that is not there holds no keys") {
  CHECK(read_key_ring("/no/such/folder")->empty());
}
