// SPDX-License-Identifier: MIT
// Results in rows and columns: for a reader, as CSV and as JSON.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <variant>
#include <vector>

namespace cdm {

/// NaN stands for a figure that does not exist: "-" in print, nothing in CSV, null in JSON.
using Cell = std::variant<std::string, std::int64_t, double>;

class Table {
 public:
  explicit Table(std::vector<std::string> columns) : columns_(std::move(columns)) {}

  /// One cell per column.
  void add(std::vector<Cell> row);

  const std::vector<std::vector<Cell>>& rows() const { return rows_; }

  /// Columns side by side, numbers with five significant digits.
  void print(std::ostream& out) const;
  /// A line of names, then the rows. Every digit of a number. Throws std::runtime_error when the
  /// file cannot be written.
  void write_csv(const std::filesystem::path& file) const;
  /// An array with an object per row. Throws likewise.
  void write_json(const std::filesystem::path& file) const;

 private:
  std::vector<std::string> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace cdm
