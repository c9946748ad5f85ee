// SPDX-License-Identifier: MIT
#include "model_options.h"

#include <algorithm>

#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "cdm/data/classes.h"
#include "cdm/run/checkpoint.h"
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
  app.add_option("--weights", options.weights,
                 "weights to use: ema (the first moving average, default), ema2, ... (the others, "
                 "if the run keeps several) or model (those of the last step)")
      ->check(CLI::IsMember(weights_names()));
  app.add_option("--set", options.overrides,
                 "section.key=value: overrides a key of the run's configuration; repeatable")
      ->allow_extra_args(false);
}

void add_class_option(CLI::App& app, std::string& classes) {
  app.add_option("--class", classes,
                 "class, by name or number, or several that are used in turn (cat,dog or 0,1,3); "
                 "default: no class");
}

std::vector<std::int64_t> chosen_classes(const std::string& words, const LoadedModel& loaded,
                                         double guidance, bool is_option) {
  const ModelConfig& model = loaded.config.model;
  const bool is_conditional = model.num_classes > 0;
  const std::string guided = concat(is_option ? "--guidance " : "sample.guidance = ", guidance);
  const char* const untrained =
      "the run was trained with loss.label_dropout = 0, so that its null class was never trained";
  if (!is_conditional && !words.empty()) {
    throw UserError("--class: the model is unconditional (model.num_classes = 0)");
  }
  if (words.empty() && guidance > 0.0) {
    throw UserError(concat(guided, is_conditional
                                       ? ": needs --class"
                                       : ": the model is unconditional (model.num_classes = 0)"));
  }
  if (is_conditional && loaded.config.loss.label_dropout == 0.0) {
    if (words.empty()) throw UserError(concat("--class: is needed; ", untrained));
    if (guidance > 0.0) throw UserError(concat(guided, ": must be 0; ", untrained));
  }
  std::vector<std::int64_t> classes;
  if (words.empty()) return classes;
  for (const std::string& word : class_words(words, model.class_names)) {
    const std::int64_t number =
        class_number("--class ", word, model.num_classes, model.class_names);
    if (std::count(model.untrained_classes.begin(), model.untrained_classes.end(), number) > 0) {
      log_warning(concat("--class ", word, ": the training data had no images of this class"));
    }
    classes.push_back(number);
  }
  return classes;
}

}  // namespace cdm
