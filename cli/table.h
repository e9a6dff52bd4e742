// Aligned columns for people: a whole table at once, or lines of a stream whose columns keep the width they reached.
//
// Ownership and thread: short-lived, one thread. Cells are made safe for a terminal.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "cli/context.h"

namespace liongate::cli {

class Table {
 public:
  // `widths_min` may be shorter than `titles`; missing ones are the titles' own.
  explicit Table(std::vector<std::string> titles, std::vector<std::size_t> widths_min = {});

  void add(std::vector<std::string> cells);

  // Writes what was added since the last flush, the titles first if nothing was written yet. The last column is not
  // padded. Words that mean good or bad are coloured where `context` says so.
  void flush(Context& context);

 private:
  void write_row(Context& context, const std::vector<std::string>& cells);

  std::vector<std::string> titles_;
  std::vector<std::size_t> widths_;
  std::vector<std::vector<std::string>> rows_;
  bool wrote_titles_ = false;
};

// "name:  value" lines, values aligned; an empty value is left out.
class Sheet {
 public:
  void add(std::string name, std::string value);
  void write(Context& context) const;

 private:
  std::vector<std::pair<std::string, std::string>> rows_;
};

// `word` in green or red where it is one of the words of plugin states, host mechanisms and the like.
std::string coloured(const Context& context, const std::string& word);

}  // namespace liongate::cli
