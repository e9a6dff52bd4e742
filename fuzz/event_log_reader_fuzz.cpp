// Goal: no bytes in a log's folder make recovery, reading or verifying crash, hang or disagree. Method: the input is
// the content of one or two segments in memory; checksums are made right, so that what lies behind them is reached.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "kernel/event_log/event_log.h"
#include "kernel/event_log/format.h"
#include "kernel/event_log/query.h"
#include "kernel/event_log/reader.h"
#include "kernel/event_log/recovery.h"
#include "kernel/event_log/storage.h"
#include "kernel/event_log/verify.h"

namespace {

using namespace liongate;
using namespace liongate::event_log;

using Bytes = std::vector<std::byte>;

class MemoryFile final : public File {
 public:
  explicit MemoryFile(std::shared_ptr<Bytes> bytes) : bytes_(std::move(bytes)) {}
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (bytes_->size() < offset + bytes.size()) bytes_->resize(offset + bytes.size());
    std::copy(bytes.begin(), bytes.end(), bytes_->begin() + static_cast<std::ptrdiff_t>(offset));
    return {};
  }
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> bytes) override {
    if (offset >= bytes_->size()) return std::size_t{0};
    const std::size_t count = std::min(bytes.size(), bytes_->size() - static_cast<std::size_t>(offset));
    std::memcpy(bytes.data(), bytes_->data() + offset, count);
    return count;
  }
  Result<void> sync() override { return {}; }
  Result<std::uint64_t> size_bytes() override { return std::uint64_t{bytes_->size()}; }
  Result<void> resize(std::uint64_t bytes) override {
    bytes_->resize(bytes);
    return {};
  }

 private:
  std::shared_ptr<Bytes> bytes_;
};

class MemoryStorage final : public Storage {
 public:
  Result<std::shared_ptr<File>> open(const std::string& name, Access access) override {
    const auto found = files.find(name);
    if (found == files.end() && access != Access::kCreate) return make_errno_error(Reason::kInternal, name, ENOENT);
    auto& bytes = files[name];
    if (!bytes) bytes = std::make_shared<Bytes>();
    return std::shared_ptr<File>(std::make_shared<MemoryFile>(bytes));
  }
  Result<std::vector<std::string>> list() override {
    std::vector<std::string> names;
    for (const auto& [name, bytes] : files) names.push_back(name);
    return names;
  }
  Result<void> remove(const std::string& name) override {
    files.erase(name);
    return {};
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    files[to] = files[from];
    files.erase(from);
    return {};
  }
  Result<void> sync_dir() override { return {}; }
  Result<std::uint64_t> free_space_bytes() override { return std::uint64_t{1} << 40; }
  const std::string& location() const override { return location_; }

  std::map<std::string, std::shared_ptr<Bytes>> files;

 private:
  std::string location_ = "memory";
};

// A segment whose header is right and whose records say what the input says, with right checksums as far as their
// lengths lead; behind that the input's bytes as they are.
Bytes make_segment(EventSeq first_seq, std::span<const std::uint8_t> input) {
  SegmentHeader header;
  header.first_seq = first_seq;
  header.epoch = 1;
  std::array<std::byte, kSegmentHeaderBytes> page;
  encode_header(header, page);
  Bytes bytes(page.begin(), page.end());
  const auto raw = std::as_bytes(input);
  bytes.insert(bytes.end(), raw.begin(), raw.end());
  for (std::size_t at = kSegmentHeaderBytes; at + kRecordHeaderBytes <= bytes.size();) {
    const std::size_t total = stated_record_bytes(std::span(bytes).subspan(at));
    if (total > bytes.size() - at) break;
    finish_record(std::span(bytes).subspan(at, total), segment_key(page));
    at += total;
  }
  return bytes;
}

void check(bool holds) {
  if (!holds) std::abort();
}

// Reads to the end or to an error; the numbers must grow by one.
EventSeq read_to_end(EventReader& reader) {
  EventSeq seq = 0;
  std::string_view bytes;
  for (;;) {
    const EventSeq before = reader.position();
    const auto any = reader.next_bytes(seq, bytes);
    if (!any || !*any) return reader.position();
    check(seq > before);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  auto storage = std::make_shared<MemoryStorage>();
  const std::span<const std::uint8_t> input(data + 2, size - 2);
  const bool raw = (data[0] & 1) != 0;
  const std::size_t cut = (data[0] & 2) != 0 ? std::min<std::size_t>(input.size(), data[1] * 16U) : input.size();
  const auto put = [&](EventSeq first_seq, std::span<const std::uint8_t> part) {
    const auto bytes = std::as_bytes(part);
    storage->files[segment_name(first_seq)] =
        std::make_shared<Bytes>(raw ? Bytes(bytes.begin(), bytes.end()) : make_segment(first_seq, part));
  };
  put(1, input.first(cut));
  if (cut < input.size()) put(2, input.subspan(cut));

  const auto before = verify_storage(*storage, LogState::kAtRest);
  if (const auto found = survey(*storage, Access::kRead)) {
    read_to_end(*make_reader(storage, found->catalog, 0));
    // By footers, where there are any: it ends, whatever they say.
    static_cast<void>(summarize(*make_query(storage, found->catalog, {.correlation_id = "c", .text = "text"})));
  }
  const auto recovered = recover(*storage);
  // Of inner segments recovery reads only the ends; what it read whole must be whole afterwards, up to the hashes.
  if (!recovered || cut < input.size()) return 0;
  const auto after = verify_storage(*storage, LogState::kAtRest);
  check(after.has_value());
  for (const Damage& damage : after->damages) check(damage.kind == DamageKind::kBrokenChain);
  check(read_to_end(*make_reader(storage, recovered->catalog, 0)) == recovered->end.last_seq);
  return 0;
}
