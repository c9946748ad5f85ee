// SPDX-License-Identifier: MIT
#include "config/check_together.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "config/keys.h"
#include "config/values.h"

namespace cdm {
namespace {

bool is_device(const std::string& name) {
  const bool numbered =
      name.starts_with("cuda:") && name.size() > 5 && name.size() < 8 &&
      std::all_of(name.begin() + 5, name.end(), [](char c) { return c >= '0' && c <= '9'; });
  return name == "auto" || name == "cpu" || name == "cuda" || numbered;
}

/// The number of levels that hold both image and noise: all but the first and the last.
std::int64_t levels_between(const DiffusionConfig& diffusion) {
  switch (diffusion.schedule) {
    case ScheduleKind::linear:
    case ScheduleKind::cosine:
    case ScheduleKind::uniform:
    case ScheduleKind::log_snr:
      return diffusion.steps;
    case ScheduleKind::flow_matching:
      break;
  }
  return diffusion.steps - 1;
}

using Fail = std::function<void(const std::string& key, const std::string& message)>;

void check_levels_of_loss(const RunConfig& config, const Fail& fail) {
  const LossConfig& loss = config.loss;
  const std::int64_t levels = levels_between(config.diffusion) + 2;
  if (loss.kind == ObjectiveKind::subset && loss.subset_levels > levels) {
    fail("loss.subset_levels", concat("must not exceed ", levels, ", the number of noise levels"));
  }
  if (loss.kind == ObjectiveKind::time_score && loss.time_score_from > levels - 2) {
    fail("loss.time_score_from",
         concat("must not exceed ", levels - 2, ", the last level before the reference"));
  }
}

void check_rows_of_loss(const RunConfig& config, const Fail& fail) {
  const std::int64_t rows = config.train.batch_size;
  if (rows % config.loss.draws_per_image != 0) {
    fail("loss.draws_per_image", concat("must divide train.batch_size = ", rows));
  }
  const double denoised = config.loss.mse_share * static_cast<double>(rows);
  if (denoised < 0.5 || std::abs(denoised - std::round(denoised)) > 1e-6) {
    fail("loss.mse_share",
         concat("must be a whole number of rows divided by train.batch_size = ", rows));
  }
}

}  // namespace

void check_together(const RunConfig& config, const std::string& file, const WrittenKeys& written) {
  const auto fail = [&](const std::string& key, const std::string& message) {
    const auto found = written.find(key);
    const bool is_default = found == written.end();
    throw UserError(concat(is_default ? file : found->second.where, ": ", key, " = ",
                           is_default ? value_of(key, config) : as_written(found->second.value),
                           ": ", message));
  };
  const std::string start = "diffusion.beta_start", end = "diffusion.beta_end";
  if (config.diffusion.beta_start > config.diffusion.beta_end) {
    if (written.contains(start)) {
      fail(start, concat("must not exceed ", end, " = ", to_text(config.diffusion.beta_end)));
    }
    fail(end, concat("must not be below ", start, " = ", to_text(config.diffusion.beta_start)));
  }
  if (config.diffusion.log_snr_max <= config.diffusion.log_snr_min) {
    const std::string high = "diffusion.log_snr_max", low = "diffusion.log_snr_min";
    if (written.contains(high)) {
      fail(high, concat("must be above ", low, " = ", to_text(config.diffusion.log_snr_min)));
    }
    fail(low, concat("must be below ", high, " = ", to_text(config.diffusion.log_snr_max)));
  }
  const std::size_t resolutions = config.model.channel_mult.size();  // 0 = as many as suit
  const std::size_t halvings = resolutions > 0 ? resolutions - 1 : 0;
  if (config.model.kind == NetworkKind::unet && config.data.image_size > 0 &&
      (halvings > 12 || config.data.image_size % (std::int64_t{1} << halvings) != 0)) {
    fail("data.image_size", concat("cannot be halved ", halvings, " times, as the ", halvings + 1,
                                   " resolutions of model.channel_mult need"));
  }
  if (levels_between(config.diffusion) < 0) {
    fail("diffusion.steps", "must be at least 1 for diffusion.schedule = flow_matching");
  }
  if (prediction_for(config.loss.kind) != config.model.predicts) {
    std::vector<std::string> legal;
    for (const auto& [kind, name] : KindNames<ObjectiveKind>::all) {
      if (prediction_for(kind) == config.model.predicts) legal.emplace_back(name);
    }
    fail("loss.kind", concat("must be ", join(legal, " or "),
                             " for model.predicts = ", name_of(config.model.predicts)));
  }
  if (config.loss.kind == ObjectiveKind::denoising) {
    if (levels_between(config.diffusion) == 0) {
      fail("diffusion.steps", "leaves no level with both image and noise to learn from");
    }
    if (config.loss.mse_weight == 0.0) {
      fail("loss.mse_weight", "must be above 0 for loss.kind = denoising, which has no other term");
    }
  }
  check_levels_of_loss(config, fail);
  check_rows_of_loss(config, fail);
  const std::vector<std::string>& names = config.model.class_names;
  if (!names.empty() && std::ssize(names) != config.model.num_classes) {
    fail("model.class_names", concat("must name all ", config.model.num_classes,
                                     " classes of model.num_classes, not ", names.size()));
  }
  if (std::set<std::string>(names.begin(), names.end()).size() != names.size()) {
    fail("model.class_names", "must name each class differently");
  }
  if (config.loss.kind == ObjectiveKind::nce && levels_between(config.diffusion) > 0) {
    fail("diffusion.steps",
         concat("must be ", config.diffusion.schedule == ScheduleKind::flow_matching ? 1 : 0,
                " for loss.kind = nce, which learns the first and the last noise level only"));
  }
  if (config.model.num_classes > 0 && config.loss.label_dropout == 1.0) {
    fail("loss.label_dropout",
         "must be below 1 for model.num_classes above 0, or no class is trained");
  }
  if (config.sample.guidance > 0.0) {
    const char* const key = "sample.guidance";
    if (config.model.num_classes == 0) {
      fail(key, "must be 0 for model.num_classes = 0, which has no classes to guide to");
    }
    if (config.loss.label_dropout == 0.0) {
      fail(key, "must be 0 for loss.label_dropout = 0, with which the null class is not trained");
    }
  }
  if (std::ssize(config.train.ema_more_decays) >= kMostAverages) {
    fail("train.ema_more_decays", concat("must have at most ", kMostAverages - 1, " numbers"));
  }
  if (const std::int64_t widths = std::ssize(config.train.ema_sigma_rel);
      widths < 1 || widths > kMostAverages) {
    fail("train.ema_sigma_rel", concat("must have 1 to ", kMostAverages, " numbers"));
  }
  if (config.data.augment > 0.0 && config.data.horizontal_flip) {
    fail("data.horizontal_flip",
         "must be false for data.augment above 0, which mirrors images and tells the network");
  }
  if (config.data.channels == 2) fail("data.channels", "must be 0, 1 or 3");
  if (!is_device(config.device)) fail("device", "must be auto, cpu, cuda or cuda:N");
}

}  // namespace cdm
