// SPDX-License-Identifier: MIT
// Pairs of levels at many distances (the bi-level losses of DiffCLF, 2026, arXiv 2601.21025), and
// the denoising error:
//
//   ce_weight mean of the losses of pairs + mse_weight MSE(eps, eps_theta(x_t, t))
//
// Each row, of level t, gets a second level s, drawn with a probability w(|t - s|) / Z_t over all
// s != t, where Z_t is the sum of these w and
//   pair_distance = log_uniform   w(n) = 1 / n
//                   uniform       w(n) = 1
// A pair {t, s} is seen from t with the probability q_t w / Z_t and from s with q_s w / Z_s. So the
// loss compares the logits f'[t] = f[t] + log q_t - log Z_t. With them, let a = f'[k] - f'[m] for
// the less noisy level k and the noisier level m of the pair. The two rows' losses are
//   pair_loss = logistic   images of k: log(1 + exp(-a)),   of m: log(1 + exp(a))
//               kl         images of k: -a,                 of m: exp(min(a, 20))
// The first is the Bregman divergence of Jensen and Shannon, the second that of Kullback and
// Leibler. Of both, the optimum is exp(a) = (q_k / Z_k) p_k(x) / ((q_m / Z_m) p_m(x)), that is
// f[k] - f[m] = log p_k(x) - log p_m(x). The ratio p_k / p_m has a finite variance under p_m, its
// inverse under p_k need not have one: hence the direction of kl.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include "diffusion/objectives/logits_objective.h"
#include "diffusion/objectives/objectives.h"

namespace cdm {
namespace {

/// w(1) + ... + w(n) for n = 0 .. levels - 1: float64, CPU.
at::Tensor summed_weights(PairDistance distance, std::int64_t levels) {
  const auto options = at::TensorOptions().dtype(at::kDouble);
  const at::Tensor weights = distance == PairDistance::log_uniform
                                 ? at::arange(1, levels, options).reciprocal()
                                 : at::ones({levels - 1}, options);
  return at::cat({at::zeros({1}, options), weights.cumsum(0)});
}

class PairsObjective final : public LogitsObjective {
 public:
  PairsObjective(const LossConfig& config, const NoiseSchedule& schedule)
      : LogitsObjective(config, schedule) {
    const at::Tensor below = summed_weights(config.pair_distance, schedule.levels());
    const at::Tensor all = below + below.flip(0);  // Z_t: of the levels below t, and above
    summed_ = below.to(schedule.options().dtype(at::kDouble));
    prior_ = all.log().neg().to(schedule.options());
  }

 protected:
  /// "other": the second level s of each row, int64 [B].
  NamedTensors draw_more(const RowDraws& draws, const at::Tensor& t) const override {
    const at::Tensor summed = summed_.to(draws.device());
    const at::Tensor above = t.neg().add(summed.size(0) - 1);  // the number of levels above t
    const at::Tensor weight_below = summed.index_select(0, t);
    const at::Tensor weight_above = summed.index_select(0, above);
    const at::Tensor u = draws.uniform(named_purpose("other level of a pair")).to(at::kDouble) *
                         (weight_below + weight_above);
    const at::Tensor is_below = u < weight_below;
    const auto distance = [&](const at::Tensor& within, const at::Tensor& most) {
      return at::minimum(at::searchsorted(summed, within, /*out_int32=*/false, /*right=*/true),
                         most);
    };
    return {
        {"other", at::where(is_below, t - distance(u, t), t + distance(u - weight_below, above))}};
  }

  LogitsLoss loss_of_logits(const at::Tensor& f, const TrainingRows& rows) const override {
    const at::Tensor& t = rows["t"];
    const at::Tensor& s = rows["other"];
    const at::Tensor logits = level().with_prior(f) + prior_;
    const auto of_level = [&](const at::Tensor& level) {
      return logits.gather(1, level.unsqueeze(1)).squeeze(1);
    };
    const at::Tensor a = of_level(at::minimum(t, s)) - of_level(at::maximum(t, s));
    const at::Tensor is_less_noisy = t < s;
    const at::Tensor loss = loss_of_pairs(a, is_less_noisy).mean();
    const at::Tensor right = a.detach().gt(0).eq(is_less_noisy);
    return {config().ce_weight * loss, {{"ce", loss.detach()}}, accuracy_of(right)};
  }

 private:
  at::Tensor loss_of_pairs(const at::Tensor& a, const at::Tensor& is_less_noisy) const {
    constexpr double kMostExponent = 20.0;
    switch (config().pair_loss) {
      case PairLoss::logistic:
        return at::softplus(at::where(is_less_noisy, -a, a));
      case PairLoss::kl:
        return at::where(is_less_noisy, -a, a.clamp_max(kMostExponent).exp());
    }
    TORCH_CHECK(false, "loss.pair_loss is none of the losses");
  }

  at::Tensor summed_;  // w(1) + ... + w(n), float64 [K], with the schedule
  at::Tensor prior_;   // -log Z_t, [K], with the schedule
};

}  // namespace

std::unique_ptr<Objective> make_pairs_objective(const LossConfig& config,
                                                const NoiseSchedule& schedule) {
  return std::make_unique<PairsObjective>(config, schedule);
}

}  // namespace cdm
