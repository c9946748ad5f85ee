// SPDX-License-Identifier: MIT
#include "cdm/run/metrics.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <array>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "cdm/core/file.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

constexpr std::array<const char*, 5> kNames = {"loss", "ce", "mse", "accuracy", "gradient_norm"};

/// Keeps the whole lines of steps up to `step`.
void drop_later_lines(const std::filesystem::path& path, std::int64_t step) {
  if (!std::filesystem::exists(path)) return;
  std::istringstream lines(read_file(path));
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json entry = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (entry.is_object() && entry.contains("step") && entry["step"].is_number_integer() &&
        entry["step"].get<std::int64_t>() <= step) {
      kept += line + "\n";
    }
  }
  write_atomically(path, [&](std::ostream& out) { out << kept; });
}

std::filesystem::path prepared(const RunDir& run, std::int64_t step) {
  drop_later_lines(run.metrics(), step);
  return run.metrics();
}

}  // namespace

void RunningMeans::add(const StepReport& report, std::int64_t step) {
  const LossTerms& loss = report.loss;
  const at::Tensor values =
      at::stack({loss.total.to(at::kDouble), loss.ce.to(at::kDouble), loss.mse.to(at::kDouble),
                 loss.accuracy.to(at::kDouble), report.gradient_norm.to(at::kDouble)});
  if (!sums_.defined()) {
    sums_ = at::zeros_like(values);
    first_bad_ = at::full({}, -1, values.options().dtype(at::kLong));
  }
  sums_.add_(values);
  const at::Tensor bad = at::isfinite(loss.total + report.gradient_norm).logical_not();
  first_bad_ = at::where(bad.logical_and(first_bad_.lt(0)), step, first_bad_);
  ++count_;
}

std::optional<std::int64_t> RunningMeans::first_bad_step() const {
  if (!first_bad_.defined()) return std::nullopt;
  const auto step = first_bad_.item<std::int64_t>();
  return step < 0 ? std::nullopt : std::optional(step);
}

Metrics RunningMeans::take() {
  Metrics means;
  if (count_ == 0) return means;
  const at::Tensor values = sums_.div(static_cast<double>(count_)).to(at::kCPU);
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    means.emplace_back(kNames[i], values.const_data_ptr<double>()[i]);
  }
  sums_.zero_();
  count_ = 0;
  return means;
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
