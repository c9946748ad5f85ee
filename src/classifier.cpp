// SPDX-License-Identifier: MIT
#include "cdm/classifier.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "cdm/parallel.h"

namespace cdm {
namespace {

/// The results of work(piece, rows of x, rows of labels) for the pieces of a batch, put together.
template <class Work>
at::Tensor over_pieces(const at::Tensor& x, const at::Tensor& labels, const Work& work) {
  const std::vector<Piece> pieces = cut_batch(x.size(0), x.device());
  if (pieces.size() == 1) return work(pieces[0], x, labels);
  std::vector<at::Tensor> results(pieces.size());
  for_each_piece(pieces, x.device(), [&](std::int64_t, const Piece& piece) {
    const auto rows = [&](const at::Tensor& batch) {
      return batch.defined() ? batch.narrow(0, piece.first, piece.count) : at::Tensor();
    };
    const auto index = static_cast<std::size_t>(&piece - pieces.data());
    results[index] = work(piece, rows(x), rows(labels));
  });
  return at::cat(results);
}

}  // namespace

at::Tensor standard_normal_log_density(const at::Tensor& x) {
  const at::Tensor rows = x.flatten(1);
  const double log_normaliser =
      0.5 * static_cast<double>(rows.size(1)) * std::log(2.0 * std::numbers::pi);
  return rows.square().sum(1).mul(-0.5).sub(log_normaliser);
}

Classifier::Classifier(std::shared_ptr<Network> network, NoiseSchedule schedule)
    : network_(std::move(network)), schedule_(std::move(schedule)) {
  schedule_.to(network_->parameters().front().second.options());
}

at::Tensor Classifier::logits(const at::Tensor& x, const at::Tensor& labels,
                              DropoutMasks* masks) const {
  if (!network_->is_conditional() || labels.defined()) return network_->logits(x, labels, masks);
  const at::Tensor null_labels =
      at::full({x.size(0)}, network_->null_class(), x.options().dtype(at::kLong));
  return network_->logits(x, null_labels, masks);
}

at::Tensor Classifier::log_ratio(const at::Tensor& logits, const at::Tensor& t) const {
  return logits.select(1, schedule_.reference_level()) -
         logits.gather(1, t.unsqueeze(1)).squeeze(1);
}

at::Tensor Classifier::log_ratio_gradient(const at::Tensor& x, const at::Tensor& t,
                                          const at::Tensor& labels) const {
  return over_pieces(x, labels,
                     [&](const Piece& piece, const at::Tensor& rows, const at::Tensor& classes) {
                       const at::AutoGradMode enable_grad(true);
                       const at::Tensor input = rows.detach().requires_grad_(true);
                       const at::Tensor F =
                           log_ratio(logits(input, classes), t.narrow(0, piece.first, piece.count));
                       return torch::autograd::grad({F.sum()}, {input})[0];
                     });
}

at::Tensor Classifier::evaluate(const at::Tensor& x, const at::Tensor& labels) const {
  return over_pieces(x, labels,
                     [&](const Piece&, const at::Tensor& rows, const at::Tensor& classes) {
                       const c10::NoGradGuard no_grad;
                       return logits(rows, classes);
                     });
}

at::Tensor Classifier::noise_from_gradient(const at::Tensor& grad_F, const at::Tensor& x,
                                           const at::Tensor& t) const {
  return schedule_.sigma(t, x) * (grad_F + x);
}

at::Tensor Classifier::predict_noise(const at::Tensor& x, const at::Tensor& t,
                                     const at::Tensor& labels, double guidance) const {
  if (guidance == 0.0 || !network_->is_conditional() || !labels.defined()) {
    return noise_from_gradient(log_ratio_gradient(x, t, labels), x, t).detach();
  }
  // Both halves of the guidance in one batch.
  const at::Tensor twice_x = at::cat({x, x});
  const at::Tensor twice_t = at::cat({t, t});
  const at::Tensor both = at::cat({labels, at::full_like(labels, network_->null_class())});
  const at::Tensor eps =
      noise_from_gradient(log_ratio_gradient(twice_x, twice_t, both), twice_x, twice_t).detach();
  const std::int64_t batch = x.size(0);
  return (1.0 + guidance) * eps.narrow(0, 0, batch) - guidance * eps.narrow(0, batch, batch);
}

at::Tensor Classifier::score(const at::Tensor& x, const at::Tensor& t,
                             const at::Tensor& labels) const {
  return (-(log_ratio_gradient(x, t, labels) + x)).detach();
}

at::Tensor Classifier::log_prob(const at::Tensor& x, const at::Tensor& t,
                                const at::Tensor& labels) const {
  return standard_normal_log_density(x) - log_ratio(evaluate(x, labels), t);
}

at::Tensor Classifier::log_prob_all_levels(const at::Tensor& x, const at::Tensor& labels) const {
  const at::Tensor f = evaluate(x, labels);
  return standard_normal_log_density(x).unsqueeze(1) + f -
         f.narrow(1, schedule_.reference_level(), 1);
}

at::Tensor Classifier::level_posterior(const at::Tensor& x, const at::Tensor& labels) const {
  return evaluate(x, labels).softmax(1);
}

}  // namespace cdm
