// SPDX-License-Identifier: MIT
// cdm-eval curves: log p_t of images at all t, clean and noisy ones (figure 3).
#include <ATen/ops/full.h>
#include <c10/core/GradMode.h>

#include <iostream>

#include "../program.h"
#include "cdm/classifier.h"
#include "cdm/error.h"
#include "cdm/eval/levels.h"
#include "cdm/eval/plot.h"
#include "cdm/text.h"
#include "command.h"

namespace cdm::eval {
namespace {

struct Options {
  RunsOptions runs;
  DataOptions data{"", "test", 4};
  std::vector<std::int64_t> noise_levels;
  std::uint64_t seed = 0;
};

/// Clean images, and images in the middle and at the end of the levels.
std::vector<std::int64_t> usual_levels(const NoiseSchedule& schedule) {
  const std::int64_t last = schedule.reference_level();
  return {0, last / 4, last / 2, last};
}

/// One line per image and noise level; the same colour for a level.
void draw(const std::string& name, std::int64_t images,
          const std::vector<std::int64_t>& noise_levels, std::int64_t last,
          const std::filesystem::path& stem) {
  std::string curves;
  const std::string csv = gnuplot_text(stem.filename().string() + ".csv");
  for (std::size_t i = 0; i < noise_levels.size(); ++i) {
    for (std::int64_t image = 0; image < images; ++image) {
      curves += concat(curves.empty() ? "plot " : ", ", csv, " skip 1 using 3:($1 == ", image,
                       " && $2 == ", noise_levels[i], " ? $4 : NaN) with lines lw 1.5 lc ", i + 1,
                       image > 0 ? " notitle" : concat(" title 'x_{", noise_levels[i], "}'"));
    }
  }
  plot(stem, concat("set title ", gnuplot_text(concat("Log density at every level: ", name)),
                    " noenhanced\nset xlabel 'level t'\nset ylabel 'log p_t(x), nats'\n",
                    "set xrange [0:", last, "]\nset key outside right title 'image of level'\n",
                    curves, "\n"));
}

void run(const Options& options) {
  const c10::NoGradGuard no_grad;
  const std::vector<NamedModel> models = load_runs(options.runs);
  const std::filesystem::path folder = results_folder(options.runs, models.front().model);
  for (const auto& [name, model] : models) {
    const Classifier& classifier = model.classifier();
    const NoiseSchedule& schedule = classifier.schedule();
    const std::vector<std::int64_t> noise_levels =
        options.noise_levels.empty() ? usual_levels(schedule) : options.noise_levels;
    const Dataset dataset = load_chosen_dataset(options.data, model.config);
    const auto [x0, labels] = inputs_for(model, dataset);
    const at::Tensor noise = evaluation_noise(options.seed, 0, x0);
    Table table({"image", "noise_level", "level", "log_prob_nats"});
    for (const std::int64_t s : noise_levels) {
      if (s < 0 || s >= schedule.levels()) {
        throw UserError(concat("--noise-levels ", s, ": must be in 0..", schedule.levels() - 1,
                               ", the levels of ", name));
      }
      const at::Tensor t = at::full({x0.size(0)}, s, x0.options().dtype(at::kLong));
      const at::Tensor log_prob =
          classifier.log_prob_all_levels(schedule.add_noise(x0, t, noise), labels)
              .to(at::kCPU, at::kDouble);
      for (std::int64_t image = 0; image < x0.size(0); ++image) {
        for (std::int64_t level = 0; level < schedule.levels(); ++level) {
          table.add({image, s, level, log_prob[image][level].item<double>()});
        }
      }
    }
    const std::filesystem::path stem = folder / concat("curves-", name);
    table.write_csv(stem.string() + ".csv");
    table.write_json(stem.string() + ".json");
    draw(name, x0.size(0), noise_levels, schedule.reference_level(), stem);

    // Where each image's density is highest: near its own level, when the model is right.
    Table summary({"run", "image", "noise_level", "log_prob_at_0", "most_probable_level"});
    for (std::size_t i = 0; i < table.rows().size();
         i += static_cast<std::size_t>(schedule.levels())) {
      const auto value = [&](std::size_t row) { return std::get<double>(table.rows()[row][3]); };
      std::size_t best = i;
      for (std::size_t row = i; row < i + static_cast<std::size_t>(schedule.levels()); ++row) {
        if (value(row) > value(best)) best = row;
      }
      summary.add({name, table.rows()[i][0], table.rows()[i][1], value(i), table.rows()[best][2]});
    }
    summary.print(std::cout);
  }
}

}  // namespace

void add_curves(CLI::App& app, Chosen& chosen) {
  add_command<Options>(
      app, chosen, "curves",
      "log p_t of images at all levels t, clean and with noise (figure 3), by one forward pass.",
      [](CLI::App& command, Options& options) {
        add_runs_options(command, options.runs);
        add_data_options(command, options.data);
        command
            .add_option("--noise-levels", options.noise_levels,
                        "levels of the noise in the images (0,250,500); default: data, a quarter, "
                        "half and reference")
            ->delimiter(',')
            ->allow_extra_args(false);
        command.add_option("--seed", options.seed, "of the noise")->check(seed_range());
      },
      run);
}

}  // namespace cdm::eval
