#include "config/faults.h"

#include "kernel/base/utf8.h"

#include <algorithm>
#include <set>

namespace liongate::config {
namespace {

// Text from a file that goes into a one-line message: control characters shown as '?', long text cut.
std::string shown(std::string_view text) {
  static constexpr std::size_t kShownBytesMax = 200;
  std::string out(text.substr(0, kShownBytesMax));
  // A cut in the middle of a character would make the message invalid UTF-8.
  if (text.size() > kShownBytesMax) {
    while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xC0U) == 0x80U) out.pop_back();
    if (!out.empty() && static_cast<unsigned char>(out.back()) >= 0xC0U) out.pop_back();
    out += "...";
  }
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return out;
}

std::string folded(std::string_view word) {
  std::string out;
  for (const char c : word) {
    if (c != '_' && c != '-' && c != '.') out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  }
  return out;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

void FaultList::add(int line, std::string field, std::string what, std::string remedy) {
  add(line, std::move(field), std::move(what), std::move(remedy), reason_);
}

void FaultList::add(int line, std::string field, std::string what, std::string remedy, Reason reason) {
  faults_.push_back({line, std::move(field), std::move(what), std::move(remedy), reason});
}

std::string FaultList::render(const Fault& fault) const {
  std::string out = path_ + ":" + std::to_string(fault.line) + ": ";
  if (!fault.field.empty()) out += shown(fault.field) + ": ";
  out += shown(fault.what);
  if (!fault.remedy.empty()) out += "; " + fault.remedy;
  return out;
}

Error FaultList::to_error() const {
  std::vector<Fault> sorted = faults_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Fault& a, const Fault& b) { return a.line < b.line; });
  Error error = make_error(reason_, "");
  if (!sorted.empty()) error.reason = sorted.front().reason;
  std::set<std::string> named;
  std::size_t shown_count = 0;
  for (const Fault& fault : sorted) {
    if (fault.reason != error.reason) error.reason = reason_;
    if (++shown_count > kFaultsShownMax) continue;
    if (!error.message.empty()) error.message += '\n';
    error.message += to_utf8(render(fault));  // a parser's own words may quote half a character
    if (!fault.field.empty() && named.insert(fault.field).second) {
      std::string& fields = error.metadata["fields"];
      fields += (fields.empty() ? "" : ",") + shown(fault.field);
    }
  }
  if (sorted.size() > kFaultsShownMax) {
    error.message += "\n" + path_ + ": and " + std::to_string(sorted.size() - kFaultsShownMax) + " more faults";
  }
  return error;
}

std::string near_miss(std::string_view word, const std::vector<std::string>& known) {
  static constexpr std::size_t kWordBytesMax = 64;  // the distance is quadratic; longer words are no typing errors
  if (word.empty() || word.size() > kWordBytesMax) return "";
  const std::string wanted = folded(word);
  std::string best;
  std::size_t best_distance = wanted.size() <= 4 ? 1 : 2;
  for (const std::string& candidate : known) {
    const std::size_t distance = edit_distance(wanted, folded(candidate));
    if (distance < best_distance || (distance == best_distance && best.empty())) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& known, std::string otherwise) {
  const std::string meant = near_miss(word, known);
  return meant.empty() ? otherwise : "did you mean `" + meant + "`?";
}

const Node* TableReader::get(std::string_view key) {
  known_.emplace_back(key);
  return table_.find(key);
}

std::optional<std::string> TableReader::text(std::string_view key, std::size_t bytes_max) {
  const Node* node = get(key);
  if (node == nullptr) return std::nullopt;
  if (!node->is(NodeKind::kString)) {
    const bool is_scalar = !node->is(NodeKind::kTable) && !node->is(NodeKind::kList) && !node->is(NodeKind::kNull);
    fault(*node, key, "must be text, not " + std::string(describe(node->kind)),
          is_scalar ? "put it in quotes: \"" + node->text + "\"" : "write " + std::string(key) + " as one text");
    return std::nullopt;
  }
  if (node->text.find('\0') != std::string::npos) {
    fault(*node, key, "contains a NUL character", "remove it");
    return std::nullopt;
  }
  if (node->text.size() > bytes_max) {
    fault(*node, key, "is longer than " + std::to_string(bytes_max) + " bytes", "shorten it");
    return std::nullopt;
  }
  return node->text;
}

std::optional<std::uint64_t> TableReader::integer(std::string_view key, std::uint64_t min, std::uint64_t max) {
  const Node* node = get(key);
  if (node == nullptr) return std::nullopt;
  const std::string range = std::to_string(min) + " to " + std::to_string(max);
  if (!node->is(NodeKind::kInteger)) {
    fault(*node, key, "must be a whole number, not " + std::string(describe(node->kind)),
          "give a number from " + range);
    return std::nullopt;
  }
  if (node->integer < 0 || static_cast<std::uint64_t>(node->integer) < min ||
      static_cast<std::uint64_t>(node->integer) > max) {
    fault(*node, key, node->text + " is out of range", "give a number from " + range);
    return std::nullopt;
  }
  return static_cast<std::uint64_t>(node->integer);
}

std::optional<bool> TableReader::boolean(std::string_view key) {
  const Node* node = get(key);
  if (node == nullptr) return std::nullopt;
  if (!node->is(NodeKind::kBool)) {
    fault(*node, key, "must be true or false, not " + std::string(describe(node->kind)), "write true or false");
    return std::nullopt;
  }
  return node->boolean;
}

std::optional<std::vector<std::string>> TableReader::texts(std::string_view key, std::size_t count_max) {
  const Node* node = get(key);
  if (node == nullptr) return std::nullopt;
  return texts_of(*node, field(key), count_max);
}

std::optional<std::vector<std::string>> TableReader::texts_of(const Node& node, const std::string& name,
                                                              std::size_t count_max) {
  if (!node.is(NodeKind::kList)) {
    faults_.add(node.line, name, "must be a list of texts, not " + std::string(describe(node.kind)),
                "write [\"...\"], or [] for none");
    return std::nullopt;
  }
  if (node.items.size() > count_max) {
    faults_.add(node.line, name, "has more than " + std::to_string(count_max) + " entries", "shorten the list");
    return std::nullopt;
  }
  std::vector<std::string> values;
  for (const Node& item : node.items) {
    if (!item.is(NodeKind::kString)) {
      faults_.add(item.line, name, "must hold texts only, not " + std::string(describe(item.kind)),
                  "put each entry in quotes");
      return std::nullopt;
    }
    if (item.text.find('\0') != std::string::npos) {
      faults_.add(item.line, name, "contains a NUL character", "remove it");
      return std::nullopt;
    }
    values.push_back(item.text);
  }
  return values;
}

const Node* TableReader::table(std::string_view key) {
  const Node* node = get(key);
  if (node == nullptr) return nullptr;
  if (!node->is(NodeKind::kTable)) {
    fault(*node, key, "must be a table, not " + std::string(describe(node->kind)), "write [" + field(key) + "]");
    return nullptr;
  }
  return node;
}

std::vector<Fault> TableReader::unknown_keys() const {
  std::vector<Fault> unknown;
  for (const Member& member : table_.members) {
    if (std::find(known_.begin(), known_.end(), member.key) != known_.end()) continue;
    unknown.push_back({member.line, field(member.key), "unknown key",
                       suggestion(member.key, known_, "remove it, or see the manual for the keys there are")});
  }
  return unknown;
}

}  // namespace liongate::config
