#include "config/document.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace liongate::config {
namespace {

// The length of the well-formed UTF-8 sequence at the start of `text`, 0 where there is none (overlong forms,
// surrogates and values beyond U+10FFFF are not well-formed).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](std::size_t from, std::size_t count) {
    if (text.size() < from + count) return false;
    for (std::size_t i = from; i < from + count; ++i) {
      if ((byte(i) & 0xC0U) != 0x80U) return false;
    }
    return true;
  };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return continues(1, 1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if (!continues(1, 2)) return 0;
    if ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F)) return 0;
    return 3;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if (!continues(1, 3)) return 0;
    if ((lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F)) return 0;
    return 4;
  }
  return 0;
}

void append_json_string(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kHex[byte >> 4U];
      out += kHex[byte & 0xFU];
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_json(std::string& out, const Node& node) {
  switch (node.kind) {
    case NodeKind::kString:
      append_json_string(out, node.text);
      return;
    case NodeKind::kList:
      out += '[';
      for (const Node& item : node.items) {
        if (&item != &node.items.front()) out += ',';
        append_json(out, item);
      }
      out += ']';
      return;
    case NodeKind::kTable:
      out += '{';
      for (const Member& member : node.members) {
        if (&member != &node.members.front()) out += ',';
        append_json_string(out, member.key);
        out += ':';
        append_json(out, member.value);
      }
      out += '}';
      return;
    default:
      out += node.text;
  }
}

bool looks_like_number(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  if (text.empty() || (text[0] != '.' && (text[0] < '0' || text[0] > '9'))) return false;
  return text.find_first_not_of("0123456789.eE+-") == std::string_view::npos;
}

}  // namespace

std::string_view describe(NodeKind kind) {
  switch (kind) {
    case NodeKind::kNull:
      return "nothing";
    case NodeKind::kBool:
      return "a boolean";
    case NodeKind::kInteger:
      return "a whole number";
    case NodeKind::kFloat:
      return "a number";
    case NodeKind::kString:
      return "text";
    case NodeKind::kList:
      return "a list";
    case NodeKind::kTable:
      return "a table";
  }
  return "something else";
}

const Node* Node::find(std::string_view key) const {
  const auto found = std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.key == key; });
  return found == members.end() ? nullptr : &found->value;
}

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text.substr(at));
    if (length == 0) return false;
    at += length;
  }
  return true;
}

DocumentFault check_text(std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) {
    return {1, "is larger than " + std::to_string(bytes_max) + " bytes", "keep data out of it"};
  }
  int line = 1;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] == '\0') return {line, "contains a NUL byte", "save it as plain UTF-8 text"};
    const std::size_t length = utf8_length(text.substr(at));
    if (length == 0) return {line, "is not valid UTF-8", "save it as plain UTF-8 text"};
    if (text[at] == '\n') ++line;
    at += length;
  }
  return {};
}

Node plain_scalar(std::string text, int line) {
  Node node;
  node.line = line;
  node.kind = NodeKind::kString;
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    node.kind = NodeKind::kNull;
    text = "null";
  } else if (text == "true" || text == "True" || text == "TRUE") {
    node.kind = NodeKind::kBool;
    node.boolean = true;
    text = "true";
  } else if (text == "false" || text == "False" || text == "FALSE") {
    node.kind = NodeKind::kBool;
    text = "false";
  } else if (looks_like_number(text)) {
    const char* begin = text.data() + (text[0] == '+' ? 1 : 0);
    const char* end = text.data() + text.size();
    if (const auto [rest, fault] = std::from_chars(begin, end, node.integer); fault == std::errc() && rest == end) {
      node.kind = NodeKind::kInteger;
      node.number = static_cast<double>(node.integer);
      text = std::to_string(node.integer);
    } else if (const auto [tail, bad] = std::from_chars(begin, end, node.number); bad == std::errc() && tail == end) {
      node.kind = NodeKind::kFloat;
      char shortest[32];
      text.assign(shortest, std::to_chars(shortest, shortest + sizeof shortest, node.number).ptr);
    }
  }
  node.text = std::move(text);
  return node;
}

std::string to_json(const Node& node) {
  std::string out;
  append_json(out, node);
  return out;
}

}  // namespace liongate::config
