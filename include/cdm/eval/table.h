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

/// The content of a cell. NaN and an empty text mean that there is no value: it is printed as "-",
/// empty in CSV, and null in JSON.
using Cell = std::variant<std::string, std::int64_t, double>;

/// The text as a field of a CSV file (RFC 4180): in quotes where it holds a comma, a quote or a
/// line end.
std::string csv_field(const std::string& text);

class Table {
 public:
  /// `sources` are more columns, which say where the numbers of a row come from. They come last in
  /// files. print() writes them below the table, once where they are the same for many rows.
  explicit Table(std::vector<std::string> columns, std::vector<std::string> sources = {});

  /// Adds a row: a cell per column, then a cell per source.
  void add(std::vector<Cell> row, const std::vector<Cell>& sources = {});

  const std::vector<std::vector<Cell>>& rows() const { return rows_; }

  /// Prints aligned columns, numbers with five significant digits, and the sources.
  void print(std::ostream& out) const;
  /// Writes a line of column names, then the rows, numbers with all their digits. Throws
  /// std::runtime_error when the file cannot be written.
  void write_csv(const std::filesystem::path& file) const;
  /// Writes an array with one object per row. Throws std::runtime_error when the file cannot be
  /// written.
  void write_json(const std::filesystem::path& file) const;

 private:
  void print_sources(std::ostream& out) const;

  std::vector<std::string> columns_;  // with the sources
  std::size_t printed_;               // number of columns that are no sources
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace cdm
