// SPDX-License-Identifier: MIT
// The table of all keys. Every key is declared once: name, field, default, legal values and help.
// Those at the top level and of the section sample are declared here, the others in
// keys_of_SECTION.cpp.
#include "config/keys.h"

#include <c10/util/Exception.h>

#include <algorithm>

#include "cdm/config/seed.h"
#include "config/declare_keys.h"

namespace cdm {

void declare_top_level(std::vector<Key>& table) {
  TopLevel top(table);
  top.key("seed", &RunConfig::seed, 0, range(0, static_cast<double>(kLargestSeed)),
          "seed of all random numbers of the run");
  top.key("device", &RunConfig::device, "auto", anything(),
          "auto | cpu | cuda | cuda:N; auto = the first GPU if there is one, else the CPU")
      .may_change()
      .may_set_afterwards();
  top.key("precision", &RunConfig::precision, Arithmetic::automatic,
          one_of({"auto", "fp32", "tf32", "bf16"}),
          "arithmetic; bf16 applies to the body of a UNet only: weights and losses stay fp32; auto "
          "= bf16 for training a UNet, and for drawing images with it, on a GPU that has it; fp32 "
          "for everything else, as the scores of cdm-nll and cdm-eval (those made while training "
          "are in its arithmetic)")
      .may_change()
      .may_set_afterwards();
  top.key("operations", &RunConfig::operations, Operations::fused, anything(),
          "fused = this project's own implementations of network operations, with first and second "
          "derivatives | plain = ATen's operations: slower, with derivatives of any order")
      .may_change()
      .may_set_afterwards();
  top.key("collectives", &RunConfig::collectives, Collectives::automatic, anything(),
          "how several processes sum gradients on GPUs: auto = by NCCL if all processes can use "
          "it, else by Gloo | gloo = through host memory; needed for several processes on one GPU")
      .may_change()
      .may_set_afterwards();
  top.key("own_cuda_kernels", &RunConfig::own_cuda_kernels, Feature::automatic, anything(),
          "on a GPU, this project's own CUDA kernels instead of ATen's operations where there are "
          "any")
      .may_change()
      .may_set_afterwards();
  top.key("cuda_graphs", &RunConfig::cuda_graphs, Feature::automatic, anything(),
          "on a GPU, record training steps, and evaluations of the network for sampling and "
          "scoring, as CUDA graphs and replay them")
      .may_change()
      .may_set_afterwards();
  top.key("cudnn_autotuning", &RunConfig::cudnn_autotuning, Autotuning::automatic, anything(),
          "on a GPU, let cuDNN time its convolution algorithms and take the fastest; auto = for "
          "sampling and scoring, but in training only algorithms that add in a fixed order, not "
          "timed, so that a resumed run repeats the numbers of an uninterrupted one; off = cuDNN "
          "chooses by its rules")
      .may_change()
      .may_set_afterwards();
}

void declare_sample(std::vector<Key>& table) {
  Section<SampleConfig> sample(table, "sample", &RunConfig::sample);
  sample.key("sampler", &SampleConfig::sampler, SamplerKind::ddim, anything(), "sampling method")
      .may_change()
      .may_set_afterwards();
  sample
      .key("eta", &SampleConfig::eta, 0.0, range(0, 1),
           "noise added in each step: 0 = none, 1 = as much as ddpm adds")
      .only(for_sampler({SamplerKind::ddim}))
      .may_change()
      .may_set_afterwards();
  sample
      .key("steps", &SampleConfig::steps, 50, range(1, 100000),
           "sampling steps per image, at most diffusion.steps; each evaluates the network once "
           "(heun: twice, but in the last step)")
      .may_change()
      .may_set_afterwards();
  sample
      .key("spacing", &SampleConfig::spacing, Spacing::leading, anything(),
           "which levels the steps visit, with k = diffusion.steps / sample.steps: leading = 1, "
           "1+k, 1+2k, ... | trailing = T, T-k, T-2k, ... | linspace = evenly spaced from 1 to T; "
           "levels are whole numbers, so they are rounded where k is not one")
      .may_change()
      .may_set_afterwards();
  sample
      .key("guidance", &SampleConfig::guidance, 0.0, range(0, 1000),
           "class-conditional models: w of classifier-free guidance, (1 + w) conditional - w "
           "unconditional; 0 = no guidance")
      .may_change()
      .may_set_afterwards();
}

namespace {

std::vector<Key> declared_keys() {
  std::vector<Key> table;
  declare_top_level(table);
  declare_data(table);
  declare_diffusion(table);
  declare_model(table);
  declare_loss(table);
  declare_train(table);
  declare_sample(table);
  return table;
}

}  // namespace

const std::vector<Key>& config_keys() {
  static const std::vector<Key> table = declared_keys();
  return table;
}

RunConfig::RunConfig() {
  for (const Key& key : config_keys()) key.set_default(*this);
}

std::string value_of(const std::string& full_name, const RunConfig& config) {
  for (const Key& key : config_keys()) {
    if (key.full_name() == full_name) return key.text(config);
  }
  TORCH_CHECK(false, "there is no key ", full_name);
}

std::string Key::default_text() const {
  if (!default_words.empty()) return default_words;
  const RunConfig defaults;
  return text(defaults);
}

bool Key::may_be_null() const {
  const std::string value = default_text();
  return !default_words.empty() || value == "0" || value == "false" || value == "[]" ||
         value == "\"\"";
}

std::string Key::full_name() const { return section.empty() ? name : concat(section, ".", name); }

bool Key::applies_to(const RunConfig& config) const {
  return std::all_of(conditions.begin(), conditions.end(),
                     [&](const KeyCondition& condition) { return condition.holds(config); });
}

std::string Key::only_for() const {
  std::vector<std::string> words;
  for (const KeyCondition& condition : conditions) words.push_back(condition.words);
  return join(words, " and ");
}

}  // namespace cdm
