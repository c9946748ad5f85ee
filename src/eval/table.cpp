// SPDX-License-Identifier: MIT
#include "cdm/eval/table.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>

#include "cdm/core/file.h"
#include "cdm/core/json_text.h"

namespace cdm {
namespace {

std::string text_of(const Cell& cell, int digits, const char* missing) {
  if (const auto* const text = std::get_if<std::string>(&cell)) {
    return text->empty() ? missing : *text;
  }
  std::ostringstream out;
  out.precision(digits);
  if (const auto* const integer = std::get_if<std::int64_t>(&cell)) {
    out << *integer;
  } else if (const double number = std::get<double>(cell); std::isnan(number)) {
    out << missing;
  } else {
    out << number;
  }
  return out.str();
}

}  // namespace

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

Table::Table(std::vector<std::string> columns, std::vector<std::string> sources)
    : columns_(std::move(columns)), printed_(columns_.size()) {
  columns_.insert(columns_.end(), sources.begin(), sources.end());
}

void Table::add(std::vector<Cell> row, const std::vector<Cell>& sources) {
  row.insert(row.end(), sources.begin(), sources.end());
  TORCH_CHECK(row.size() == columns_.size(), "a row of ", row.size(), " cells in a table of ",
              columns_.size(), " columns");
  rows_.push_back(std::move(row));
}

void Table::print(std::ostream& out) const {
  constexpr int kDigits = 5;
  std::vector<std::vector<std::string>> lines = {columns_};
  lines.front().resize(printed_);
  for (const auto& row : rows_) {
    std::vector<std::string>& line = lines.emplace_back();
    for (std::size_t c = 0; c < printed_; ++c) line.push_back(text_of(row[c], kDigits, "-"));
  }
  std::vector<std::size_t> widths(printed_, 0);
  for (const auto& line : lines) {
    for (std::size_t c = 0; c < line.size(); ++c) widths[c] = std::max(widths[c], line[c].size());
  }
  for (const auto& line : lines) {
    std::string text;
    for (std::size_t c = 0; c < line.size(); ++c) {
      // Text is aligned to the left, numbers to the right.
      const bool is_text = !rows_.empty() && std::holds_alternative<std::string>(rows_[0][c]);
      const std::string space(widths[c] - line[c].size(), ' ');
      text += (c > 0 ? "  " : "") + (is_text ? line[c] + space : space + line[c]);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out << text << "\n";
  }
  print_sources(out);
}

void Table::print_sources(std::ostream& out) const {
  std::vector<std::pair<std::string, std::string>> all;  // first cell of a row, and its sources
  for (const auto& row : rows_) {
    std::string text;
    for (std::size_t c = printed_; c < columns_.size(); ++c) {
      const std::string value = text_of(row[c], 5, "");
      if (!value.empty()) text += (text.empty() ? "" : ", ") + columns_[c] + " " + value;
    }
    const auto is_known = [&](const auto& known) { return known.second == text; };
    if (!text.empty() && std::none_of(all.begin(), all.end(), is_known)) {
      all.emplace_back(text_of(row.front(), 5, "-"), text);
    }
  }
  for (const auto& [first, text] : all) out << (all.size() > 1 ? first + ": " : "") << text << "\n";
}

void Table::write_csv(const std::filesystem::path& file) const {
  constexpr int kEveryDigit = 17;
  write_atomically(file, [&](std::ostream& out) {
    const auto write = [&](const auto& line, const auto& field) {
      for (std::size_t c = 0; c < line.size(); ++c) out << (c > 0 ? "," : "") << field(line[c]);
      out << "\n";
    };
    write(columns_, csv_field);
    for (const auto& row : rows_) {
      write(row, [](const Cell& cell) { return csv_field(text_of(cell, kEveryDigit, "")); });
    }
  });
}

void Table::write_json(const std::filesystem::path& file) const {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const auto& row : rows_) {
    nlohmann::ordered_json object;
    for (std::size_t c = 0; c < row.size(); ++c) {
      // The JSON library writes NaN and infinity as null.
      std::visit([&](const auto& value) { object[columns_[c]] = value; }, row[c]);
      if (object[columns_[c]] == "") object[columns_[c]] = nullptr;
    }
    all.push_back(std::move(object));
  }
  write_atomically(file, [&](std::ostream& out) { out << json_text(all, 2) << "\n"; });
}

}  // namespace cdm
