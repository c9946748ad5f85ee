// SPDX-License-Identifier: MIT
// The objective of cdm.cpp with the cross entropy over a subset of the levels, drawn for each row
// (the multi-level loss of DiffCLF, 2026, arXiv 2601.21025, without a network of
// the level):
//
//   ce_weight CE(t, f(x_t)[S]) + mse_weight MSE(eps, eps_theta(x_t, t))
//
// S holds the row's own level t and subset_levels - 1 others, all different, each such set equally
// likely. Given S and x_t, the level is then each s in S with a probability in proportion to
// q_s p_s(x_t), q_s being the probability with which levels are drawn. So the optimum is that of
// the cross entropy over all levels: f[t] - f[s] = log p_t(x) - log p_s(x). Far levels, which the
// cross entropy over all levels never weighs against each other, meet here in the same few logits.
#include <ATen/TensorOperators.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/topk.h>

#include "diffusion/objectives/logits_objective.h"
#include "diffusion/objectives/objectives.h"

namespace cdm {
namespace {

class SubsetObjective final : public LogitsObjective {
 public:
  SubsetObjective(const LossConfig& config, const NoiseSchedule& schedule)
      : LogitsObjective(config, schedule), levels_(schedule.levels()) {}

 protected:
  /// "subset": the levels of S, int64 [B, subset_levels], the row's own first. They are those with
  /// the smallest of K uniform numbers, where the row's own level has a number below all others.
  NamedTensors draw_more(const RowDraws& draws, const at::Tensor& t) const override {
    const at::Tensor order =
        draws.uniform(named_purpose("subset levels"), levels_).scatter_(1, t.unsqueeze(1), -1.0);
    const std::int64_t count = std::min(config().subset_levels, levels_);
    return {{"subset", std::get<1>(order.topk(count, 1, /*largest=*/false, /*sorted=*/true))}};
  }

  LogitsLoss loss_of_logits(const at::Tensor& f, const TrainingRows& rows) const override {
    const at::Tensor logits = level().with_prior(f).gather(1, rows["subset"]);
    const at::Tensor ce = (at::logsumexp(logits, 1) - logits.select(1, 0)).mean();
    const at::Tensor accuracy = accuracy_of(logits.detach().argmax(1).eq(0));
    return {config().ce_weight * ce, {{"ce", ce.detach()}}, accuracy};
  }

 private:
  std::int64_t levels_;
};

}  // namespace

std::unique_ptr<Objective> make_subset_objective(const LossConfig& config,
                                                 const NoiseSchedule& schedule) {
  return std::make_unique<SubsetObjective>(config, schedule);
}

}  // namespace cdm
