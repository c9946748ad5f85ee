// SPDX-License-Identifier: MIT
// A table of results: printed for a reader, and written as CSV and as JSON.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <variant>
#include <vector>

namespace cdm {

/// The content of a cell. NaN means that there is no value: it is printed as "-", empty in CSV, and
/// null in JSON.
using Cell = std::variant<std::string, std::int64_t, double>;

class Table {
 public:
  explicit Table(std::vector<std::string> columns) : columns_(std::move(columns)) {}

  /// Adds a row, which must have one cell per column.
  void add(std::vector<Cell> row);

  const std::vector<std::vector<Cell>>& rows() const { return rows_; }

  /// Prints aligned columns, numbers with five significant digits.
  void print(std::ostream& out) const;
  /// Writes a line of column names, then the rows, numbers with all their digits. Throws
  /// std::runtime_error when the file cannot be written.
  void write_csv(const std::filesystem::path& file) const;
  /// Writes an array with one object per row. Throws std::runtime_error when the file cannot be
  /// written.
  void write_json(const std::filesystem::path& file) const;

 private:
  std::vector<std::string> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace cdm
