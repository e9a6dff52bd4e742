// The only file that sees toml++. It is compiled header-only here because the flag that allows newlines and trailing
// commas in inline tables (TOML after 1.0; seed 001's sample needs it) is a property of the parser's own code.
//
// toml++ asserts that "[" is followed by a key, and then handles that it is not: on such bytes a debug build would
// abort, and clang with NDEBUG would take the assertion for a promise. Neither is wanted; its own checks follow each of
// them.
#undef NDEBUG
#define TOML_ASSERT(expression) static_assert(true)
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_UNRELEASED_FEATURES 1
#define TOML_ENABLE_FORMATTERS 1
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <sstream>

#include "config/document.h"

namespace liongate::config {
namespace {

class TomlConverter {
 public:
  Document convert(const toml::table& root) {
    Node node = table(root, 1);
    if (fault_) return *fault_;
    node.line = 1;
    return node;
  }

 private:
  Node value(const toml::node& source, std::size_t depth) {
    Node node;
    node.line = static_cast<int>(source.source().begin.line);
    if (depth > kDocumentDepthMax || ++nodes_ > kDocumentNodesMax) {
      const bool deep = depth > kDocumentDepthMax;
      if (!fault_) {
        fault_ = DocumentFault{node.line,
                               deep ? "is nested deeper than " + std::to_string(kDocumentDepthMax) + " levels"
                                    : "holds more than " + std::to_string(kDocumentNodesMax) + " values",
                               "make it simpler"};
      }
      return node;
    }
    if (const toml::table* nested = source.as_table()) return table(*nested, depth);
    if (const toml::array* list = source.as_array()) {
      node.kind = NodeKind::kList;
      for (const toml::node& item : *list) node.items.push_back(value(item, depth + 1));
      return node;
    }
    return scalar(source, std::move(node));
  }

  Node table(const toml::table& source, std::size_t depth) {
    Node node;
    node.kind = NodeKind::kTable;
    node.line = static_cast<int>(source.source().begin.line);
    // toml++ keeps tables sorted by key; people expect their own order in messages and in the schema.
    std::vector<std::pair<const toml::key*, const toml::node*>> in_order;
    for (const auto& [key, child] : source) in_order.emplace_back(&key, &child);
    std::stable_sort(in_order.begin(), in_order.end(),
                     [](const auto& a, const auto& b) { return a.first->source().begin < b.first->source().begin; });
    for (const auto& [key, child] : in_order) {
      node.members.push_back(
          {std::string(key->str()), static_cast<int>(key->source().begin.line), value(*child, depth + 1)});
    }
    return node;
  }

  static Node scalar(const toml::node& source, Node node) {
    if (const auto* text = source.as_string()) {
      node.kind = NodeKind::kString;
      node.text = text->get();
    } else if (const auto* integer = source.as_integer()) {
      node.kind = NodeKind::kInteger;
      node.integer = integer->get();
      node.number = static_cast<double>(node.integer);
      node.text = std::to_string(node.integer);
    } else if (const auto* boolean = source.as_boolean()) {
      node.kind = NodeKind::kBool;
      node.boolean = boolean->get();
      node.text = node.boolean ? "true" : "false";
    } else if (const auto* number = source.as_floating_point(); number != nullptr && std::isfinite(number->get())) {
      const int line = node.line;
      std::ostringstream out;
      out.precision(17);
      out << number->get();
      node = plain_scalar(out.str(), line);
      node.kind = NodeKind::kFloat;
      node.number = number->get();
    } else {
      // Dates, times, inf and nan: JSON has none of them, their text is what is meant.
      std::ostringstream out;
      source.visit([&](const auto& value) {
        if constexpr (toml::is_value<decltype(value)>) out << value.get();
      });
      node.kind = NodeKind::kString;
      node.text = out.str();
    }
    return node;
  }

  std::size_t nodes_ = 0;
  std::optional<DocumentFault> fault_;
};

// Makes a text safe for toml++ 3.3, whose test for white space is undefined for most characters beyond ASCII (its
// generated table calls them unreachable), and which makes that test of any character behind an error. TOML allows such
// characters in quotes and comments only. Elsewhere they are refused here; in double quotes they become escapes; single
// quotes around them become double ones; in comments they become '?'. So toml++ sees ASCII and nothing else.
class TomlGuard {
 public:
  explicit TomlGuard(std::string_view text) : text_(text) {
    if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
  }

  // The text for toml++, or a fault with the line of the offending character.
  std::variant<std::string, DocumentFault> guarded() {
    while (at_ < text_.size() && !fault_) {
      const char c = text_[at_];
      if (!is_ascii(c)) {
        fail("a character outside ASCII stands outside quotes", "put it in quotes");
      } else if (c == '#') {
        comment();
      } else if (c == '"') {
        double_quoted();
      } else if (c == '\'') {
        single_quoted();
      } else {
        count_depth(c);
        take();
      }
    }
    if (fault_) return *fault_;
    return std::move(out_);
  }

 private:
  static bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

  void fail(const char* what, const char* remedy) {
    fault_ = DocumentFault{line_, std::string("not valid TOML: ") + what, remedy};
  }

  // toml++ has its own bound on nesting, but walks what it had read until then without one: it never gets that far.
  void count_depth(char c) {
    if (c == '[' || c == '{') ++depth_;
    if ((c == ']' || c == '}') && depth_ > 0) --depth_;
    if (c == '\n') dots_ = 0;
    if (c == '.') ++dots_;  // of a dotted key: each is a table
    if (depth_ > kDocumentDepthMax || dots_ > kDocumentDepthMax) {
      fault_ = DocumentFault{line_, "is nested deeper than " + std::to_string(kDocumentDepthMax) + " levels",
                             "make it simpler"};
    }
  }

  void take() {
    if (text_[at_] == '\n') ++line_;
    out_ += text_[at_++];
  }

  void comment() {
    for (; at_ < text_.size() && text_[at_] != '\n'; ++at_) out_ += is_ascii(text_[at_]) ? text_[at_] : '?';
  }

  // How many `quote`s stand at `at`, up to `max`.
  std::size_t run_of(char quote, std::size_t at, std::size_t max) const {
    std::size_t count = 0;
    while (count < max && at + count < text_.size() && text_[at + count] == quote) ++count;
    return count;
  }

  // From the opening quote to behind the closing one; what is not closed ends with its line, or with the text.
  void double_quoted() {
    const bool is_long = run_of('"', at_, 3) == 3;
    for (int i = 0; i < (is_long ? 3 : 1); ++i) take();
    while (at_ < text_.size() && !fault_) {
      const char c = text_[at_];
      if (c == '\\') {
        take();
        if (at_ < text_.size() && !is_ascii(text_[at_]))
          return fail("an unknown escape stands in a text", "write \\\\");
        if (at_ < text_.size() && text_[at_] != '\n') take();
      } else if (c == '"') {
        // Up to two quotes in front of the three that close a long text belong to it.
        const std::size_t run = is_long ? run_of('"', at_, 5) : 1;
        for (std::size_t i = 0; i < run; ++i) take();
        if (!is_long || run >= 3) return;
      } else if (c == '\n' && !is_long) {
        return;
      } else if (is_ascii(c)) {
        take();
      } else {
        escape_character();
      }
    }
  }

  void single_quoted() {
    const bool is_long = run_of('\'', at_, 3) == 3;
    const std::size_t quotes = is_long ? 3 : 1;
    std::size_t end = at_ + quotes;
    while (end < text_.size() && run_of('\'', end, quotes) < quotes && (is_long || text_[end] != '\n')) ++end;
    const bool is_closed = run_of('\'', end, quotes) == quotes;
    if (is_long && is_closed) end += run_of('\'', end, 5) - 3;
    const std::string_view content = text_.substr(at_ + quotes, end - at_ - quotes);
    if (std::all_of(content.begin(), content.end(), is_ascii)) {
      const std::size_t behind = end + (is_closed ? quotes : 0);
      while (at_ < behind && at_ < text_.size()) take();
      return;
    }
    if (!is_closed) return fail("a text is not closed by its quote", "close it");
    at_ += quotes;
    out_.append(quotes, '"');
    while (at_ < end) {
      const char c = text_[at_];
      if (c == '"' || c == '\\') out_ += '\\';
      if (is_ascii(c)) {
        take();
      } else {
        escape_character();
      }
    }
    at_ += quotes;
    out_.append(quotes, '"');
  }

  // One UTF-8 sequence (the text was checked) as \UXXXXXXXX.
  void escape_character() {
    const auto lead = static_cast<unsigned char>(text_[at_++]);
    std::uint32_t code = lead >= 0xF0 ? lead & 0x07U : lead >= 0xE0 ? lead & 0x0FU : lead & 0x1FU;
    while (at_ < text_.size() && (static_cast<unsigned char>(text_[at_]) & 0xC0U) == 0x80U) {
      code = (code << 6U) | (static_cast<unsigned char>(text_[at_++]) & 0x3FU);
    }
    char text[16];
    std::snprintf(text, sizeof text, "\\U%08X", code);
    out_ += text;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::string out_;
  std::size_t depth_ = 0;
  std::size_t dots_ = 0;
  std::optional<DocumentFault> fault_;
};

// toml++'s own depth guard is 256 levels; a text of brackets alone would still be parsed by 256 nested calls, which is
// bounded, so that only its message has to be made ours.
DocumentFault fault_of(const toml::parse_error& error) {
  DocumentFault fault;
  fault.line = static_cast<int>(error.source().begin.line);
  std::string text(error.description());
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  fault.what = "not valid TOML: " + text;
  fault.remedy = "see https://toml.io";
  return fault;
}

}  // namespace

Document read_toml(std::string_view text) {
  const std::variant<std::string, DocumentFault> guarded = TomlGuard(text).guarded();
  if (const auto* fault = std::get_if<DocumentFault>(&guarded)) return *fault;
  const toml::parse_result result = toml::parse(std::string_view(std::get<std::string>(guarded)));
  if (!result) return fault_of(result.error());
  return TomlConverter().convert(result.table());
}

}  // namespace liongate::config
