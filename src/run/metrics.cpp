// SPDX-License-Identifier: MIT
#include "cdm/run/metrics.h"

#include <ATen/ops/stack.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "cdm/core/file.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

constexpr std::size_t kMostUnread = 1000;  // reports kept on the device before they are read

/// The step of a line of metrics.jsonl; nothing for an incomplete line.
std::optional<std::int64_t> step_of_line(const std::string& line) {
  const nlohmann::json entry = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!entry.is_object() || !entry.contains("step") || !entry["step"].is_number_integer()) {
    return std::nullopt;
  }
  return entry["step"].get<std::int64_t>();
}

/// Removes lines that are incomplete or of steps after `step`.
void drop_later_lines(const std::filesystem::path& path, std::int64_t step) {
  if (!std::filesystem::exists(path)) return;
  std::istringstream lines(read_file(path));
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const std::optional<std::int64_t> found = step_of_line(line);
    if (found && *found <= step) kept += line + "\n";
  }
  write_atomically(path, [&](std::ostream& out) { out << kept; });
}

std::filesystem::path prepared(const RunDir& run, std::int64_t step) {
  drop_later_lines(run.metrics(), step);
  return run.metrics();
}

}  // namespace

void RunningMeans::add(const StepReport& report, std::int64_t step) {
  std::vector<at::Tensor> values;
  names_.clear();
  for (const auto& [name, term] : report.terms) {
    names_.push_back(name);
    values.push_back(term.to(at::kDouble));
  }
  names_.emplace_back("gradient_norm");
  values.push_back(report.gradient_norm.to(at::kDouble));
  values.push_back(report.skipped.to(at::kDouble));
  unread_.push_back({step, at::stack(values)});
  if (unread_.size() >= kMostUnread) read();
}

void RunningMeans::read() {
  if (unread_.empty()) return;
  std::vector<at::Tensor> rows;
  for (const Unread& report : unread_) rows.push_back(report.values);
  const at::Tensor all = at::stack(rows).to(at::kCPU);
  const std::size_t columns = names_.size() + 1;
  sums_.resize(names_.size(), 0.0);
  for (std::size_t i = 0; i < unread_.size(); ++i) {
    const double* const row = all.const_data_ptr<double>() + i * columns;
    if (row[columns - 1] != 0.0) {
      SkippedStep& step = skipped_.emplace_back();
      step.step = unread_[i].step;
      for (std::size_t k = 0; k < names_.size(); ++k) step.values.emplace_back(names_[k], row[k]);
      continue;
    }
    for (std::size_t k = 0; k < names_.size(); ++k) sums_[k] += row[k];
    ++count_;
  }
  unread_.clear();
}

std::vector<SkippedStep> RunningMeans::take_skipped() {
  read();
  return std::exchange(skipped_, {});
}

Metrics RunningMeans::take() {
  read();
  Metrics means;
  if (count_ == 0) return means;
  for (std::size_t k = 0; k < names_.size(); ++k) {
    means.emplace_back(names_[k], sums_[k] / static_cast<double>(count_));
  }
  sums_.clear();
  count_ = 0;
  return means;
}

std::int64_t last_step_in(const std::filesystem::path& metrics) {
  if (!std::filesystem::exists(metrics)) return 0;
  std::int64_t last = 0;
  std::istringstream lines(read_file(metrics));
  for (std::string line; std::getline(lines, line);) {
    last = std::max(last, step_of_line(line).value_or(0));
  }
  return last;
}

MetricsWriter::MetricsWriter(const RunDir& run, std::int64_t step)
    : path_(prepared(run, step)),
      lines_(path_, std::ios::app | std::ios::binary),
      events_(run.tensorboard(), step) {}

void MetricsWriter::write(std::int64_t step, const Metrics& values) {
  nlohmann::ordered_json line = {{"step", step}};
  for (const auto& [name, value] : values) {
    line[name] = value;
    events_.scalar(step, name, value);
  }
  lines_ << line.dump() << std::endl;
  if (!lines_) throw std::runtime_error(concat("cannot write ", path_.string()));
}

void MetricsWriter::image(std::int64_t step, const std::string& tag,
                          const std::filesystem::path& png, at::IntArrayRef shape) {
  events_.image(step, tag, read_file(png), shape[1], shape[2], shape[0]);
}

}  // namespace cdm
