// Reads YAML through yaml-cpp's events rather than its nodes: events carry marks, show duplicate keys, and let depth,
// size and aliases be refused while reading.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>

#include "config/document.h"

namespace liongate::config {
namespace {

// Thrown through yaml-cpp to leave it; caught in read_yaml.
struct Refused {
  DocumentFault fault;
};

int line_of(const YAML::Mark& mark) {
  return mark.line < 0 ? 1 : mark.line + 1;
}

class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::size_t nodes_max) : nodes_max_(nodes_max) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (seen_document_) throw Refused{{line_of(mark), "holds a second document", "write one document a file"}};
    seen_document_ = true;
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (levels_.empty() && anchor != 0) {
      throw Refused{{line_of(mark), "is an anchor (&name) without a value", "write `key: value` lines"}};
    }
    add(plain_scalar("", line_of(mark)));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{{line_of(mark), "uses an alias (*name)", "write the value out"}};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& value) override {
    // The tag "?" marks a plain word, whose type is guessed; "!" a quoted one, which is text.
    if (tag == "?" || tag.empty()) return add(plain_scalar(value, line_of(mark)));
    Node node;
    node.kind = NodeKind::kString;
    node.line = line_of(mark);
    node.text = value;
    add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    open(NodeKind::kList, mark);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    open(NodeKind::kTable, mark);
  }
  void OnMapEnd() override { close(); }

  Node take() { return std::move(root_); }
  bool seen_document() const { return seen_document_; }

 private:
  struct Level {
    Node node;
    Member pending;
    bool has_key = false;
  };

  void open(NodeKind kind, const YAML::Mark& mark) {
    if (levels_.size() >= kDocumentDepthMax) {
      throw Refused{
          {line_of(mark), "is nested deeper than " + std::to_string(kDocumentDepthMax) + " levels", "make it simpler"}};
    }
    Level level;
    level.node.kind = kind;
    level.node.line = line_of(mark);
    levels_.push_back(std::move(level));
  }

  void close() {
    Node node = std::move(levels_.back().node);
    levels_.pop_back();
    add(std::move(node));
  }

  void add(Node node) {
    if (++nodes_ > nodes_max_) {
      throw Refused{{node.line, "holds more than " + std::to_string(nodes_max_) + " values", "make it simpler"}};
    }
    if (levels_.empty()) {
      root_ = std::move(node);
      return;
    }
    Level& level = levels_.back();
    if (level.node.is(NodeKind::kList)) {
      level.node.items.push_back(std::move(node));
    } else if (!level.has_key) {
      start_member(level, std::move(node));
    } else {
      level.pending.value = std::move(node);
      level.node.members.push_back(std::move(level.pending));
      level.pending = Member{};
      level.has_key = false;
    }
  }

  static void start_member(Level& level, Node key) {
    if (key.is(NodeKind::kList) || key.is(NodeKind::kTable)) {
      throw Refused{{key.line, "has a key that is " + std::string(describe(key.kind)), "use plain words as keys"}};
    }
    if (level.node.find(key.text) != nullptr) {
      throw Refused{{key.line, "has the key '" + key.text + "' twice", "remove one"}};
    }
    if (level.node.members.size() >= kTableMembersMax) {
      throw Refused{
          {key.line, "has a table of more than " + std::to_string(kTableMembersMax) + " keys", "make it simpler"}};
    }
    level.pending.key = std::move(key.text);
    level.pending.line = key.line;
    level.has_key = true;
  }

  std::vector<Level> levels_;
  Node root_;
  const std::size_t nodes_max_;
  std::size_t nodes_ = 0;
  bool seen_document_ = false;
};

// Does the line that the parser stopped in, or one above it, begin with a tab? Its own words never say so.
bool is_indented_by_tab(std::string_view text, int line) {
  for (std::size_t at = 0; at < text.size() && line > 0; --line) {
    const std::size_t word = text.find_first_not_of(' ', at);
    if (word != std::string_view::npos && text[word] == '\t') return true;
    at = std::min(text.find('\n', at), text.size()) + 1;
  }
  return false;
}

// The first line that says something: neither blank nor a comment; 0 for none.
int first_line_of_content(std::string_view text) {
  int line = 1;
  for (std::size_t at = 0; at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::size_t word = text.find_first_not_of(" \t\r", at);
    if (word < end && text[word] != '#') return line;
    at = end + 1;
  }
  return 0;
}

}  // namespace

Document read_yaml(std::string_view text, std::size_t nodes_max) {
  TreeBuilder builder(nodes_max);
  try {
    std::istringstream input{std::string(text)};
    YAML::Parser parser(input);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refused& refused) {
    return refused.fault;
  } catch (const YAML::Exception& error) {
    const int line = line_of(error.mark);
    return DocumentFault{line, "not valid YAML: " + error.msg,
                         is_indented_by_tab(text, line) ? "indent with blanks: a tab is none in YAML"
                                                        : "check indentation, quotes and brackets"};
  }
  if (const int line = first_line_of_content(text); line != 0 && !builder.seen_document()) {
    return DocumentFault{line, "holds directives (%...) and no document", "write `key: value` lines"};
  }
  Node root = builder.take();
  if (root.is(NodeKind::kNull)) root.kind = NodeKind::kTable;
  if (!root.is(NodeKind::kTable)) {
    return DocumentFault{root.line, "is " + std::string(describe(root.kind)) + " as a whole, not keys and values",
                         "write `key: value` lines"};
  }
  root.line = 1;
  return root;
}

}  // namespace liongate::config
