// Goal: a failed sync is fatal once and for all; a full disk is a state that ends; reserve and recovery as promised.
// Method: a storage over the real one that fails on command, and a small tmpfs where root can mount one.
#include <sys/mount.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "kernel/event_log/storage.h"
#include "tests/event_log/log_fixture.h"

using namespace liongate;
using namespace liongate::event_log;

namespace {

struct Faults {
  std::atomic<int> sync_errno{0};
  std::atomic<int> write_errno{0};
  std::atomic<bool> no_space{false};  // writes that would make a file longer fail with ENOSPC
};

class FaultyFile final : public File {
 public:
  FaultyFile(std::shared_ptr<File> file, std::shared_ptr<Faults> faults)
      : file_(std::move(file)), faults_(std::move(faults)) {}
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (const int code = faults_->write_errno) return make_errno_error(Reason::kInternal, "write", code);
    if (faults_->no_space && offset + bytes.size() > file_->size_bytes().value()) {
      return make_errno_error(Reason::kInternal, "write", ENOSPC);
    }
    return file_->write_at(offset, bytes);
  }
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> bytes) override {
    return file_->read_at(offset, bytes);
  }
  Result<void> sync() override {
    // As Linux does: it fails once, and a second try succeeds although the pages are gone.
    if (const int code = faults_->sync_errno.exchange(0)) return make_errno_error(Reason::kInternal, "sync", code);
    return file_->sync();
  }
  Result<std::uint64_t> size_bytes() override { return file_->size_bytes(); }
  Result<void> resize(std::uint64_t bytes) override { return file_->resize(bytes); }

 private:
  std::shared_ptr<File> file_;
  std::shared_ptr<Faults> faults_;
};

class FaultyStorage final : public Storage {
 public:
  FaultyStorage(std::shared_ptr<Storage> storage, std::shared_ptr<Faults> faults)
      : storage_(std::move(storage)), faults_(std::move(faults)) {}
  Result<std::shared_ptr<File>> open(const std::string& name, Access access) override {
    LG_ASSIGN(std::shared_ptr<File> file, storage_->open(name, access));
    return std::shared_ptr<File>(std::make_shared<FaultyFile>(std::move(file), faults_));
  }
  Result<std::vector<std::string>> list() override { return storage_->list(); }
  Result<void> remove(const std::string& name) override { return storage_->remove(name); }
  Result<void> rename(const std::string& from, const std::string& to) override { return storage_->rename(from, to); }
  Result<void> sync_dir() override { return storage_->sync_dir(); }
  Result<std::uint64_t> free_space_bytes() override {
    if (faults_->no_space) return std::uint64_t{0};
    return storage_->free_space_bytes();
  }
  const std::string& location() const override { return storage_->location(); }

 private:
  std::shared_ptr<Storage> storage_;
  std::shared_ptr<Faults> faults_;
};

struct FaultyLog {
  TemporaryFolder folder;
  std::shared_ptr<Faults> faults = std::make_shared<Faults>();
  DurableGate durable;
  DurableGate changes;
  std::atomic<int> fatals{0};
  EventSeq change_count = 0;
  SystemClock clock;
  std::unique_ptr<EventLog> log;

  FaultyLog() {
    const Handlers handlers{.on_durable = [this](EventSeq seq) { durable.reached(seq); },
                            .on_read_only = [this](bool, const std::string&) { changes.reached(++change_count); },
                            .on_fatal = [this](const Error&) { ++fatals; }};
    auto storage = std::make_shared<FaultyStorage>(open_disk_storage(folder.path).value(), faults);
    log = EventLog::open_on(storage, {.folder = folder.path, .segment_bytes = 64 * 1024}, handlers, clock).value();
  }
  Result<EventSeq> append(RecordUse use) {
    v1::Event event = make_event(log->last_seq() + 1);
    return log->append(event, SyncClass::kNow, use);
  }
};

bool wait_until(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace

TEST_CASE("a failed sync is told once, nothing is acknowledged after it, and it is never taken for a success") {
  FaultyLog faulty;
  REQUIRE(faulty.append(RecordUse::kNewWork).has_value());
  REQUIRE(faulty.durable.wait(1));
  // The helper is done when the spare for the next segment is there; from then on the writer alone syncs.
  REQUIRE(wait_until([&] { return std::filesystem::exists(faulty.folder.path + "/spare.tmp"); }));
  faulty.faults->sync_errno = EIO;
  (void)faulty.append(RecordUse::kNewWork);
  REQUIRE(wait_until([&] { return faulty.fatals == 1; }));
  CHECK_FALSE(faulty.append(RecordUse::kTerminal).has_value());
  CHECK(faulty.log->durable_seq() == 1);
  CHECK_FALSE(faulty.log->close().has_value());
  CHECK(faulty.fatals == 1);
  CHECK(faulty.log->durable_seq() == 1);
}

TEST_CASE("a sync that fails for want of space is fatal all the same: pages are lost") {
  const int code = GENERATE(ENOSPC, EDQUOT);
  FaultyLog faulty;
  REQUIRE(faulty.append(RecordUse::kNewWork).has_value());
  REQUIRE(faulty.durable.wait(1));
  REQUIRE(wait_until([&] { return std::filesystem::exists(faulty.folder.path + "/spare.tmp"); }));
  faulty.faults->sync_errno = code;
  (void)faulty.append(RecordUse::kNewWork);
  REQUIRE(wait_until([&] { return faulty.fatals == 1; }));
  CHECK(faulty.log->durable_seq() == 1);
}

TEST_CASE("a failed write that is not for want of space is fatal") {
  const int code = GENERATE(EIO, EROFS);  // EROFS: the file system failed below us and was made read-only
  FaultyLog faulty;
  REQUIRE(faulty.append(RecordUse::kNewWork).has_value());
  REQUIRE(faulty.durable.wait(1));
  faulty.faults->write_errno = code;
  (void)faulty.append(RecordUse::kNewWork);
  CHECK(wait_until([&] { return faulty.fatals == 1; }));
  CHECK(faulty.log->durable_seq() == 1);
  CHECK(read_all(**faulty.log->read(0)) == 1);
}

TEST_CASE("on a full disk new work is refused, terminal records go on, and the log recovers by itself") {
  FaultyLog faulty;
  REQUIRE(faulty.append(RecordUse::kNewWork).has_value());
  REQUIRE(faulty.durable.wait(1));
  faulty.faults->no_space = true;
  REQUIRE(wait_until([&] {
    const auto seq = faulty.append(RecordUse::kNewWork);
    if (seq) faulty.durable.wait(*seq);
    return !seq && seq.error().reason == Reason::kLogReadOnly;
  }));
  CHECK(faulty.log->read_only());
  REQUIRE(faulty.changes.wait(1));
  const auto terminal = faulty.append(RecordUse::kTerminal);
  REQUIRE(terminal.has_value());
  CHECK(faulty.durable.wait(*terminal));
  // Far more than the reserve: kept in memory, neither lost nor acknowledged.
  EventSeq last = 0;
  for (int i = 0; i < 400; ++i) last = faulty.append(RecordUse::kTerminal).value();
  CHECK(faulty.log->durable_seq() < last);
  faulty.faults->no_space = false;
  CHECK(faulty.durable.wait(last));
  CHECK(wait_until([&] { return !faulty.log->read_only(); }));
  REQUIRE(faulty.append(RecordUse::kNewWork).has_value());
  REQUIRE(faulty.log->close().has_value());
  CHECK(faulty.fatals == 0);
  CHECK(verify(faulty.folder.path)->damages.empty());
  CHECK(read_all(**read_offline(faulty.folder.path, 0)) == last + 1);
}

TEST_CASE("a log closed on a full disk says what it lost and opens again") {
  TemporaryFolder kept;
  EventSeq durable = 0;
  {
    FaultyLog faulty;
    REQUIRE(faulty.append(RecordUse::kNewWork).has_value());
    REQUIRE(faulty.durable.wait(1));
    faulty.faults->no_space = true;
    for (int i = 0; i < 1000; ++i) (void)faulty.append(RecordUse::kTerminal);
    CHECK_FALSE(faulty.log->close().has_value());
    durable = faulty.log->durable_seq();
    copy_log(faulty.folder.path, kept.path);
  }
  LivingLog living({.folder = kept.path, .segment_bytes = 64 * 1024});
  CHECK(living.log->recovery().last_seq >= durable);
  living.append_durable(1);
}

TEST_CASE("a real full file system: read-only, reserve, recovery", "[tmpfs]") {
  const TemporaryFolder folder;
  if (::geteuid() != 0 || ::mount("tmpfs", folder.path.c_str(), "tmpfs", 0, "size=24m") != 0) {
    std::puts("skipped: a small tmpfs needs root and CAP_SYS_ADMIN");
    std::_Exit(77);
  }
  const std::string ballast = folder.path + "/ballast";
  {
    LivingLog living({.folder = folder.path + "/log"});
    living.append_durable(10);
    write_bytes(ballast, "");
    std::ofstream file(ballast, std::ios::binary);
    const std::string chunk(64 * 1024, 'b');
    while (file.write(chunk.data(), static_cast<std::streamsize>(chunk.size())) && file.flush()) {
    }
    file.close();
    // Fills what was written ahead until only the reserve is left.
    v1::Event event;
    REQUIRE(wait_until([&] {
      for (int i = 0; i < 100; ++i) {
        event = make_event(living.log->last_seq() + 1);
        event.mutable_plugin_invoked()->mutable_input()->set_text(std::string(20'000, 'z'));
        const auto seq = living.log->append(event, SyncClass::kNow, RecordUse::kNewWork);
        if (!seq) return seq.error().reason == Reason::kLogReadOnly;
      }
      living.durable.wait(living.log->last_seq());
      return false;
    }));
    event = make_event(living.log->last_seq() + 1);
    const auto terminal = living.log->append(event, SyncClass::kNow, RecordUse::kTerminal);
    REQUIRE(terminal.has_value());
    CHECK(living.durable.wait(*terminal));
    CHECK(read_all(**living.log->read(0)) == *terminal);
    std::filesystem::remove(ballast);
    REQUIRE(wait_until([&] { return !living.log->read_only(); }));
    living.append_durable(10);
    REQUIRE(living.log->close().has_value());
    CHECK(verify(folder.path + "/log")->damages.empty());
  }
  ::umount(folder.path.c_str());
}
