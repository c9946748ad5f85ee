// SPDX-License-Identifier: MIT
// The keys of the section loss: what training minimises.
#include "config/declare_keys.h"

namespace cdm {

void declare_loss(std::vector<Key>& table) {
  Section<LossConfig> loss(table, "loss", &RunConfig::loss);
  loss.key(
      "kind", &LossConfig::kind, ObjectiveKind::cdm, anything(),
      "cdm = cross entropy of the noise level + denoising error | nce = cross entropy of data "
      "against pure noise | tre = logistic losses between neighbouring levels | subset = as "
      "cdm, the cross entropy over some levels only, drawn for each row | pairs = loss of pairs "
      "of levels at many distances + denoising error | time_score = as cdm, and the error of "
      "the density's change from level to level | denoising = denoising error alone, of a "
      "network that predicts noise");
  const std::vector<ObjectiveKind> logits = {ObjectiveKind::cdm, ObjectiveKind::subset,
                                             ObjectiveKind::pairs, ObjectiveKind::time_score};
  const auto with = [](std::vector<ObjectiveKind> kinds, std::vector<ObjectiveKind> more) {
    kinds.insert(kinds.end(), more.begin(), more.end());
    return for_objective(std::move(kinds));
  };
  loss.key("ce_weight", &LossConfig::ce_weight, 0.001, range(0, 1e6),
           "weight of the cross entropy (tre and pairs: of the losses of pairs of levels)")
      .only(with(logits, {ObjectiveKind::nce, ObjectiveKind::tre}));
  loss.key("mse_weight", &LossConfig::mse_weight, 1.0, range(0, 1e6),
           "weight of the denoising error; of a classifier, 0 saves the double backpropagation")
      .only(with(logits, {ObjectiveKind::denoising}));
  loss.key("mse_share", &LossConfig::mse_share, 1.0, range(1e-6, 1),
           "share q of the rows of a batch that get the denoising error, whose weight in the loss "
           "stays the same; a step costs 3 + 3q forward passes; q times train.batch_size must be a "
           "whole number")
      .only(for_objective(logits));
  loss.key("level_sampling", &LossConfig::level_sampling, LevelSampling::independent, anything(),
           "how the rows of a batch draw their noise levels: independent = each for itself | "
           "stratified = spread evenly over the batch, which makes the gradient less noisy");
  loss.key("level_density", &LossConfig::level_density, LevelDensity::uniform, anything(),
           "how often each noise level is drawn: uniform = equally often | log_snr = in proportion "
           "to its part of the range of log(signal^2 / sigma^2), as in the bound on the "
           "log-likelihood")
      .only(with(logits, {ObjectiveKind::denoising}));
  loss.key("mse_weighting", &LossConfig::mse_weighting, MseWeighting::flat, anything(),
           "what the denoising error of a level weighs: flat = 1 | likelihood = as in the bound on "
           "the log-likelihood, with mean 1 | min_snr = min(SNR, loss.min_snr_gamma) / SNR, SNR = "
           "signal^2 / sigma^2")
      .only(with(logits, {ObjectiveKind::denoising}));
  loss.key("min_snr_gamma", &LossConfig::min_snr_gamma, 5.0, range(1e-6, 1e9),
           "the SNR above which the weight of the denoising error falls")
      .only(with(logits, {ObjectiveKind::denoising}))
      .only(for_mse_weighting(MseWeighting::min_snr));
  loss.key("subset_levels", &LossConfig::subset_levels, 4, range(2, 100002),
           "number of levels of the cross entropy: that of the row and others, drawn for each row")
      .only(for_objective({ObjectiveKind::subset}));
  loss.key("pair_distance", &LossConfig::pair_distance, PairDistance::log_uniform, anything(),
           "how far apart the levels of a pair are: log_uniform = n levels with a weight 1 / n, so "
           "that all orders of magnitude are equally frequent | uniform = any distance equally "
           "often")
      .only(for_objective({ObjectiveKind::pairs}));
  loss.key("pair_loss", &LossConfig::pair_loss, PairLoss::logistic, anything(),
           "loss of a pair, with the log-ratio a of the less noisy level to the other: logistic = "
           "log(1 + exp(-a)) for its images, log(1 + exp(a)) for the other's | kl = -a, and exp(a)")
      .only(for_objective({ObjectiveKind::pairs}));
  loss.key("time_score_weight", &LossConfig::time_score_weight, 0.001, range(0, 1e6),
           "weight of the error of the density's change from level to level")
      .only(for_objective({ObjectiveKind::time_score}));
  loss.key("time_score_from", &LossConfig::time_score_from, 10, range(2, 100000),
           "the first level with that error; levels near the data differ too much from one another")
      .only(for_objective({ObjectiveKind::time_score}));
  loss.key("draws_per_image", &LossConfig::draws_per_image, 1, range(1, 1 << 20),
           "rows of a batch that share an image, each with a level and noise of its own: a step "
           "takes train.batch_size / draws_per_image images");
  loss.key(
      "label_dropout", &LossConfig::label_dropout, 0.1, range(0, 1),
      "class-conditional models: probability that a training label is replaced by the null class");
}

}  // namespace cdm
