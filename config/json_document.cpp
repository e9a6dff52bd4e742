// Reads JSON strictly (RFC 8259). yaml-cpp takes most of JSON too, but neither surrogate pairs (what Python's
// json.dumps writes for an emoji) nor does it refuse a second value behind the first; manifests written by programs
// need both.
#include <optional>

#include "config/document.h"

namespace liongate::config {
namespace {

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  Document read() {
    Node root = value(1);
    skip_space();
    if (!fault_ && at_ < text_.size()) fail("text after the end of the value");
    if (!fault_ && !root.is(NodeKind::kTable)) fail("the whole must be an object");
    if (fault_) return *fault_;
    root.line = 1;
    return root;
  }

 private:
  void fail(std::string what) {
    if (!fault_) fault_ = DocumentFault{line_, "not valid JSON: " + std::move(what), "check it with `jq .`"};
  }

  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r' || text_[at_] == '\n')) {
      if (text_[at_++] == '\n') ++line_;
    }
  }

  // Takes `wanted` after white space if it is next.
  bool take(char wanted) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  Node value(std::size_t depth) {
    skip_space();
    Node node;
    node.line = line_;
    if (depth > kDocumentDepthMax) {
      if (!fault_) {
        fault_ = DocumentFault{line_, "is nested deeper than " + std::to_string(kDocumentDepthMax) + " levels",
                               "make it simpler"};
      }
      return node;
    }
    if (++nodes_ > kDocumentNodesMax) fail("more than " + std::to_string(kDocumentNodesMax) + " values");
    if (at_ >= text_.size()) {
      fail("ends where a value is expected");
    } else if (text_[at_] == '{') {
      object(node, depth);
    } else if (text_[at_] == '[') {
      list(node, depth);
    } else if (text_[at_] == '"') {
      node.kind = NodeKind::kString;
      node.text = string();
    } else {
      node = word();
    }
    return node;
  }

  void object(Node& node, std::size_t depth) {
    node.kind = NodeKind::kTable;
    ++at_;
    if (take('}')) return;
    while (!fault_) {
      skip_space();
      if (at_ >= text_.size() || text_[at_] != '"') return fail("a key in double quotes is expected");
      Member member;
      member.line = line_;
      member.key = string();
      if (node.find(member.key) != nullptr) {
        if (!fault_) fault_ = DocumentFault{line_, "has the key '" + member.key + "' twice", "remove one"};
        return;
      }
      if (!take(':')) return fail("':' is expected after a key");
      member.value = value(depth + 1);
      node.members.push_back(std::move(member));
      if (node.members.size() > kTableMembersMax) return fail("an object with too many keys");
      if (take('}')) return;
      if (!take(',')) return fail("',' or '}' is expected");
    }
  }

  void list(Node& node, std::size_t depth) {
    node.kind = NodeKind::kList;
    ++at_;
    if (take(']')) return;
    while (!fault_) {
      node.items.push_back(value(depth + 1));
      if (take(']')) return;
      if (!take(',')) return fail("',' or ']' is expected");
    }
  }

  // true, false, null and numbers.
  Node word() {
    const std::size_t start = at_;
    while (at_ < text_.size() && std::string_view(" \t\r\n,]}:\"{[").find(text_[at_]) == std::string_view::npos) ++at_;
    std::string literal(text_.substr(start, at_ - start));
    Node node = plain_scalar(literal, line_);
    const bool is_number = node.is(NodeKind::kInteger) || node.is(NodeKind::kFloat);
    const bool is_name = literal == "true" || literal == "false" || literal == "null";
    if (!is_name && !(is_number && is_json_number(literal))) fail("'" + literal + "' is not a value");
    return node;
  }

  static bool is_json_number(std::string_view text) {
    if (text.starts_with('-')) text.remove_prefix(1);
    if (text.empty() || text[0] < '0' || text[0] > '9' || text.back() == '.') return false;
    return !(text.size() > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9');
  }

  std::string string() {
    std::string out;
    ++at_;
    while (at_ < text_.size() && !fault_) {
      const char c = text_[at_++];
      if (c == '"') return out;
      if (static_cast<unsigned char>(c) < 0x20) {
        fail("a control character stands in a text; write it as an escape");
      } else if (c == '\\') {
        escape(out);
      } else {
        out += c;
      }
    }
    fail("a text is not closed by '\"'");
    return out;
  }

  void escape(std::string& out) {
    const char c = at_ < text_.size() ? text_[at_++] : '\0';
    static constexpr std::string_view kFrom = "\"\\/bfnrt";
    static constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
    if (const std::size_t found = kFrom.find(c); c != '\0' && found != std::string_view::npos) {
      out += kTo[found];
      return;
    }
    if (c != 'u') return fail("an unknown escape stands in a text");
    std::uint32_t code = hex4();
    if (code >= 0xD800 && code <= 0xDBFF && text_.substr(at_, 2) == "\\u") {
      at_ += 2;
      const std::uint32_t low = hex4();
      if (low < 0xDC00 || low > 0xDFFF) return fail("half a surrogate pair stands in a text");
      code = 0x10000 + ((code - 0xD800) << 10U) + (low - 0xDC00);
    } else if (code >= 0xD800 && code <= 0xDFFF) {
      return fail("half a surrogate pair stands in a text");
    }
    if (code == 0) return fail("a NUL character stands in a text");
    append_utf8(out, code);
  }

  std::uint32_t hex4() {
    std::uint32_t code = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = at_ < text_.size() ? text_[at_++] : ' ';
      const std::size_t digit = std::string_view("0123456789abcdef").find(static_cast<char>(c | (c >= 'A' ? 0x20 : 0)));
      if (digit == std::string_view::npos) {
        fail("\\u needs four hexadecimal digits");
        return 0xFFFD;
      }
      code = code * 16 + static_cast<std::uint32_t>(digit);
    }
    return code;
  }

  static void append_utf8(std::string& out, std::uint32_t code) {
    const auto tail = [&](unsigned shift) { out += static_cast<char>(0x80U | ((code >> shift) & 0x3FU)); };
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (code < 0x800) {
      out += static_cast<char>(0xC0U | (code >> 6U));
      tail(0);
    } else if (code < 0x10000) {
      out += static_cast<char>(0xE0U | (code >> 12U));
      tail(6);
      tail(0);
    } else {
      out += static_cast<char>(0xF0U | (code >> 18U));
      tail(12);
      tail(6);
      tail(0);
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::size_t nodes_ = 0;
  std::optional<DocumentFault> fault_;
};

}  // namespace

Document read_json(std::string_view text) {
  return JsonReader(text).read();
}

}  // namespace liongate::config
