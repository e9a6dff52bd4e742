#include "kernel/event_log/footer.h"

#include <algorithm>
#include <array>

namespace liongate::event_log {
namespace {

constexpr std::uint32_t kFooterVersion = 1;
constexpr std::uint32_t kGroupsComplete = 1;
constexpr std::uint32_t kBitsForEachId = 12;
constexpr std::size_t kRecentGroups = 4;
constexpr std::size_t kTextBytesBetweenLooks = 4096;
constexpr std::size_t kStringsMax = 0xFFFF;

// A group has four names.
using Names = std::array<std::string_view, 4>;
Names names_of(const EventFields& fields) {
  return {fields.type, fields.plugin_id, fields.plugin_name, fields.actor};
}

void append(std::string& to, std::string_view bytes) {
  const auto length = static_cast<std::uint16_t>(bytes.size());
  to.append(reinterpret_cast<const char*>(&length), sizeof length);
  to.append(bytes);
}

bool equals(std::string_view joined, const Names& names) {
  for (const std::string_view name : names) {
    std::uint16_t length = 0;
    std::memcpy(&length, joined.data(), sizeof length);
    if (joined.substr(sizeof length, length) != name) return false;
    joined.remove_prefix(sizeof length + length);
  }
  return true;
}

Names split(std::string_view joined) {
  Names names;
  for (std::string_view& name : names) {
    std::uint16_t length = 0;
    std::memcpy(&length, joined.data(), sizeof length);
    name = joined.substr(sizeof length, length);
    joined.remove_prefix(sizeof length + length);
  }
  return names;
}

class Output {
 public:
  template <typename T>
  void put(const T& value) {
    put_bytes(std::as_bytes(std::span(&value, 1)));
  }
  void put_bytes(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

// Reads what it is asked for while there is enough; `ok` turns false where there was not.
class Input {
 public:
  explicit Input(std::span<const std::byte> bytes) : bytes_(bytes) {}
  template <typename T>
  T get() {
    T value{};
    const auto from = take(sizeof value);
    if (!from.empty()) std::memcpy(&value, from.data(), sizeof value);
    return value;
  }
  std::span<const std::byte> take(std::size_t count) {
    if (count > bytes_.size()) ok_ = false;
    if (!ok_) return {};
    const auto taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }
  bool ok() const { return ok_; }
  bool at_end() const { return ok_ && bytes_.empty(); }

 private:
  std::span<const std::byte> bytes_;
  bool ok_ = true;
};

std::vector<std::byte> encode_filters(FooterPart part, const FilterRow& row, std::size_t blocks) {
  Output out;
  out.put(part);
  out.put(kFooterVersion);
  out.put(row.bits());
  out.put(static_cast<std::uint32_t>(blocks));
  out.put_bytes(std::as_bytes(row.bytes()));
  return out.take();
}

bool blocks_in_order(const Footer& footer) {
  const FooterBlock* before = nullptr;
  for (const FooterBlock& block : footer.blocks) {
    if (block.offset < kSegmentHeaderBytes || block.offset % kRecordAlignmentBytes != 0) return false;
    if (before != nullptr && (block.offset <= before->offset || block.first_seq <= before->first_seq ||
                              block.first_time_ns < before->first_time_ns)) {
      return false;
    }
    before = &block;
  }
  return footer.blocks.front().first_seq == footer.first_seq && before->first_seq <= footer.last_seq;
}

bool decode_groups(Input& in, std::size_t count, const std::vector<std::string_view>& strings, Footer& footer) {
  const std::size_t bitmap_bytes = (footer.blocks.size() + 7) / 8;
  for (std::size_t i = 0; i < count; ++i) {
    FooterGroup group;
    for (std::string* name : {&group.type, &group.plugin_id, &group.plugin_name, &group.actor}) {
      const auto number = in.get<std::uint16_t>();
      if (number >= strings.size()) return false;
      *name = strings[number];
    }
    group.count = in.get<std::uint64_t>();
    group.first_seq = in.get<EventSeq>();
    group.last_seq = in.get<EventSeq>();
    const auto bitmap = in.take(bitmap_bytes);
    if (!in.ok()) return false;
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(bitmap.data());
    group.blocks.assign(bytes, bytes + bitmap.size());
    footer.groups.push_back(std::move(group));
  }
  return true;
}

}  // namespace

std::optional<Footer> decode_footer(std::span<const std::byte> body) {
  Input in(body);
  if (in.get<FooterPart>() != FooterPart::kSummary || in.get<std::uint32_t>() != kFooterVersion) return std::nullopt;
  Footer footer;
  footer.first_seq = in.get<EventSeq>();
  footer.last_seq = in.get<EventSeq>();
  footer.first_time_ns = in.get<std::int64_t>();
  footer.last_time_ns = in.get<std::int64_t>();
  footer.groups_complete = (in.get<std::uint32_t>() & kGroupsComplete) != 0;
  const auto blocks = in.get<std::uint32_t>();
  const auto groups = in.get<std::uint32_t>();
  const auto string_count = in.get<std::uint32_t>();
  footer.correlation_record_bytes = in.get<std::uint32_t>();
  footer.text_record_bytes = in.get<std::uint32_t>();
  if (!in.ok() || blocks == 0 || blocks > limits::kFooterBlocksMax || groups > limits::kFooterGroupsMax ||
      string_count > kStringsMax) {
    return std::nullopt;
  }
  for (std::uint32_t i = 0; i < blocks; ++i) {
    footer.blocks.push_back(
        {.offset = in.get<std::uint64_t>(), .first_seq = in.get<EventSeq>(), .first_time_ns = in.get<std::int64_t>()});
  }
  if (!in.ok() || !blocks_in_order(footer)) return std::nullopt;
  std::vector<std::string_view> strings;
  for (std::uint32_t i = 0; i < string_count && in.ok(); ++i) {
    const auto bytes = in.take(in.get<std::uint16_t>());
    strings.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  if (!decode_groups(in, groups, strings, footer) || !in.at_end()) return std::nullopt;
  return footer;
}

std::optional<DecodedFilters> decode_filters(std::span<const std::byte> body, FooterPart part, std::size_t blocks) {
  Input in(body);
  if (in.get<FooterPart>() != part || in.get<std::uint32_t>() != kFooterVersion) return std::nullopt;
  const auto bits = in.get<std::uint32_t>();
  const auto count = in.get<std::uint32_t>();
  if (!in.ok() || !std::has_single_bit(bits) || bits < kFilterBitsMin || bits > kTextBits || count != blocks) {
    return std::nullopt;
  }
  if (part == FooterPart::kTexts && bits != kTextBits) return std::nullopt;
  const auto bytes = in.take(blocks * bits / 8);
  if (!in.at_end()) return std::nullopt;
  return DecodedFilters{.bytes_each = bits / 8,
                        .bytes = {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}};
}

FooterBuilder::FooterBuilder(EventSeq first_seq, std::uint64_t block_bytes)
    : first_seq_(first_seq), block_bytes_(block_bytes), last_seq_(first_seq - 1) {}

void FooterBuilder::begin_block(const RecordView& event) {
  if (!blocks_.empty() &&
      (event.offset < blocks_.back().offset + block_bytes_ || blocks_.size() == limits::kFooterBlocksMax)) {
    return;
  }
  blocks_.push_back({.offset = event.offset, .first_seq = event.seq, .first_time_ns = event.time_ns});
  correlations_.add_block();
  texts_.add_block();
  block_correlations_ = 0;
  block_text_bytes_ = 0;
  texts_saturated_ = false;
}

FooterBuilder::Group* FooterBuilder::find_group(const EventFields& fields) {
  const Names names = names_of(fields);
  for (std::size_t i = 0; i < recent_.size(); ++i) {
    if (!equals(groups_[recent_[i]].name, names)) continue;
    return &groups_[recent_[i]];
  }
  key_.clear();
  for (const std::string_view name : names) {
    if (name.size() > kStringsMax) return nullptr;
    append(key_, name);
  }
  auto found = group_by_name_.find(key_);
  if (found == group_by_name_.end()) {
    string_bytes_ += key_.size();
    if (groups_.size() == limits::kFooterGroupsMax || string_bytes_ > limits::kFooterStringBytesMax) return nullptr;
    found = group_by_name_.emplace(key_, groups_.size()).first;
    groups_.emplace_back();
    groups_.back().name = key_;
  }
  recent_.insert(recent_.begin(), found->second);
  if (recent_.size() > kRecentGroups) recent_.pop_back();
  return &groups_[found->second];
}

void FooterBuilder::add_to_group(const RecordView& event, const EventFields& fields) {
  if (!groups_complete_) return;
  Group* const group = find_group(fields);
  if (group == nullptr) {  // too many: what is known of some of them helps nobody
    groups_complete_ = false;
    groups_.clear();
    group_by_name_.clear();
    return;
  }
  if (group->count == 0) group->first_seq = event.seq;
  ++group->count;
  group->last_seq = event.seq;
  const std::size_t block = blocks_.size() - 1;
  if (group->blocks.size() <= block / 8) group->blocks.resize(block / 8 + 1);
  group->blocks[block / 8] |= static_cast<std::uint8_t>(1U << block % 8);
}

void FooterBuilder::add(const RecordView& event) {
  begin_block(event);
  if (last_seq_ < first_seq_) first_time_ns_ = event.time_ns;
  last_seq_ = event.seq;
  last_time_ns_ = event.time_ns;
  EventFields fields;
  const std::string_view bytes(reinterpret_cast<const char*>(event.body.data()), event.body.size());
  if (!read_fields(bytes, fields)) {  // never written by this program; the reader shall look for itself
    groups_complete_ = false;
    groups_.clear();
    group_by_name_.clear();
  }
  add_to_group(event, fields);
  if (!fields.correlation_id.empty() && CorrelationKey(fields.correlation_id).add_to(correlations_.last_block())) {
    block_correlations_max_ = std::max(block_correlations_max_, ++block_correlations_);
  }
  if (texts_saturated_) return;
  for_each_text(fields, [this](std::string_view text) {
    // In pieces that overlap by two bytes, so that a long text ends as soon as the filter is full.
    while (!text.empty() && !texts_saturated_) {
      const std::size_t piece = std::min(text.size(), kTextBytesBetweenLooks);
      add_text(texts_.last_block(), text.substr(0, piece));
      block_text_bytes_ += piece;
      if (block_text_bytes_ >= kTextBytesBetweenLooks) {
        texts_saturated_ = saturate(texts_.last_block());
        block_text_bytes_ = 0;
      }
      text.remove_prefix(piece == text.size() ? piece : piece - 2);
    }
  });
}

std::vector<std::byte> FooterBuilder::encode_summary(std::uint32_t correlation_bytes, std::uint32_t text_bytes) const {
  std::map<std::string_view, std::uint16_t> numbers;
  std::vector<std::string_view> strings;
  for (const Group& group : groups_) {
    for (const std::string_view name : split(group.name)) {
      if (numbers.emplace(name, static_cast<std::uint16_t>(strings.size())).second) strings.push_back(name);
    }
  }
  Output out;
  out.put(FooterPart::kSummary);
  out.put(kFooterVersion);
  out.put(first_seq_);
  out.put(last_seq_);
  out.put(first_time_ns_);
  out.put(last_time_ns_);
  out.put(groups_complete_ ? kGroupsComplete : 0);
  out.put(static_cast<std::uint32_t>(blocks_.size()));
  out.put(static_cast<std::uint32_t>(groups_.size()));
  out.put(static_cast<std::uint32_t>(strings.size()));
  out.put(correlation_bytes);
  out.put(text_bytes);
  for (const FooterBlock& block : blocks_) {
    out.put(block.offset);
    out.put(block.first_seq);
    out.put(block.first_time_ns);
  }
  std::string encoded_strings;
  for (const std::string_view text : strings) append(encoded_strings, text);
  out.put_bytes(std::as_bytes(std::span(encoded_strings)));
  const std::size_t bitmap_bytes = (blocks_.size() + 7) / 8;
  for (const Group& group : groups_) {
    for (const std::string_view name : split(group.name)) out.put(numbers[name]);
    out.put(group.count);
    out.put(group.first_seq);
    out.put(group.last_seq);
    std::vector<std::uint8_t> bitmap = group.blocks;
    bitmap.resize(bitmap_bytes);
    out.put_bytes(std::as_bytes(std::span(bitmap)));
  }
  return out.take();
}

std::vector<std::byte> FooterBuilder::encode(std::uint32_t key) const {
  if (blocks_.empty()) return {};
  FilterRow correlations = correlations_;
  correlations.halve_for(block_correlations_max_, kBitsForEachId);
  const std::vector<std::byte> filters[] = {encode_filters(FooterPart::kCorrelations, correlations, blocks_.size()),
                                            encode_filters(FooterPart::kTexts, texts_, blocks_.size())};
  const auto stated = [](const std::vector<std::byte>& body) {
    return static_cast<std::uint32_t>(record_bytes(body.size()));
  };
  const std::vector<std::byte> summary = encode_summary(stated(filters[0]), stated(filters[1]));
  std::vector<std::byte> records(stated(summary) + stated(filters[0]) + stated(filters[1]));
  std::size_t at = 0;
  for (const std::vector<std::byte>* body : {&summary, &filters[0], &filters[1]}) {
    const std::span<std::byte> record = std::span(records).subspan(at, record_bytes(body->size()));
    std::copy(body->begin(), body->end(), record.begin() + kRecordHeaderBytes);
    begin_record(record, RecordKind::kFooter, last_seq_, last_time_ns_, body->size());
    finish_record(record, key);
    at += record.size();
  }
  return records;
}

}  // namespace liongate::event_log
