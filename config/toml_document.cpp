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
  const toml::parse_result result = toml::parse(text);
  if (!result) return fault_of(result.error());
  return TomlConverter().convert(result.table());
}

}  // namespace liongate::config
