// SPDX-License-Identifier: MIT
#include "diffusion/objectives/logits_objective.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <torch/csrc/autograd/autograd.h>

#include <optional>
#include <utility>

#include "diffusion/objectives/objectives.h"
#include "diffusion/objectives/row_share.h"

namespace cdm {
namespace {

at::Tensor select(const at::Tensor& rows, const at::Tensor& which) {
  return rows.defined() ? rows.index_select(0, which) : rows;
}

}  // namespace

LogitsObjective::LogitsObjective(const LossConfig& config, const NoiseSchedule& schedule)
    : config_(config),
      level_(config.level_sampling, config.level_density, schedule, 0, schedule.levels()),
      mse_weights_(mse_weights(config, schedule, level_.probability())) {}

double LogitsObjective::forward_passes() const {
  return denoises() ? 3.0 + 3.0 * config_.mse_share : 3.0;
}

std::vector<std::string> LogitsObjective::terms() const {
  std::vector<std::string> names = logits_terms();
  if (denoises()) {
    for (std::string& name : MeanSquaredError::names(mse_weights_.defined())) {
      names.push_back(std::move(name));
    }
  }
  names.emplace_back("accuracy");
  return names;
}

NamedTensors LogitsObjective::draw(const NoiseSchedule& /*schedule*/, const RowDraws& draws) const {
  NamedTensors drawn = {{"t", level_(draws)}, {"noise", draws.normal(Purpose::noise)}};
  for (auto& more : draw_more(draws, drawn[0].second)) drawn.push_back(std::move(more));
  if (denoises() && shares()) {
    drawn.emplace_back("share", RowShare::places(draws, config_.mse_share));
  }
  return drawn;
}

LogitsObjective::Evaluated LogitsObjective::evaluate(const Model& model, const TrainingRows& rows,
                                                     DropoutMasks* masks) const {
  const at::Tensor& t = rows["t"];
  const at::Tensor& noise = rows["noise"];
  const at::Tensor x_t = noisy_images(model, rows);
  if (!denoises() || !shares()) {
    x_t.requires_grad_(denoises());
    const at::Tensor f = model.network()(x_t, t, rows.condition(), masks);
    return {f, x_t, t, f, noise, {}};
  }
  const RowShare share(rows["share"], config_.mse_share);
  const auto logits = [&](const at::Tensor& x, const at::Tensor& which, const at::Tensor& first) {
    std::optional<DropoutMasks> own;
    if (masks != nullptr) own = masks->beginning_at(first);
    const Condition given(select(rows.labels, which), select(rows.told, which));
    return model.network()(x, select(t, which), given, own ? &*own : nullptr);
  };
  Evaluated all;
  all.x_t = select(x_t, share.inside()).requires_grad_(true);
  all.t = select(t, share.inside());
  all.noise = select(noise, share.inside());
  all.weight = share.counts().to(x_t.scalar_type()) / config_.mse_share;
  all.f_t = logits(all.x_t, share.inside(), share.first_inside());
  all.f = share.together(
      all.f_t, logits(select(x_t, share.outside()), share.outside(), share.first_outside()));
  return all;
}

Loss LogitsObjective::loss(const Model& model, const TrainingRows& rows,
                           DropoutMasks* masks) const {
  const Evaluated all = evaluate(model, rows, masks);
  const LogitsLoss logits = loss_of_logits(all.f, rows);
  Loss loss = {logits.total, logits.terms};
  if (denoises()) {
    const at::Tensor F = log_ratio(all.f_t, all.t);
    const at::Tensor grad_F = torch::autograd::grad({F.sum()}, {all.x_t}, {}, /*retain_graph=*/true,
                                                    /*create_graph=*/true)[0];
    const at::Tensor eps = noise_from_gradient(model.schedule(), grad_F, all.x_t, all.t);
    const MeanSquaredError mse(eps, all.noise, all.t, mse_weights_, all.weight, rows.x0.size(0));
    loss.total = loss.total + config_.mse_weight * mse.weighted();
    for (auto& term : mse.terms()) loss.terms.push_back(std::move(term));
  }
  loss.terms.emplace_back("accuracy", logits.accuracy);
  return loss;
}

LogitsObjective::LogitsLoss LogitsObjective::cross_entropy(const at::Tensor& f,
                                                           const at::Tensor& t) const {
  const at::Tensor logits = level_.with_prior(f);
  const at::Tensor ce = at::cross_entropy_loss(logits, t);
  const at::Tensor accuracy = accuracy_of(logits.detach().argmax(1).eq(t));
  return {config_.ce_weight * ce, {{"ce", ce.detach()}}, accuracy};
}

}  // namespace cdm
