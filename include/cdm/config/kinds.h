// SPDX-License-Identifier: MIT
// The kinds of things that a configuration chooses between, as enum classes with their names.
//
// A name is read once, when the configuration is parsed. After that, code uses the enumerator, in a
// `switch` without `default`, so that the compiler lists every place that must be extended when a
// kind is added. To add a kind: add an enumerator, and its name to the table below it.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cdm {

/// Specialised for each enum below: `all` lists (enumerator, name) in the order in which help texts
/// show them.
template <class Kind>
struct KindNames;

template <class Kind, std::size_t N>
using KindTable = std::array<std::pair<Kind, std::string_view>, N>;

/// Where the images come from.
enum class DataKind {
  fashion_mnist,
  mnist,
  emnist,
  cifar10,
  cifar100,
  celeba,
  npz,
  image_folder,
  image_archive,
  toy
};
template <>
struct KindNames<DataKind> {
  static constexpr KindTable<DataKind, 10> all = {{{DataKind::fashion_mnist, "fashion_mnist"},
                                                   {DataKind::mnist, "mnist"},
                                                   {DataKind::emnist, "emnist"},
                                                   {DataKind::cifar10, "cifar10"},
                                                   {DataKind::cifar100, "cifar100"},
                                                   {DataKind::celeba, "celeba"},
                                                   {DataKind::npz, "npz"},
                                                   {DataKind::image_folder, "image_folder"},
                                                   {DataKind::image_archive, "image_archive"},
                                                   {DataKind::toy, "toy"}}};
};

/// The known density that data.kind = toy is drawn from.
enum class ToyKind { uniform, gaussian, peaks };
template <>
struct KindNames<ToyKind> {
  static constexpr KindTable<ToyKind, 3> all = {
      {{ToyKind::uniform, "uniform"}, {ToyKind::gaussian, "gaussian"}, {ToyKind::peaks, "peaks"}}};
};

/// How 8-bit pixel values u become values x in the model's scale, [-1, 1].
enum class Dequantization {
  none,     // x = u / 127.5 - 1
  uniform,  // x = (u + U[0, 1)) / 128 - 1: uniform noise, one 8-bit step wide, on each value
};
template <>
struct KindNames<Dequantization> {
  static constexpr KindTable<Dequantization, 2> all = {
      {{Dequantization::none, "none"}, {Dequantization::uniform, "uniform"}}};
};

/// How signal and noise change from level to level; see cdm/diffusion/schedule.h.
enum class ScheduleKind { linear, cosine, uniform, log_snr, flow_matching };
template <>
struct KindNames<ScheduleKind> {
  static constexpr KindTable<ScheduleKind, 5> all = {
      {{ScheduleKind::linear, "linear"},
       {ScheduleKind::cosine, "cosine"},
       {ScheduleKind::uniform, "uniform"},
       {ScheduleKind::log_snr, "log_snr"},
       {ScheduleKind::flow_matching, "flow_matching"}}};
};

/// The architecture of a network: see cdm/model/unet.h and cdm/model/mlp.h.
enum class NetworkKind { unet, mlp };
template <>
struct KindNames<NetworkKind> {
  static constexpr KindTable<NetworkKind, 2> all = {
      {{NetworkKind::unet, "unet"}, {NetworkKind::mlp, "mlp"}}};
};

/// The density, known in closed form, that a network's logits start from; see cdm/model/anchor.h.
enum class AnchorKind { none, gaussian };
template <>
struct KindNames<AnchorKind> {
  static constexpr KindTable<AnchorKind, 2> all = {
      {{AnchorKind::none, "none"}, {AnchorKind::gaussian, "gaussian"}}};
};

/// The features that the last layer of a UNet turns into logits.
enum class HeadKind {
  pooled,        // means of a convolution over the pixels
  pooled_inner,  // and means of the products of a convolution and the image
};
template <>
struct KindNames<HeadKind> {
  static constexpr KindTable<HeadKind, 2> all = {
      {{HeadKind::pooled, "pooled"}, {HeadKind::pooled_inner, "pooled_inner"}}};
};

/// What a network predicts.
///   logits  one per noise level: a classification diffusion model, which has a density
///   noise   the noise in an image of a given level: the plain denoiser that the paper compares
///           with, which has no density
enum class Prediction { logits, noise };
template <>
struct KindNames<Prediction> {
  static constexpr KindTable<Prediction, 2> all = {
      {{Prediction::logits, "logits"}, {Prediction::noise, "noise"}}};
};

/// What training minimises; see cdm/diffusion/objective.h.
enum class ObjectiveKind { cdm, nce, tre, subset, pairs, time_score, denoising };
template <>
struct KindNames<ObjectiveKind> {
  static constexpr KindTable<ObjectiveKind, 7> all = {{{ObjectiveKind::cdm, "cdm"},
                                                       {ObjectiveKind::nce, "nce"},
                                                       {ObjectiveKind::tre, "tre"},
                                                       {ObjectiveKind::subset, "subset"},
                                                       {ObjectiveKind::pairs, "pairs"},
                                                       {ObjectiveKind::time_score, "time_score"},
                                                       {ObjectiveKind::denoising, "denoising"}}};
};

/// What a network must predict to be trained by an objective.
constexpr Prediction prediction_for(ObjectiveKind kind) {
  switch (kind) {
    case ObjectiveKind::cdm:
    case ObjectiveKind::nce:
    case ObjectiveKind::tre:
    case ObjectiveKind::subset:
    case ObjectiveKind::pairs:
    case ObjectiveKind::time_score:
      break;
    case ObjectiveKind::denoising:
      return Prediction::noise;
  }
  return Prediction::logits;
}

/// How the rows of a batch draw their noise levels.
enum class LevelSampling {
  independent,  // each row for itself
  stratified,   // spread evenly over the batch; each row by itself draws as before
};
template <>
struct KindNames<LevelSampling> {
  static constexpr KindTable<LevelSampling, 2> all = {
      {{LevelSampling::independent, "independent"}, {LevelSampling::stratified, "stratified"}}};
};

/// How often each noise level is drawn in training.
enum class LevelDensity {
  uniform,  // equally often
  log_snr,  // as often as the level's part of the range of log(signal^2 / sigma^2) is large
};
template <>
struct KindNames<LevelDensity> {
  static constexpr KindTable<LevelDensity, 2> all = {
      {{LevelDensity::uniform, "uniform"}, {LevelDensity::log_snr, "log_snr"}}};
};

/// How far apart the two levels of a pair are (loss.kind = pairs), in numbers of levels.
enum class PairDistance {
  log_uniform,  // distance n with a weight 1 / n: as many of 1..10 as of 10..100
  uniform,      // all distances with the same weight
};
template <>
struct KindNames<PairDistance> {
  static constexpr KindTable<PairDistance, 2> all = {
      {{PairDistance::log_uniform, "log_uniform"}, {PairDistance::uniform, "uniform"}}};
};

/// The loss of a pair of levels; see src/diffusion/objectives/pairs.cpp.
enum class PairLoss { logistic, kl };
template <>
struct KindNames<PairLoss> {
  static constexpr KindTable<PairLoss, 2> all = {
      {{PairLoss::logistic, "logistic"}, {PairLoss::kl, "kl"}}};
};

/// What the denoising error of a level weighs in the loss.
enum class MseWeighting {
  flat,        // the same at each level
  likelihood,  // as in the bound on the log-likelihood (Kingma et al., 2021)
  min_snr,     // min(SNR, gamma) / SNR (Hang et al., 2023)
};
template <>
struct KindNames<MseWeighting> {
  static constexpr KindTable<MseWeighting, 3> all = {{{MseWeighting::flat, "flat"},
                                                      {MseWeighting::likelihood, "likelihood"},
                                                      {MseWeighting::min_snr, "min_snr"}}};
};

/// How the learning rate changes in the course of a run; see learning_rate_at() in
/// cdm/train/optimizer.h.
enum class LearningRateSchedule { steps, cosine, warmdown };
template <>
struct KindNames<LearningRateSchedule> {
  static constexpr KindTable<LearningRateSchedule, 3> all = {
      {{LearningRateSchedule::steps, "steps"},
       {LearningRateSchedule::cosine, "cosine"},
       {LearningRateSchedule::warmdown, "warmdown"}}};
};

/// What turns gradients into changes of the weights; see cdm/train/optimizer.h.
enum class OptimizerKind { adam, muon };
template <>
struct KindNames<OptimizerKind> {
  static constexpr KindTable<OptimizerKind, 2> all = {
      {{OptimizerKind::adam, "adam"}, {OptimizerKind::muon, "muon"}}};
};

/// How the moving averages of the weights weigh the steps; see ema_decay_at() in
/// cdm/train/optimizer.h.
enum class AverageKind { exponential, power };
template <>
struct KindNames<AverageKind> {
  static constexpr KindTable<AverageKind, 2> all = {
      {{AverageKind::exponential, "exponential"}, {AverageKind::power, "power"}}};
};

/// How images are drawn from a model; see cdm/sample/sampler.h.
enum class SamplerKind { ddpm, ddim, dpm_solver_2, dpm_solver_pp_2m, heun, euler };
template <>
struct KindNames<SamplerKind> {
  static constexpr KindTable<SamplerKind, 6> all = {
      {{SamplerKind::ddpm, "ddpm"},
       {SamplerKind::ddim, "ddim"},
       {SamplerKind::dpm_solver_2, "dpm_solver_2"},
       {SamplerKind::dpm_solver_pp_2m, "dpm_solver_pp_2m"},
       {SamplerKind::heun, "heun"},
       {SamplerKind::euler, "euler"}}};
};

/// Which noise levels a sampler visits; see sampling_levels() in cdm/sample/sample.h.
enum class Spacing { leading, trailing, linspace };
template <>
struct KindNames<Spacing> {
  static constexpr KindTable<Spacing, 3> all = {{{Spacing::leading, "leading"},
                                                 {Spacing::trailing, "trailing"},
                                                 {Spacing::linspace, "linspace"}}};
};

/// Floating-point arithmetic. arithmetic_for() in cdm/device/precision.h says which one `automatic`
/// stands for. fp64 is for comparison with reference numbers, not for training.
enum class Arithmetic { automatic, fp64, fp32, tf32, bf16 };
template <>
struct KindNames<Arithmetic> {
  static constexpr KindTable<Arithmetic, 5> all = {{{Arithmetic::automatic, "auto"},
                                                    {Arithmetic::fp64, "fp64"},
                                                    {Arithmetic::fp32, "fp32"},
                                                    {Arithmetic::tf32, "tf32"},
                                                    {Arithmetic::bf16, "bf16"}}};
};

/// Which implementation of the operations in cdm/ops/ops.h is used.
enum class Operations { fused, plain };
template <>
struct KindNames<Operations> {
  static constexpr KindTable<Operations, 2> all = {
      {{Operations::fused, "fused"}, {Operations::plain, "plain"}}};
};

/// Something that makes a GPU faster: in use wherever the device and the build have it
/// (automatic), or not at all.
enum class Feature { automatic, off };
template <>
struct KindNames<Feature> {
  static constexpr KindTable<Feature, 2> all = {
      {{Feature::automatic, "auto"}, {Feature::off, "off"}}};
};

/// Whether cuDNN times its algorithms to choose one; cudnn_choice() in cdm/device/cudnn.h says what
/// `automatic` stands for.
enum class Autotuning { automatic, on, off };
template <>
struct KindNames<Autotuning> {
  static constexpr KindTable<Autotuning, 3> all = {
      {{Autotuning::automatic, "auto"}, {Autotuning::on, "on"}, {Autotuning::off, "off"}}};
};

/// How the processes of one run sum their gradients: NCCL where possible (auto), or Gloo.
enum class Collectives { automatic, gloo };
template <>
struct KindNames<Collectives> {
  static constexpr KindTable<Collectives, 2> all = {
      {{Collectives::automatic, "auto"}, {Collectives::gloo, "gloo"}}};
};

/// The name of a kind, as it is written in a configuration.
template <class Kind>
std::string name_of(Kind kind) {
  for (const auto& [value, name] : KindNames<Kind>::all) {
    if (value == kind) return std::string(name);
  }
  return "?";  // not reached for a valid enumerator
}

/// The kind with that name; empty when there is none.
template <class Kind>
std::optional<Kind> kind_named(std::string_view text) {
  for (const auto& [value, name] : KindNames<Kind>::all) {
    if (name == text) return value;
  }
  return std::nullopt;
}

/// All names of a kind, in the order of KindNames.
template <class Kind>
std::vector<std::string> names_of() {
  std::vector<std::string> names;
  for (const auto& [value, name] : KindNames<Kind>::all) names.emplace_back(name);
  return names;
}

}  // namespace cdm
