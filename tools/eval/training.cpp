// SPDX-License-Identifier: MIT
// cdm-eval training: the scores of test images that a run has logged (train.nll_every), over steps
// and over time: what one forward pass claims, what the denoiser proves, and the gap.
#include <algorithm>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/eval/plot.h"
#include "cdm/run/run_dir.h"
#include "command.h"

namespace cdm::eval {
namespace {

struct Options {
  std::vector<std::string> runs;
  std::string out;
};

/// The keys of a line of metrics.jsonl that has scores, without "test_".
struct Unit {
  const char *name, *score, *bound, *gap;
};
constexpr Unit kUnits[] = {
    {"bits/dim", "bits_per_dim", "denoiser_bound_bits_per_dim", "gap_bits_per_dim"},
    {"nats", "log_prob_nats", "denoiser_bound_nats", "gap_nats"}};

/// A number of such a line. NaN when there is none, as for the standard error of a single image.
double number_in(const nlohmann::json& line, const std::string& key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? found->get<double>()
                                                   : std::numeric_limits<double>::quiet_NaN();
}

/// Adds the run's scores to the table. Returns the last step that was scored. Throws UserError when
/// there are none.
std::int64_t add_scores(const RunDir& run, const std::string& name, Table& table) {
  std::ifstream lines(run.metrics());
  if (!lines) {
    throw UserError(concat(run.root().string(), ": is no run directory: it has no metrics.jsonl"));
  }
  std::int64_t last = -1;
  for (std::string text; std::getline(lines, text);) {
    const nlohmann::json line = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!line.is_object() || !line.contains("step"))
      continue;  // the last line of a run that goes on
    for (const Unit& unit : kUnits) {
      if (!line.contains(concat("test_", unit.gap))) continue;
      last = line["step"].get<std::int64_t>();
      std::vector<Cell> row = {name, last, number_in(line, "seconds"), unit.name};
      for (const char* const key : {unit.score, unit.bound, unit.gap}) {
        row.emplace_back(number_in(line, concat("test_", key)));
        row.emplace_back(number_in(line, concat("test_", key, "_standard_error")));
      }
      table.add(row, {run.root().string()});
    }
  }
  if (last >= 0) return last;
  throw UserError(concat(run.metrics().string(),
                         ": has no scores of test images with a gap; they are made every "
                         "train.nll_every steps, of models with a density"));
}

void run(const Options& options, Evaluation& evaluation) {
  const std::vector<std::string> names = names_of_runs(options.runs);
  Table table({"run", "step", "seconds", "unit", "one_forward", "one_forward_standard_error",
               "denoiser_bound", "denoiser_bound_standard_error", "gap", "gap_standard_error"},
              {"run_directory"});
  nlohmann::ordered_json runs = nlohmann::ordered_json::array();
  std::int64_t last_of_first = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::int64_t last = add_scores(RunDir(options.runs[i]), names[i], table);
    if (i == 0) last_of_first = last;
    runs.push_back({{"run", std::filesystem::weakly_canonical(options.runs[i]).string()},
                    {"last_step", last}});
  }
  const Cell unit = table.rows().front()[3];
  for (const std::vector<Cell>& row : table.rows()) {
    if (row[3] == unit) continue;
    throw UserError(concat(std::get<std::string>(row[0]), ": is scored in ",
                           std::get<std::string>(row[3]), ", ", names.front(), " in ",
                           std::get<std::string>(unit), ": they cannot share a picture"));
  }
  evaluation.add("runs", runs);
  evaluation.take_folder(options.out.empty() ? RunDir(options.runs.front()).root() / "eval" /
                                                   checkpoint_name(last_of_first)
                                             : std::filesystem::path(options.out));
  report(table, evaluation.stem());
  plot(evaluation.stem(), "training", {std::get<std::string>(unit)});
}

}  // namespace

void add_training(CLI::App& app, Chosen& chosen) {
  add_command<Options>(
      app, chosen,
      {"training",
       "The scores of test images that runs have logged while they trained, and their gap, over "
       "steps and over time.",
       "runs/first runs/second --out results"},
      [](CLI::App& command, Options& options) {
        command.add_option("RUN", options.runs, "run directories")->required();
        command.add_option("--out", options.out,
                           "folder for results; default: eval/step-N in the first run, where N is "
                           "the last step that was scored");
      },
      run);
}

}  // namespace cdm::eval
