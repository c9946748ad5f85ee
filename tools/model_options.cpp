// SPDX-License-Identifier: MIT
#include "model_options.h"

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "program.h"

namespace cdm {

void add_model_options(CLI::App& app, LoadOptions& options) {
  app.add_option("RUN_OR_CHECKPOINT", options.path,
                 "run directory (its newest checkpoint is taken) or checkpoint folder")
      ->required();
  add_weights_options(app, options);
}

void add_weights_options(CLI::App& app, LoadOptions& options) {
  app.add_option("--device", options.device,
                 "auto, cpu, cuda or cuda:N; default: the configuration's");
  add_kind_option(app, "--precision", options.precision, "default: the configuration's");
  app.add_option_function<std::string>(
         "--weights", [&options](const std::string& name) { options.average = name == "ema"; },
         "weights to use: ema (the moving average, default) or model (those of the last step)")
      ->check(CLI::IsMember({"ema", "model"}));
  app.add_option("--set", options.overrides,
                 "section.key=value: overrides a key of the run's configuration; repeatable")
      ->allow_extra_args(false);
}

void check_classes(const std::vector<std::int64_t>& classes, const Network& network,
                   double guidance, bool is_option) {
  if (!network.is_conditional() && !classes.empty()) {
    throw UserError("--class: the model is unconditional (model.num_classes = 0)");
  }
  if (classes.empty() && guidance > 0.0) {
    throw UserError(concat(is_option ? "--guidance " : "sample.guidance = ", guidance,
                           network.is_conditional()
                               ? ": needs --class"
                               : ": the model is unconditional (model.num_classes = 0)"));
  }
  for (const std::int64_t label : classes) {
    if (label < 0 || label >= network.num_classes()) {
      throw UserError(concat("--class ", label, ": must be in 0..", network.num_classes() - 1,
                             ", the model's classes"));
    }
  }
}

}  // namespace cdm
