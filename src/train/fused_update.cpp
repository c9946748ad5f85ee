// SPDX-License-Identifier: MIT
#include "train/fused_update.h"

#include <ATen/Dispatch.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <cstddef>
#include <exception>
#include <iterator>
#include <limits>
#include <utility>

#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "cdm/train/power_average.h"
#include "device/on_device.h"
#include "train/update_launch.h"

namespace cdm {
namespace {

constexpr auto kFactors = static_cast<std::int64_t>(sizeof(UpdateFactors) / sizeof(double));

/// A block of one thread.
class SerialBlock {
 public:
  SerialBlock(std::int64_t index, double& shared) : index_(index), shared_(shared) {}
  std::int64_t index() const { return index_; }
  int thread() const { return 0; }
  int threads() const { return 1; }
  void sync() const {}
  double* shared() const { return &shared_; }

 private:
  std::int64_t index_;
  double& shared_;
};

/// The kernels as loops of the CPU.
template <class T>
struct OnCpu {
  using Block = cuda::UpdateBlock<T, SerialBlock>;

  static void sum_squares(const cuda::UpdateTable<T>& table, double* partial) {
    double shared = 0.0;
    for (std::int64_t i = 0; i < table.chunks; ++i) {
      Block(SerialBlock(i, shared)).sum_squares(table, partial);
    }
  }
  static void decide(const UpdateRules& rules, const cuda::Decision<T>& decision) {
    double shared = 0.0;
    Block(SerialBlock(0, shared)).decide(rules, decision);
  }
  static void update(const cuda::UpdateTable<T>& table, const UpdateRules& rules,
                     const UpdateFactors& factors) {
    double shared = 0.0;
    for (std::int64_t i = 0; i < table.chunks; ++i) {
      Block(SerialBlock(i, shared)).update(table, rules, factors);
    }
  }
};

template <class T>
std::vector<cuda::UpdateTable<T>> tables_of(const FusedUpdate::State& state,
                                            const std::vector<at::Tensor>& gradients) {
  std::vector<cuda::UpdateTable<T>> tables(1);
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (tables.back().count == cuda::UpdateTable<T>::kMost) tables.emplace_back();
    const auto memory = [i](const std::vector<at::Tensor>& tensors) {
      return tensors[i].defined() ? tensors[i].mutable_data_ptr<T>() : nullptr;
    };
    cuda::UpdateTensor<T> tensor = {.gradient = gradients[i].const_data_ptr<T>(),
                                    .weight = memory(state.weights),
                                    .first = memory(state.first_moments),
                                    .second = memory(state.second_moments),
                                    .averages = {},
                                    .size = gradients[i].numel(),
                                    .decays = state.decays[i],
                                    .first_chunk = 0};
    for (std::size_t k = 0; k < state.averages.size(); ++k) {
      tensor.averages[k] = memory(state.averages[k]);
    }
    tables.back().add(tensor);
  }
  return tables;
}

/// The decays of all averages, or the exponents of averages with a power profile.
std::vector<double> decays_of(const TrainConfig& config) {
  std::vector<double> decays;
  switch (config.ema_kind) {
    case AverageKind::exponential:
      decays = config.ema_more_decays;
      decays.insert(decays.begin(), config.ema_decay);
      break;
    case AverageKind::power:
      for (const double width : config.ema_sigma_rel) decays.push_back(gamma_of(width) + 1.0);
      break;
  }
  TORCH_CHECK(std::ssize(decays) <= kMostAverages, "there are more than ", kMostAverages,
              " averages");
  return decays;
}

}  // namespace

UpdateRules update_rules(const TrainConfig& config) {
  UpdateRules rules = {};
  rules.learning_rate = config.learning_rate;
  rules.warmup = config.warmup;
  rules.schedule = config.learning_rate_schedule;
  rules.decay_every = config.decay_every;
  rules.decay_factor = config.decay_factor;
  rules.iterations = config.iterations;
  rules.final_factor = config.final_learning_rate_factor;
  rules.warmdown = config.warmdown;
  rules.beta1 = config.adam_beta1;
  rules.beta2 = config.adam_beta2;
  rules.eps = config.adam_eps;
  rules.weight_decay = config.weight_decay;
  rules.clip_grad_norm = config.clip_grad_norm;
  rules.ema_kind = config.ema_kind;
  rules.ema_warmup = config.ema_warmup;
  rules.ema_start = config.ema_start;
  for (const double decay : decays_of(config)) rules.ema_decay[rules.averages++] = decay;
  return rules;
}

FusedUpdate::FusedUpdate(State state, const TrainConfig& config)
    : state_(std::move(state)), rules_(update_rules(config)) {
  std::int64_t chunks = 0;
  std::vector<const Tensors*> others = {&state_.first_moments, &state_.second_moments};
  for (const Tensors& average : state_.averages) others.push_back(&average);
  for (std::size_t i = 0; i < state_.weights.size(); ++i) {
    const at::Tensor& weight = state_.weights[i];
    chunks += (weight.numel() + cuda::kChunk - 1) / cuda::kChunk;
    for (const Tensors* tensors : others) {
      const at::Tensor& other = tensors->at(i);
      TORCH_CHECK(!other.defined() ||
                      (other.strides() == weight.strides() && other.sizes() == weight.sizes() &&
                       weight.is_non_overlapping_and_dense()),
                  "FusedUpdate: parameter ", i, " and its state have different layouts");
    }
  }
  const at::TensorOptions there = at::TensorOptions().device(state_.counts.device());
  partial_ = at::zeros({chunks}, there.dtype(at::kDouble));
  factors_ = at::zeros({kFactors}, there.dtype(at::kDouble));
}

FusedUpdate::Result FusedUpdate::operator()(const Tensors& gradients, const at::Tensor& loss) {
  const c10::NoGradGuard no_grad;
  return AT_DISPATCH_FLOATING_TYPES(state_.weights.front().scalar_type(), "FusedUpdate",
                                    [&] { return of_type<scalar_t>(gradients, loss); });
}

void FusedUpdate::update_by_muon(const Tensors& gradients, const at::Tensor& skipped) {
  if (state_.muon == nullptr) return;
  const auto factor = [&](std::size_t offset) {
    return factors_[static_cast<std::int64_t>(offset / sizeof(double))];
  };
  state_.muon->step(gradients, factor(offsetof(UpdateFactors, learning_rate)), skipped,
                    factor(offsetof(UpdateFactors, clip)));
}

template <class T>
FusedUpdate::Result FusedUpdate::of_type(const Tensors& gradients, const at::Tensor& loss) {
  const at::Tensor& first_weight = state_.weights.front();
  // The kernels read memory in order and ignore strides, so all tensors need the same layout.
  Tensors laid_out = gradients;
  for (std::size_t i = 0; i < laid_out.size(); ++i) {
    if (laid_out[i].strides() != state_.weights[i].strides()) {
      laid_out[i] = at::empty_like(state_.weights[i]).copy_(gradients[i]);
    }
  }
  const std::vector<cuda::UpdateTable<T>> tables = tables_of<T>(state_, laid_out);
  const at::TensorOptions options = first_weight.options().requires_grad(false);
  const at::Tensor loss_value = loss.to(options);
  Result result = {at::empty({}, options), at::empty({}, options.dtype(at::kFloat))};
  auto* const factors = reinterpret_cast<UpdateFactors*>(factors_.mutable_data_ptr<double>());
  auto* partial = partial_.mutable_data_ptr<double>();
  const cuda::Decision<T> decision = {partial,
                                      partial_.numel(),
                                      loss_value.const_data_ptr<T>(),
                                      state_.time_used.const_data_ptr<double>(),
                                      state_.counts.mutable_data_ptr<std::int64_t>(),
                                      factors,
                                      result.gradient_norm.mutable_data_ptr<T>(),
                                      result.skipped.mutable_data_ptr<float>()};
  if (first_weight.is_cpu()) {
    for (const auto& table : tables) {
      OnCpu<T>::sum_squares(table, partial);
      partial += table.chunks;
    }
    OnCpu<T>::decide(rules_, decision);
    update_by_muon(gradients, result.skipped);
    for (const auto& table : tables) OnCpu<T>::update(table, rules_, *factors);
    return result;
  }
  const cuda::OnDevice there(first_weight.device());
  for (const auto& table : tables) {
    cuda::launch_sum_squares(table, partial, there.stream());
    partial += table.chunks;
  }
  cuda::launch_decide(rules_, decision, there.stream());
  update_by_muon(gradients, result.skipped);
  for (const auto& table : tables) cuda::launch_update(table, rules_, factors, there.stream());
  return result;
}

namespace {

/// Weights, moments and averages after two small updates on `device` and a skipped one, the counts,
/// and the norm of the second. The parameters need more than one table, and one of them more than
/// one chunk. Without warmup and at a high rate, every part of an update shows in the results.
std::vector<at::Tensor> trial_on(at::Device device) {
  TrainConfig config = RunConfig().train;
  config.learning_rate = 0.5;
  config.warmup = 0;
  config.clip_grad_norm = 1.0;
  config.weight_decay = 0.1;
  config.ema_decay = 0.5;
  config.ema_more_decays = {0.25};
  config.ema_start = 0;
  std::vector<std::int64_t> sizes(cuda::UpdateTable<float>::kMost, 5);
  sizes.push_back(cuda::kChunk + 2);
  FusedUpdate::State state;
  state.averages.resize(2);
  std::vector<at::Tensor> gradients;
  for (const std::int64_t size : sizes) {
    const at::Tensor values = at::linspace(-1.0, 2.0, size, at::kFloat).to(device);
    state.weights.push_back(values.clone());
    state.first_moments.push_back(at::zeros_like(values));
    state.second_moments.push_back(at::zeros_like(values));
    for (auto& average : state.averages) average.push_back(values.clone());
    state.decays.push_back(state.decays.size() % 2 == 0);
    gradients.push_back(values * 0.1 - 0.05);
  }
  state.counts = at::zeros({2}, at::TensorOptions().dtype(at::kLong).device(device));
  state.time_used = at::zeros({}, at::TensorOptions().dtype(at::kDouble).device(device));
  FusedUpdate update(state, config);
  const at::Tensor loss = gradients[0][0];
  update(gradients, loss);
  std::vector<at::Tensor> results = {update(gradients, loss).gradient_norm};
  update(gradients, loss * std::numeric_limits<double>::infinity());
  for (const auto* const tensors : {&state.weights, &state.first_moments, &state.second_moments,
                                    &state.averages[0], &state.averages[1]}) {
    results.insert(results.end(), tensors->begin(), tensors->end());
  }
  results.push_back(state.counts);
  for (at::Tensor& result : results) result = result.to(at::kCPU, at::kDouble);
  return results;
}

}  // namespace

bool fused_update_works(at::Device device) {
  try {
    const std::vector<at::Tensor> there = trial_on(device);
    const std::vector<at::Tensor> here = trial_on(at::kCPU);
    for (std::size_t i = 0; i < here.size(); ++i) {
      const at::Tensor error = (there[i] - here[i]).abs().max();
      TORCH_CHECK(error.le(1e-5 * here[i].abs().max()).item<bool>(),
                  "the update of the weights is not that of the CPU");
    }
    return true;
  } catch (const std::exception& error) {
    log_warning(concat("own_cuda_kernels: ", first_line(error.what()),
                       "; ATen updates the weights instead"));
    return false;
  }
}

}  // namespace cdm
