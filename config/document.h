// A parsed TOML, JSON or YAML text as one kind of tree in which every key and value knows its line.
//
// Ownership and thread: plain values; the readers are pure functions, any thread. They bound size, depth and number of
// nodes themselves, so that a hostile text costs a clear fault and nothing else. Faults: the first one, with its line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace liongate::config {

inline constexpr std::size_t kDocumentDepthMax = 32;  // tables and lists within each other
inline constexpr std::size_t kDocumentNodesMax =
    50'000;                                             // a text of 256 KiB could hold more, none that means something
inline constexpr std::size_t kTableMembersMax = 1'000;  // duplicate keys are looked for one by one

enum class NodeKind : std::uint8_t { kNull, kBool, kInteger, kFloat, kString, kList, kTable };

// "a table", "a list", "text", ...: for messages.
std::string_view describe(NodeKind kind);

struct Member;

struct Node {
  NodeKind kind = NodeKind::kNull;
  int line = 1;
  std::string text;  // a string's value; for other scalars the literal as a JSON reader would take it
  std::int64_t integer = 0;
  double number = 0;
  bool boolean = false;
  std::vector<Node> items;
  std::vector<Member> members;  // in the order of the file

  bool is(NodeKind wanted) const { return kind == wanted; }
  // The value of a table's key, or nullptr.
  const Node* find(std::string_view key) const;
};

struct Member {
  std::string key;
  int line = 1;
  Node value;
};

// What made a text unreadable.
struct DocumentFault {
  int line = 1;
  std::string what;
  std::string remedy;
};

// The root is always a table; an empty YAML or TOML text is an empty one.
using Document = std::variant<Node, DocumentFault>;

Document read_toml(std::string_view text);
// `nodes_max`: of values in all; a policy file may have more than others.
Document read_yaml(std::string_view text, std::size_t nodes_max = kDocumentNodesMax);
Document read_json(std::string_view text);

// True if all of `text` is well-formed UTF-8; a NUL is a character like others here.
bool is_utf8(std::string_view text);

// What is wrong with `text` before any grammar: longer than `bytes_max`, a NUL byte, not UTF-8. Empty `what`: nothing.
DocumentFault check_text(std::string_view text, std::size_t bytes_max);

// Makes the scalar that a plain (unquoted) word stands for: null, a boolean, a number, else text.
Node plain_scalar(std::string text, int line);

// The node as compact JSON.
std::string to_json(const Node& node);

}  // namespace liongate::config
