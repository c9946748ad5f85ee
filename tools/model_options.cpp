// SPDX-License-Identifier: MIT
#include "model_options.h"

namespace cdm {

void add_model_options(CLI::App& app, LoadOptions& options) {
  app.add_option("RUN_OR_CHECKPOINT", options.path,
                 "run directory (its newest checkpoint is taken) or one checkpoint folder")
      ->required();
  add_weights_options(app, options);
}

void add_weights_options(CLI::App& app, LoadOptions& options) {
  app.add_option("--device", options.device,
                 "auto, cpu, cuda or cuda:N; default: the configuration's");
  app.add_option("--precision", options.precision,
                 "fp64, fp32, tf32 or bf16; default: the configuration's");
  app.add_option_function<std::string>(
         "--weights", [&options](const std::string& name) { options.average = name == "ema"; },
         "ema (the moving average, default) or model (the last weights)")
      ->check(CLI::IsMember({"ema", "model"}));
  app.add_option("--set", options.overrides,
                 "section.key=value, over the run's configuration; repeatable")
      ->allow_extra_args(false);
}

}  // namespace cdm
