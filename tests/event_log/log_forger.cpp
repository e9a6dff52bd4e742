#include "tests/event_log/log_forger.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <vector>

#include "kernel/event_log/checkpoint.h"

namespace liongate::event_log {
namespace {

using Bytes = std::vector<std::byte>;

Bytes read_segment(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

void write_segment(const std::string& path, const Bytes& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file.good()) throw std::runtime_error("cannot write " + path);
}

// Builds each segment anew from its records.
class Forger {
 public:
  explicit Forger(const Forgery& forgery) : forgery_(forgery) {}

  Bytes forge(const Bytes& old) {
    std::array<std::byte, kSegmentHeaderBytes> page;
    auto header = decode_header(old);
    if (!header) throw std::runtime_error("a header is damaged");
    if (chained_) header->previous_hash = hash_;
    encode_header(*header, page);
    old_key_ = segment_key(old);
    key_ = segment_key(page);
    hash_ = hasher_.of_header(page);
    origin_ = checkpoint_origin(header->node);
    out_.assign(page.begin(), page.end());
    batch_begin_ = out_.size();
    new_offsets_ = {{kSegmentHeaderBytes, kSegmentHeaderBytes}};
    walk(old);
    chained_ = true;
    return std::move(out_);
  }

  bool found() const { return found_; }

 private:
  void walk(const Bytes& old) {
    for (std::uint64_t at = kSegmentHeaderBytes; at < old.size();) {
      RecordView record;
      const auto status = parse_record(std::span(old).subspan(at), at, old_key_, record);
      if (status == ParseStatus::kZero || status == ParseStatus::kIncomplete) break;
      if (status != ParseStatus::kRecord) throw std::runtime_error("a record is damaged");
      take(record);
      at += record.bytes.size();
      new_offsets_[at] = out_.size();
    }
  }

  void take(const RecordView& record) {
    if (record.is(RecordKind::kCommit)) return put_commit(record);
    if (record.is(RecordKind::kSeal)) return put_seal(record);
    if (record.is(RecordKind::kCheckpoint)) return put_checkpoint(record);
    if (record.is(RecordKind::kEvent) && record.seq == forgery_.seq) return put_changed(record);
    put(record, record.body);
  }

  void put(const RecordView& record, std::span<const std::byte> body) {
    const std::size_t begin = out_.size();
    out_.resize(begin + record_bytes(body.size()));
    const std::span<std::byte> place = std::span(out_).subspan(begin);
    begin_record(place, static_cast<RecordKind>(record.kind), record.seq, record.time_ns, body.size());
    std::copy(body.begin(), body.end(), place.begin() + kRecordHeaderBytes);
    finish_record(place, key_);
  }

  void put_changed(const RecordView& record) {
    v1::Event event;
    if (!event.ParseFromArray(record.body.data(), static_cast<int>(record.body.size()))) {
      throw std::runtime_error("an event cannot be read");
    }
    forgery_.change(event);
    const std::string bytes = event.SerializeAsString();
    put(record, std::as_bytes(std::span(bytes)));
    found_ = true;
  }

  void put_checkpoint(const RecordView& record) {
    if (forgery_.checkpoints == ForgedCheckpoints::kDrop) return;
    if (forgery_.checkpoints == ForgedCheckpoints::kLeave) return put(record, record.body);
    auto old = decode_checkpoint(record.body, hasher_);
    if (!old) throw std::runtime_error("a checkpoint cannot be read");
    Checkpoint checkpoint = old->signed_checkpoint.checkpoint;
    checkpoint.tree_size = tree_.size();
    checkpoint.root = tree_.root(hasher_);
    const std::string text = checkpoint_text(checkpoint);
    const std::string note = forgery_.checkpoints == ForgedCheckpoints::kResign
                                 ? forgery_.signer->sign(text)
                                 : signing::format_note(text, old->signed_checkpoint.note.signatures.front());
    Bytes body(checkpoint_body_bytes(tree_, note));
    encode_checkpoint(tree_, note, body);
    put(record, body);
  }

  std::uint64_t moved(std::uint64_t offset) const {
    const auto found = new_offsets_.find(offset);
    return found == new_offsets_.end() ? offset : found->second;
  }

  void put_commit(const RecordView& record) {
    Commit commit = decode_commit(record.body).value();
    commit.batch_offset = batch_begin_;
    commit.durable_offset = moved(commit.durable_offset);
    commit.previous_hash = hash_;
    std::array<std::byte, kLinkBodyBytes> body;
    encode_commit(commit, body);
    hash_ = commit.hash = hasher_.of_link(hash_, std::span(out_).subspan(batch_begin_), body);
    encode_commit(commit, body);
    put(record, body);
    tree_.append(hash_, hasher_);
    batch_begin_ = out_.size();
  }

  void put_seal(const RecordView& record) {
    Seal seal = decode_seal(record.body).value();
    seal.footer_offset = moved(seal.footer_offset);
    seal.previous_hash = hash_;
    std::array<std::byte, kLinkBodyBytes> body;
    encode_seal(seal, body);
    hash_ = seal.hash = hasher_.of_link(hash_, std::span(out_).subspan(batch_begin_), body);
    encode_seal(seal, body);
    put(record, body);
  }

  const Forgery& forgery_;
  ChainHash hasher_;
  MerkleTree tree_;
  Hash hash_{};
  bool chained_ = false;
  bool found_ = false;
  std::string origin_;
  std::uint32_t old_key_ = 0;
  std::uint32_t key_ = 0;
  Bytes out_;
  std::size_t batch_begin_ = 0;
  std::map<std::uint64_t, std::uint64_t> new_offsets_;  // of record ends, so that what points at one is moved along
};

}  // namespace

void forge(const std::string& log_folder, const Forgery& forgery) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(log_folder)) {
    const std::string name = entry.path().filename();
    if (parse_segment_name(name)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  Forger forger(forgery);
  for (const std::string& name : names) {
    const std::string path = log_folder + "/" + name;
    write_segment(path, forger.forge(read_segment(path)));
  }
  if (!forger.found()) throw std::runtime_error("there is no event " + std::to_string(forgery.seq));
}

}  // namespace liongate::event_log
