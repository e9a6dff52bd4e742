#include "tests/event_log/simulation/faulty_disk.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace liongate::simulation {
namespace {

constexpr std::uint64_t kPlentyBytes = 1ULL << 40;
constexpr std::uint64_t kWriteBackChance = 12;
constexpr std::int64_t kSlowSyncNs = 3'000'000'000;

std::size_t pages_of(std::uint64_t bytes) {
  return static_cast<std::size_t>((bytes + kPageBytes - 1) / kPageBytes);
}

// Copies `bytes` of `from` at `at` into `to`, which becomes as long as needed; behind the end of `from` are zeroes.
void copy_range(std::string& to, const std::string& from, std::size_t at, std::size_t bytes) {
  if (to.size() < at + bytes) to.resize(at + bytes, '\0');
  const std::size_t there = from.size() > at ? std::min(bytes, from.size() - at) : 0;
  std::memcpy(to.data() + at, from.data() + at, there);
  std::memset(to.data() + at + there, 0, bytes - there);
}

// What a power cut leaves of a file.
InodePtr survivor(const Inode& inode, Random& random) {
  auto left = std::make_shared<Inode>();
  left->durable = inode.durable;
  const std::uint64_t mood = random.below(4);  // all lost, all kept, pages, sectors
  for (std::size_t page = 0; page < inode.dirty.size(); ++page) {
    if (!inode.dirty[page] || mood == 0) continue;
    for (std::size_t sector = 0; sector < kPageBytes; sector += kSectorBytes) {
      const bool draw = mood == 3 || (mood == 2 && sector == 0);
      if (draw && random.one_in(2)) {
        if (mood == 2) break;
        continue;
      }
      copy_range(left->durable, inode.current, page * kPageBytes + sector, kSectorBytes);
    }
  }
  std::uint64_t bytes = inode.durable_bytes;
  if (inode.current.size() != bytes && !random.one_in(3)) {
    const std::uint64_t low = std::min<std::uint64_t>(bytes, inode.current.size());
    const std::uint64_t high = std::max<std::uint64_t>(bytes, inode.current.size());
    bytes = random.one_in(2) ? inode.current.size() : random.between(low, high);
  }
  left->durable.resize(static_cast<std::size_t>(bytes), '\0');
  left->durable_bytes = bytes;
  left->current = left->durable;
  left->dirty.assign(pages_of(bytes), false);
  return left;
}

}  // namespace

void Inode::touch(std::uint64_t begin, std::uint64_t end) {
  if (dirty.size() < pages_of(end)) dirty.resize(pages_of(end), false);
  for (std::size_t page = begin / kPageBytes; page < pages_of(end); ++page) dirty[page] = true;
}

void Inode::persist_page(std::uint64_t page) {
  copy_range(durable, current, static_cast<std::size_t>(page) * kPageBytes, kPageBytes);
}

void Trace::add(const std::string& line) {
  ++lines_;
  for (const char byte : line) digest_ = (digest_ ^ static_cast<unsigned char>(byte)) * 0x100000001B3ULL;
  if (print_) std::printf("  %s\n", line.c_str());
}

void FaultyDisk::power_cut(Random& random) {
  ++power_cuts;
  const bool in_order = random.one_in(2);
  std::size_t kept = 0;
  const std::size_t prefix = random.below(changes.size() + 1);
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (in_order ? i >= prefix : random.one_in(2)) continue;
    ++kept;
    const DirectoryChange& change = changes[i];
    const auto found = durable_names.find(change.name);
    if (change.kind != DirectoryChange::Kind::kMade && found != durable_names.end() && found->second == change.inode) {
      durable_names.erase(found);
    }
    if (change.kind == DirectoryChange::Kind::kMade) durable_names[change.name] = change.inode;
    if (change.kind == DirectoryChange::Kind::kRenamed) durable_names[change.to] = change.inode;
  }
  trace.add("power cut: " + std::to_string(kept) + " of " + std::to_string(changes.size()) + " changes of names kept");
  changes.clear();
  for (auto& [name, inode] : durable_names) inode = survivor(*inode, random);
  names = durable_names;
}

void FaultyDisk::write_back(Random& random) {
  if (names.empty()) return;
  auto chosen = names.begin();
  std::advance(chosen, static_cast<std::ptrdiff_t>(random.below(names.size())));
  Inode& inode = *chosen->second;
  if (inode.dirty.empty()) return;
  const std::uint64_t page = random.below(inode.dirty.size());
  if (inode.dirty[page]) {
    inode.persist_page(page);
  } else if (lost_pages) {  // it is forgotten, and read from the disk again
    const std::size_t at = static_cast<std::size_t>(page) * kPageBytes;
    copy_range(inode.current, inode.durable, at, std::min(kPageBytes, inode.current.size() - at));
  }
  inode.dirty[page] = false;
}

struct Mount::Handle {
  InodePtr inode;
  std::string name;  // under which it was opened
  std::uint64_t errors_told = 0;
};

class FaultyFile final : public event_log::File {
 public:
  FaultyFile(std::shared_ptr<Mount> mount, Mount::Handle handle)
      : mount_(std::move(mount)), handle_(std::move(handle)) {}
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    return mount_->write(handle_, offset, bytes);
  }
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> bytes) override {
    return mount_->read(handle_, offset, bytes);
  }
  Result<void> sync() override { return mount_->sync(handle_); }
  Result<std::uint64_t> size_bytes() override {
    LG_TRY(mount_->begin("size", handle_.name));
    return std::uint64_t{handle_.inode->current.size()};
  }
  Result<void> resize(std::uint64_t bytes) override { return mount_->resize(handle_, bytes); }

 private:
  std::shared_ptr<Mount> mount_;
  Mount::Handle handle_;
};

Error Mount::dead_error() const {
  return make_errno_error(Reason::kInternal, "this life has ended", EIO);
}

// Every operation begins here: another thread may come first, the kernel may write something back, and it is counted.
Result<void> Mount::begin(const char* operation, const std::string& name) {
  Fibers& fibers = Fibers::current();
  fibers.pause();
  if (dead_) return dead_error();
  ++operations_;
  disk_->trace.add(std::to_string(operations_) + " " + operation + " " + name);
  if (fibers.random().one_in(kWriteBackChance)) disk_->write_back(fibers.random());
  if (plan_.writeback_error_at != 0 && operations_ >= plan_.writeback_error_at) {
    for (auto& [file, inode] : disk_->names) {
      const auto lost = std::find(inode->dirty.begin(), inode->dirty.end(), true);
      if (lost == inode->dirty.end()) continue;
      *lost = false;
      ++inode->errors;
      inode->error_told = false;
      disk_->lost_pages = fatal_fault_ = true;
      plan_.writeback_error_at = 0;
      disk_->trace.add("a page of " + file + " is lost in the background");
      break;
    }
  }
  return {};
}

// True once, at the operation the plan names or the first one of its kind after it.
bool Mount::due(std::uint64_t& at) {
  if (at == 0 || operations_ < at) return false;
  at = 0;
  fatal_fault_ = true;
  return true;
}

bool Mount::no_space() {
  const bool now = operations_ >= plan_.no_space_from && operations_ < plan_.no_space_until;
  had_no_space_ = had_no_space_ || now;
  return now;
}

void Mount::crash(FaultPlan::Crash kind) {
  if (dead_) return;
  dead_ = true;
  disk_->trace.add(kind == FaultPlan::Crash::kKill ? "killed" : "power cut");
  if (kind == FaultPlan::Crash::kPowerCut) disk_->power_cut(Fibers::current().random());
}

Result<std::shared_ptr<event_log::File>> Mount::open(const std::string& name, event_log::Access access) {
  LG_TRY(begin("open", name));
  auto found = disk_->names.find(name);
  if (found == disk_->names.end()) {
    if (access != event_log::Access::kCreate) return make_errno_error(Reason::kInternal, "open " + name, ENOENT);
    if (no_space()) return make_errno_error(Reason::kInternal, "open " + name, ENOSPC);
    found = disk_->names.emplace(name, std::make_shared<Inode>()).first;
    disk_->changes.push_back({DirectoryChange::Kind::kMade, name, "", found->second});
  }
  if (ends_here()) {
    crash(plan_.crash);
    return dead_error();
  }
  // Linux tells a new handle of a failure that nobody has heard of.
  const InodePtr& inode = found->second;
  const std::uint64_t told = inode->error_told ? inode->errors : inode->errors - 1;
  return std::shared_ptr<event_log::File>(
      std::make_shared<FaultyFile>(shared_from_this(), Handle{.inode = inode, .name = name, .errors_told = told}));
}

Result<std::vector<std::string>> Mount::list() {
  LG_TRY(begin("list", ""));
  std::vector<std::string> names;
  for (const auto& [name, inode] : disk_->names) names.push_back(name);
  return names;
}

Result<void> Mount::remove(const std::string& name) {
  LG_TRY(begin("remove", name));
  const auto found = disk_->names.find(name);
  if (found == disk_->names.end()) return make_errno_error(Reason::kInternal, "unlink " + name, ENOENT);
  if (plan_.no_space_in_place && no_space()) return make_errno_error(Reason::kInternal, "unlink " + name, ENOSPC);
  const bool before = ends_here() && Fibers::current().random().one_in(2);
  if (!before) {
    disk_->changes.push_back({DirectoryChange::Kind::kRemoved, name, "", found->second});
    disk_->names.erase(found);
  }
  if (!ends_here()) return {};
  crash(plan_.crash);
  return dead_error();
}

Result<void> Mount::rename(const std::string& from, const std::string& to) {
  LG_TRY(begin("rename", from + " to " + to));
  const auto found = disk_->names.find(from);
  if (found == disk_->names.end()) return make_errno_error(Reason::kInternal, "rename " + from, ENOENT);
  if (disk_->names.contains(to)) return make_errno_error(Reason::kInternal, "rename to " + to, EEXIST);
  if (plan_.no_space_in_place && no_space()) return make_errno_error(Reason::kInternal, "rename " + from, ENOSPC);
  const bool before = ends_here() && Fibers::current().random().one_in(2);
  if (!before) {
    disk_->changes.push_back({DirectoryChange::Kind::kRenamed, from, to, found->second});
    disk_->names[to] = found->second;
    disk_->names.erase(from);
  }
  if (!ends_here()) return {};
  crash(plan_.crash);
  return dead_error();
}

Result<void> Mount::sync_dir() {
  LG_TRY(begin("sync_dir", ""));
  if (ends_here()) {
    crash(plan_.crash);
    return dead_error();
  }
  if (plan_.no_space_in_place && no_space()) return make_errno_error(Reason::kInternal, "fsync of the folder", ENOSPC);
  if (lie_ == Lie::kSyncDirDoesNothing) return {};
  const bool late = lie_ == Lie::kRenameIsSyncedLate && !disk_->changes.empty() &&
                    disk_->changes.back().kind == DirectoryChange::Kind::kRenamed;
  if (late) return {};
  disk_->durable_names = disk_->names;
  disk_->changes.clear();
  return {};
}

Result<std::uint64_t> Mount::free_space_bytes() {
  LG_TRY(begin("free_space", ""));
  return no_space() ? 0 : kPlentyBytes;
}

Result<void> Mount::write(Handle& handle, std::uint64_t offset, std::span<const std::byte> bytes) {
  LG_TRY(begin("write", handle.name + " " + std::to_string(offset) + "+" + std::to_string(bytes.size())));
  Random& random = Fibers::current().random();
  Inode& inode = *handle.inode;
  const bool longer = offset + bytes.size() > inode.current.size();
  const bool full = no_space() && (longer || plan_.no_space_in_place);
  const bool broken = !full && due(plan_.write_error_at);
  const bool ends = ends_here();
  // Of a write that does not come to its end any part may be there: the beginning, or some pages of it.
  std::size_t written = bytes.size();
  if (full || broken || ends) written = static_cast<std::size_t>(random.below(bytes.size() + 1));
  if (full && !plan_.no_space_in_place && offset < inode.current.size()) {
    written = std::min(written, static_cast<std::size_t>(inode.current.size() - offset));
  } else if (full) {
    written = 0;
  }
  if (lie_ == Lie::kWriteGoesToWrongSector && random.one_in(40) && offset >= kPageBytes && bytes.size() < kPageBytes) {
    offset -= kSectorBytes;
  }
  if (written != 0) {
    if (inode.current.size() < offset + written) inode.current.resize(offset + written, '\0');
    std::memcpy(inode.current.data() + offset, bytes.data(), written);
    inode.touch(offset, offset + written);
  }
  if (ends) {
    crash(plan_.crash);
    return dead_error();
  }
  if (full && lie_ != Lie::kShortWriteIsSuccess) return make_errno_error(Reason::kInternal, "write", ENOSPC);
  if (broken) return make_errno_error(Reason::kInternal, "write", EIO);
  return {};
}

Result<std::size_t> Mount::read(Handle& handle, std::uint64_t offset, std::span<std::byte> bytes) {
  LG_TRY(begin("read", handle.name + " " + std::to_string(offset)));
  if (ends_here()) {
    crash(plan_.crash);
    return dead_error();
  }
  if (due(plan_.read_error_at)) return make_errno_error(Reason::kInternal, "read", EIO);
  const std::string& current = handle.inode->current;
  if (offset >= current.size()) return std::size_t{0};
  const std::size_t got = std::min<std::size_t>(bytes.size(), current.size() - offset);
  std::memcpy(bytes.data(), current.data() + offset, got);
  if (lie_ == Lie::kReadsStaleZeroes && Fibers::current().random().one_in(60) && got > kSectorBytes) {
    std::memset(bytes.data() + got - kSectorBytes, 0, kSectorBytes);
  }
  return got;
}

Result<void> Mount::resize(Handle& handle, std::uint64_t bytes) {
  LG_TRY(begin("resize", handle.name + " " + std::to_string(bytes)));
  Inode& inode = *handle.inode;
  const bool before = ends_here() && Fibers::current().random().one_in(2);
  if (!before) {
    inode.current.resize(bytes, '\0');
    inode.dirty.resize(pages_of(bytes), false);
    if (bytes % kPageBytes != 0) inode.dirty.back() = true;
  }
  if (!ends_here()) return {};
  crash(plan_.crash);
  return dead_error();
}

// Writes back what is dirty now, page by page, in any order; others go on meanwhile.
Result<void> Mount::flush(Handle& handle) {
  Fibers& fibers = Fibers::current();
  Random& random = fibers.random();
  Inode& inode = *handle.inode;
  std::vector<std::size_t> pages;
  for (std::size_t page = 0; page < inode.dirty.size(); ++page) {
    if (inode.dirty[page]) pages.push_back(page);
  }
  for (std::size_t i = pages.size(); i > 1; --i) std::swap(pages[i - 1], pages[random.below(i)]);
  if (lie_ == Lie::kSyncForgetsOnePage && !pages.empty()) {
    inode.dirty[pages.back()] = false;
    pages.pop_back();
  }
  const std::uint64_t bytes = inode.current.size();
  if (plan_.slow_sync_chance != 0 && random.one_in(plan_.slow_sync_chance)) fibers.sleep(kSlowSyncNs);
  const std::size_t ends_after = ends_here() ? random.below(pages.size() + 1) : pages.size() + 1;
  for (std::size_t i = 0; i < pages.size(); ++i) {
    if (i == ends_after) break;
    if (random.one_in(8)) fibers.pause();
    if (dead_) return dead_error();
    // A write in between makes the page dirty again: what it brought may reach the disk, or not.
    if (pages[i] >= inode.dirty.size() || !inode.dirty[pages[i]]) continue;
    inode.persist_page(pages[i]);
    inode.dirty[pages[i]] = false;
  }
  if (ends_after <= pages.size()) {
    crash(plan_.crash);
    return dead_error();
  }
  inode.durable_bytes = std::min<std::uint64_t>(bytes, inode.current.size());
  if (inode.durable.size() > inode.durable_bytes) {
    inode.durable.resize(static_cast<std::size_t>(inode.durable_bytes));
    // What was written behind the end meanwhile must not be lost with it.
    if (inode.current.size() > inode.durable_bytes) inode.touch(inode.durable_bytes, inode.current.size());
  }
  return {};
}

// The kernel tried, failed, dropped what it could not write, and will not try again.
Result<void> Mount::fail_sync(Handle& handle, int code) {
  Random& random = Fibers::current().random();
  Inode& inode = *handle.inode;
  for (std::size_t page = 0; page < inode.dirty.size(); ++page) {
    if (!inode.dirty[page]) continue;
    if (random.one_in(2)) inode.persist_page(page);
    inode.dirty[page] = false;
  }
  disk_->lost_pages = true;
  ++inode.errors;
  inode.error_told = true;
  handle.errors_told = inode.errors;
  disk_->trace.add("sync of " + handle.name + " fails with " + std::to_string(code));
  if (lie_ == Lie::kFailedSyncIsRepeated) return {};
  return make_errno_error(Reason::kInternal, "fdatasync", code);
}

Result<void> Mount::sync(Handle& handle) {
  LG_TRY(begin("sync", handle.name));
  if (lie_ == Lie::kSyncDoesNothing) return {};
  if (due(plan_.sync_error_at)) return fail_sync(handle, EIO);
  if (due(plan_.sync_no_space_at)) return fail_sync(handle, ENOSPC);
  if (lie_ == Lie::kSyncReturnsEarly && Fibers::current().random().one_in(3)) return {};
  LG_TRY(flush(handle));
  if (handle.errors_told != handle.inode->errors) {
    handle.errors_told = handle.inode->errors;
    handle.inode->error_told = fatal_fault_ = true;
    disk_->trace.add("sync of " + handle.name + " tells of a failure before it");
    return make_errno_error(Reason::kInternal, "fdatasync", EIO);
  }
  return {};
}

}  // namespace liongate::simulation
