// Collects every fault of one file, and reads a table's fields into values while doing so.
//
// Ownership and thread: short-lived helpers of one parse; a TableReader refers to the Node and the FaultList it was
// made with, which outlive it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/document.h"
#include "kernel/base/error.h"

namespace liongate::config {

// One fault: "path:line: field: what; remedy".
struct Fault {
  int line = 1;
  std::string field;  // empty: the file as a whole
  std::string what;
  std::string remedy;
  Reason reason = Reason::kInvalidManifest;
};

// More of one file are counted, not shown: who reads them is a person, and they go into an event.
inline constexpr std::size_t kFaultsShownMax = 100;

class FaultList {
 public:
  // `reason` is what a fault stands for unless it says otherwise.
  FaultList(std::string path, Reason reason) : path_(std::move(path)), reason_(reason) {}

  void add(int line, std::string field, std::string what, std::string remedy);
  void add(int line, std::string field, std::string what, std::string remedy, Reason reason);
  bool empty() const { return faults_.empty(); }

  // All faults in the order of lines as one Error; its reason is the one they share, else the list's own.
  Error to_error() const;

  // One line in the form of a fault; for warnings.
  std::string render(const Fault& fault) const;

 private:
  std::string path_;
  Reason reason_;
  std::vector<Fault> faults_;
};

// The word of `known` that `word` was probably meant to be, or empty. Case, `-` and `_` do not count.
std::string near_miss(std::string_view word, const std::vector<std::string>& known);

// "did you mean `x`?" where there is a near miss, else `otherwise`.
std::string suggestion(std::string_view word, const std::vector<std::string>& known, std::string otherwise);

// Reads fields of one table. A field that is there but wrong is added to the faults and read as absent.
class TableReader {
 public:
  // `prefix` stands before field names in messages: "limits." for a table below the root.
  TableReader(const Node& table, std::string prefix, FaultList& faults)
      : table_(table), prefix_(std::move(prefix)), faults_(faults) {}

  // Makes `key` a known one and returns its value, nullptr where it is not there.
  const Node* get(std::string_view key);

  std::optional<std::string> text(std::string_view key, std::size_t bytes_max);
  std::optional<std::uint64_t> integer(std::string_view key, std::uint64_t min, std::uint64_t max);
  std::optional<bool> boolean(std::string_view key);
  std::optional<std::vector<std::string>> texts(std::string_view key, std::size_t count_max);
  const Node* table(std::string_view key);

  // The list of strings in `node`, reported as `field`.
  std::optional<std::vector<std::string>> texts_of(const Node& node, const std::string& field, std::size_t count_max);

  // Faults for what nobody asked for, to be called last: each unknown key with its near miss.
  std::vector<Fault> unknown_keys() const;

  void fault(const Node& node, std::string_view key, std::string what, std::string remedy) {
    faults_.add(node.line, field(key), std::move(what), std::move(remedy));
  }
  std::string field(std::string_view key) const { return prefix_ + std::string(key); }
  int line() const { return table_.line; }

 private:
  const Node& table_;
  std::string prefix_;
  FaultList& faults_;
  std::vector<std::string> known_;
};

}  // namespace liongate::config
