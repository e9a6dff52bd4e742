#include "cli/table.h"

#include <algorithm>
#include <array>
#include <ostream>

#include "cli/plain_text.h"

namespace liongate::cli {
namespace {

constexpr std::array<std::string_view, 6> kGoodWords{"running", "healthy", "available", "active", "intact", "yes"};
constexpr std::array<std::string_view, 7> kBadWords{"failed",  "crashed", "unhealthy",  "missing",
                                                    "damaged", "absent",  "PluginError"};
constexpr std::size_t kColumnGap = 2;

template <typename Words>
bool is_one_of(const Words& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

std::string coloured(const Context& context, const std::string& word) {
  if (context.colour == Colour::kNo) return word;
  if (is_one_of(kGoodWords, word)) return "\033[32m" + word + "\033[0m";
  if (is_one_of(kBadWords, word)) return "\033[31m" + word + "\033[0m";
  return word;
}

Table::Table(std::vector<std::string> titles, std::vector<std::size_t> widths_min)
    : titles_(std::move(titles)), widths_(std::move(widths_min)) {
  widths_.resize(titles_.size());
  for (std::size_t i = 0; i < titles_.size(); ++i) widths_[i] = std::max(widths_[i], width_of(titles_[i]));
}

void Table::add(std::vector<std::string> cells) {
  cells.resize(titles_.size());
  for (std::size_t i = 0; i < cells.size(); ++i) {
    cells[i] = one_line(cells[i]);
    widths_[i] = std::max(widths_[i], width_of(cells[i]));
  }
  rows_.push_back(std::move(cells));
}

void Table::flush(Context& context) {
  if (!wrote_titles_) write_row(context, titles_);
  wrote_titles_ = true;
  for (const std::vector<std::string>& row : rows_) write_row(context, row);
  rows_.clear();
}

void Table::write_row(Context& context, const std::vector<std::string>& cells) {
  for (std::size_t i = 0; i < cells.size(); ++i) {
    context.out << coloured(context, cells[i]);
    if (i + 1 < cells.size()) context.out << std::string(widths_[i] - width_of(cells[i]) + kColumnGap, ' ');
  }
  context.out << '\n';
}

void Sheet::add(std::string name, std::string value) {
  if (!value.empty()) rows_.emplace_back(std::move(name), one_line(value));
}

void Sheet::write(Context& context) const {
  std::size_t width = 0;
  for (const auto& [name, value] : rows_) width = std::max(width, width_of(name));
  for (const auto& [name, value] : rows_) {
    context.out << name << ':' << std::string(width - width_of(name) + kColumnGap, ' ') << coloured(context, value)
                << '\n';
  }
}

}  // namespace liongate::cli
