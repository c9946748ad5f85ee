// SPDX-License-Identifier: MIT
// The kinds of things that a configuration chooses between, as enum classes with their names.
//
// A name is read once, when the configuration is parsed. All code after that asks for the kind with
// a `switch` that has no `default`, so that the compiler lists every place that must be extended
// when a kind is added. To add one: an enumerator, and its name in the table below it.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cdm {

/// Specialised for each kind: `all` lists (kind, name) in the order in which help texts show them.
template <class Kind>
struct KindNames;

template <class Kind, std::size_t N>
using KindTable = std::array<std::pair<Kind, std::string_view>, N>;

/// Where the images come from.
enum class DataKind { fashion_mnist, mnist, cifar10, celeba, npz, image_folder, toy };
template <>
struct KindNames<DataKind> {
  static constexpr KindTable<DataKind, 7> all = {{{DataKind::fashion_mnist, "fashion_mnist"},
                                                  {DataKind::mnist, "mnist"},
                                                  {DataKind::cifar10, "cifar10"},
                                                  {DataKind::celeba, "celeba"},
                                                  {DataKind::npz, "npz"},
                                                  {DataKind::image_folder, "image_folder"},
                                                  {DataKind::toy, "toy"}}};
};

/// The known density that data.kind = toy is drawn from.
enum class ToyKind { uniform, gaussian, peaks };
template <>
struct KindNames<ToyKind> {
  static constexpr KindTable<ToyKind, 3> all = {
      {{ToyKind::uniform, "uniform"}, {ToyKind::gaussian, "gaussian"}, {ToyKind::peaks, "peaks"}}};
};

/// How 8-bit values u become values x of the model's scale.
enum class Dequantization {
  none,     // x = u / 127.5 - 1: the 8-bit points themselves
  uniform,  // x = (u + U[0, 1)) / 128 - 1: noise of one 8-bit step on each
};
template <>
struct KindNames<Dequantization> {
  static constexpr KindTable<Dequantization, 2> all = {
      {{Dequantization::none, "none"}, {Dequantization::uniform, "uniform"}}};
};

/// How signal and noise change from level to level.
enum class ScheduleKind { linear, cosine, uniform, flow_matching };
template <>
struct KindNames<ScheduleKind> {
  static constexpr KindTable<ScheduleKind, 4> all = {
      {{ScheduleKind::linear, "linear"},
       {ScheduleKind::cosine, "cosine"},
       {ScheduleKind::uniform, "uniform"},
       {ScheduleKind::flow_matching, "flow_matching"}}};
};

/// What a network is made of.
enum class NetworkKind { unet, mlp };
template <>
struct KindNames<NetworkKind> {
  static constexpr KindTable<NetworkKind, 2> all = {
      {{NetworkKind::unet, "unet"}, {NetworkKind::mlp, "mlp"}}};
};

/// What a network predicts: one logit per noise level (a CDM, which has a density), or the noise in
/// an image of a given level (the plain denoiser that the paper compares with, which has none).
enum class Prediction { logits, noise };
template <>
struct KindNames<Prediction> {
  static constexpr KindTable<Prediction, 2> all = {
      {{Prediction::logits, "logits"}, {Prediction::noise, "noise"}}};
};

/// What training minimises; see cdm/diffusion/objective.h.
enum class ObjectiveKind { cdm, nce, tre, denoising };
template <>
struct KindNames<ObjectiveKind> {
  static constexpr KindTable<ObjectiveKind, 4> all = {{{ObjectiveKind::cdm, "cdm"},
                                                       {ObjectiveKind::nce, "nce"},
                                                       {ObjectiveKind::tre, "tre"},
                                                       {ObjectiveKind::denoising, "denoising"}}};
};

/// What a network must predict to be trained by an objective.
constexpr Prediction prediction_for(ObjectiveKind kind) {
  switch (kind) {
    case ObjectiveKind::cdm:
    case ObjectiveKind::nce:
    case ObjectiveKind::tre:
      break;
    case ObjectiveKind::denoising:
      return Prediction::noise;
  }
  return Prediction::logits;
}

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

/// Which noise levels a sampler visits.
enum class Spacing { leading, trailing, linspace };
template <>
struct KindNames<Spacing> {
  static constexpr KindTable<Spacing, 3> all = {{{Spacing::leading, "leading"},
                                                 {Spacing::trailing, "trailing"},
                                                 {Spacing::linspace, "linspace"}}};
};

/// Floating-point arithmetic. fp64 is for comparisons with references, not for training.
enum class Arithmetic { fp64, fp32, tf32, bf16 };
template <>
struct KindNames<Arithmetic> {
  static constexpr KindTable<Arithmetic, 4> all = {{{Arithmetic::fp64, "fp64"},
                                                    {Arithmetic::fp32, "fp32"},
                                                    {Arithmetic::tf32, "tf32"},
                                                    {Arithmetic::bf16, "bf16"}}};
};

/// Which implementation of the operations of cdm/ops/ops.h runs.
enum class Operations { fused, plain };
template <>
struct KindNames<Operations> {
  static constexpr KindTable<Operations, 2> all = {
      {{Operations::fused, "fused"}, {Operations::plain, "plain"}}};
};

/// How processes of one run add up their gradients.
enum class Collectives { automatic, gloo };
template <>
struct KindNames<Collectives> {
  static constexpr KindTable<Collectives, 2> all = {
      {{Collectives::automatic, "auto"}, {Collectives::gloo, "gloo"}}};
};

/// The name of a kind, as a configuration spells it.
template <class Kind>
std::string name_of(Kind kind) {
  for (const auto& [value, name] : KindNames<Kind>::all) {
    if (value == kind) return std::string(name);
  }
  return "?";  // only for a number that is none of the enumerators
}

/// The kind of that name; empty when there is none.
template <class Kind>
std::optional<Kind> kind_named(std::string_view text) {
  for (const auto& [value, name] : KindNames<Kind>::all) {
    if (name == text) return value;
  }
  return std::nullopt;
}

/// All names, in the order of the help texts.
template <class Kind>
std::vector<std::string> names_of() {
  std::vector<std::string> names;
  for (const auto& [value, name] : KindNames<Kind>::all) names.emplace_back(name);
  return names;
}

}  // namespace cdm
