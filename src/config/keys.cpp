// SPDX-License-Identifier: MIT
// The one declaration of every configuration key: field, name, default, legal values and help;
// then, where it is so, which kinds it is for (only) and that it may change when a run goes on
// (may_change).
#include "config/keys.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "config/section.h"

namespace cdm {
namespace {

constexpr double kMaxSteps = 1e12;
constexpr double kMaxSeed = 9007199254740991.0;  // 2^53 - 1: exact in every reader of the file

Legal range(double low, double high) { return {.low = low, .high = high}; }
Legal at_least(double low) { return {.low = low}; }
Legal anything() { return {}; }
Legal one_of(std::vector<std::string> choices) { return {.choices = std::move(choices)}; }
Legal non_empty_list(double low, double high) {
  return {.low = low, .high = high, .may_be_empty = false};
}

/// Holds when the kind that `kind_of` finds is one of `kinds`.
template <class Kind>
Condition kind_is(const std::string& key, std::vector<Kind> kinds,
                  Kind (*kind_of)(const RunConfig&)) {
  std::vector<std::string> names;
  for (const Kind kind : kinds) names.push_back(name_of(kind));
  return {key, concat(key, " = ", join(names, " or ")),
          [kinds = std::move(kinds), kind_of](const RunConfig& config) {
            return std::find(kinds.begin(), kinds.end(), kind_of(config)) != kinds.end();
          }};
}

Condition for_toy(std::vector<ToyKind> kinds) {
  return kind_is<ToyKind>("data.toy", std::move(kinds), [](auto& c) { return c.data.toy; });
}
Condition for_schedule(std::vector<ScheduleKind> kinds) {
  return kind_is<ScheduleKind>("diffusion.schedule", std::move(kinds),
                               [](auto& c) { return c.diffusion.schedule; });
}
Condition for_network(std::vector<NetworkKind> kinds) {
  return kind_is<NetworkKind>("model.kind", std::move(kinds), [](auto& c) { return c.model.kind; });
}
Condition for_prediction(Prediction kind) {
  return kind_is<Prediction>("model.predicts", {kind}, [](auto& c) { return c.model.predicts; });
}
Condition for_objective(std::vector<ObjectiveKind> kinds) {
  return kind_is<ObjectiveKind>("loss.kind", std::move(kinds), [](auto& c) { return c.loss.kind; });
}
Condition for_sampler(std::vector<SamplerKind> kinds) {
  return kind_is<SamplerKind>("sample.sampler", std::move(kinds),
                              [](auto& c) { return c.sample.sampler; });
}
Condition for_toy_data() {
  return kind_is<DataKind>("data.kind", {DataKind::toy}, [](auto& c) { return c.data.kind; });
}
Condition for_stored_data() {
  return {"data.kind", "data.kind other than toy",
          [](const RunConfig& c) { return c.data.kind != DataKind::toy; }};
}
/// Images are read: as they are, or for their mean and covariance.
Condition for_data_from_files() {
  return {"data.toy", "data.kind other than toy, or data.toy = gaussian", [](const RunConfig& c) {
            return c.data.kind != DataKind::toy || c.data.toy == ToyKind::gaussian;
          }};
}

void declare_top_level(std::vector<Key>& table) {
  TopLevel top(table);
  top.key("seed", &RunConfig::seed, 0, range(0, kMaxSeed),
          "seed of every random number of the run");
  top.key("device", &RunConfig::device, "auto", anything(),
          "auto | cpu | cuda | cuda:N; auto takes the first GPU if there is one")
      .may_change();
  top.key("precision", &RunConfig::precision, Arithmetic::fp32, one_of({"fp32", "tf32", "bf16"}),
          "arithmetic in training; bf16 is for a UNet's body, weights and losses stay fp32")
      .may_change();
  top.key(
         "operations", &RunConfig::operations, Operations::fused, anything(),
         "fused = this project's implementations, with first and second derivatives of their own | "
         "plain = ATen's operations: slower, with derivatives of any order")
      .may_change();
  top.key("collectives", &RunConfig::collectives, Collectives::automatic, anything(),
          "how several processes add up gradients on GPUs: auto = by NCCL where every process can "
          "use it | gloo = through the memory of the host, also for several processes on one GPU")
      .may_change();
  top.key("own_cuda_kernels", &RunConfig::own_cuda_kernels, false, anything(),
          "use this project's own CUDA kernels where plain ATen operations would run otherwise")
      .may_change();
  top.key("cuda_graphs", &RunConfig::cuda_graphs, false, anything(),
          "replay training and sampling steps as CUDA graphs")
      .may_change();
}

void declare_data(std::vector<Key>& table) {
  Section<DataConfig> data(table, "data", &RunConfig::data);
  data.key("kind", &DataConfig::kind, DataKind::fashion_mnist, anything(),
           "format of the data; toy = drawn from a known density, see data.toy");
  data.key("path", &DataConfig::path, "", anything(),
           "directory or .npz file, relative to this file; empty = where the system installs it")
      .only(for_data_from_files())
      .may_change();
  data.key("test_path", &DataConfig::test_path, "", anything(),
           "where the test split is, when it is not found through data.path (npz, flat folders)")
      .only(for_stored_data())
      .may_change();
  data.key("image_size", &DataConfig::image_size, 0, range(0, 4096),
           "pixels a side; 0 = what the data has; image_folder resizes to it");
  data.key("channels", &DataConfig::channels, 0, range(0, 3),
           "1 = grey, 3 = RGB, 0 = what the data has");
  data.key("horizontal_flip", &DataConfig::horizontal_flip, true, anything(),
           "mirror half of the training images left to right");
  data.key("dequantize", &DataConfig::dequantize, Dequantization::none, anything(),
           "uniform = train on (u + U[0, 1)) / 128 - 1 in place of u / 127.5 - 1 for 8-bit values "
           "u, "
           "so that the density holds off the 8-bit lattice too")
      .only(for_stored_data());
  data.key("toy", &DataConfig::toy, ToyKind::uniform, anything(),
           "the density: U[-g/2, g/2]^d | mean and covariance of the images in data.path | two "
           "narrow Gaussians at -1/2 and 1/2 in every dimension")
      .only(for_toy_data());
  data.key("toy_width", &DataConfig::toy_width, 1.0, range(1e-6, 1e3),
           "g of toy = uniform; the standard deviation of toy = peaks")
      .only(for_toy_data())
      .only(for_toy({ToyKind::uniform, ToyKind::peaks}));
  data.key("toy_images", &DataConfig::toy_images, 50000, range(1, 1e8),
           "images drawn for training; the test split has a fifth as many")
      .only(for_toy_data());
}

void declare_diffusion(std::vector<Key>& table) {
  Section<DiffusionConfig> diffusion(table, "diffusion", &RunConfig::diffusion);
  diffusion.key(
      "schedule", &DiffusionConfig::schedule, ScheduleKind::linear, anything(),
      "how noise grows with the level: linear in beta | squared cosine | uniform in sigma "
      "| x_t = (1 - t/T) x_0 + t/T eps (OT)");
  diffusion.key("steps", &DiffusionConfig::steps, 1000, range(0, 100000),
                "T: the classifier tells levels 0..T+1 apart, 0..T with schedule = flow_matching");
  diffusion
      .key("beta_start", &DiffusionConfig::beta_start, 1e-4, range(0, 1),
           "beta of level 1, above 0")
      .only(for_schedule({ScheduleKind::linear}));
  diffusion
      .key("beta_end", &DiffusionConfig::beta_end, 0.02, range(0, 1), "beta of level T, below 1")
      .only(for_schedule({ScheduleKind::linear}));
}

void declare_model(std::vector<Key>& table) {
  Section<ModelConfig> model(table, "model", &RunConfig::model);
  model.key("kind", &ModelConfig::kind, NetworkKind::unet, anything(),
            "unet for images, mlp for studies in few dimensions");
  model.key("predicts", &ModelConfig::predicts, Prediction::logits, anything(),
            "logits = one per noise level, from which the density and the noise follow | noise = a "
            "plain denoiser with a time embedding, without a density (the baseline of the paper)");
  model.key("channels", &ModelConfig::channels, 128, range(1, 65536),
            "width at full resolution; the hidden width of an mlp");
  model
      .key("channel_mult", &ModelConfig::channel_mult, {1, 2, 2, 2}, non_empty_list(1, 1024),
           "width of each resolution as a multiple of model.channels")
      .only(for_network({NetworkKind::unet}));
  model.key("res_blocks", &ModelConfig::res_blocks, 2, range(1, 64),
            "residual blocks per resolution; the hidden layers of an mlp");
  model
      .key("attention_resolutions", &ModelConfig::attention_resolutions, {16}, range(1, 4096),
           "image sizes at which attention follows each block")
      .only(for_network({NetworkKind::unet}));
  model.key("dropout", &ModelConfig::dropout, 0.1, range(0, 0.999), "in residual blocks")
      .only(for_network({NetworkKind::unet}));
  model
      .key("head_channels", &ModelConfig::head_channels, 0, range(0, 65536),
           "features that are pooled before the last layer; 0 = twice the width of the finest "
           "resolution (the paper: 512 for CIFAR-10, 1024 for CelebA)")
      .only(for_network({NetworkKind::unet}))
      .only(for_prediction(Prediction::logits));
  model
      .key("fourier_features", &ModelConfig::fourier_features, 0, range(0, 16),
           "n: the network sees sin(2^k pi x) and cos(2^k pi x), k = 0..n-1, beside each pixel x, "
           "so that it learns densities with edges; 0 = none")
      .only(for_network({NetworkKind::mlp}));
  model.key("num_classes", &ModelConfig::num_classes, 0, range(0, 1000000),
            "classes of the data for a class-conditional model (a null class is added); 0 = none");
}

void declare_loss(std::vector<Key>& table) {
  Section<LossConfig> loss(table, "loss", &RunConfig::loss);
  loss.key("kind", &LossConfig::kind, ObjectiveKind::cdm, anything(),
           "cdm = cross entropy of all levels + denoising error | nce = cross entropy of data "
           "against noise | tre = logistic losses of neighbouring levels | denoising = denoising "
           "error alone, of a network that predicts noise");
  loss.key("ce_weight", &LossConfig::ce_weight, 0.001, range(0, 1e6),
           "of the cross entropy, or of what stands in its place for nce and tre")
      .only(for_objective({ObjectiveKind::cdm, ObjectiveKind::nce, ObjectiveKind::tre}));
  loss.key("mse_weight", &LossConfig::mse_weight, 1.0, range(0, 1e6),
           "of the denoising error; 0 with cdm leaves out the double backpropagation")
      .only(for_objective({ObjectiveKind::cdm, ObjectiveKind::denoising}));
  loss.key(
      "label_dropout", &LossConfig::label_dropout, 0.1, range(0, 1),
      "of a class-conditional model: probability that a training label is replaced by the null "
      "class");
}

void declare_train(std::vector<Key>& table) {
  Section<TrainConfig> train(table, "train", &RunConfig::train);
  train.key("iterations", &TrainConfig::iterations, 500000, range(0, kMaxSteps), "steps in all")
      .may_change();
  train.key("batch_size", &TrainConfig::batch_size, 128, range(1, 1 << 20), "images a step");
  train
      .key("micro_batch_size", &TrainConfig::micro_batch_size, 0, range(0, 1 << 20),
           "images at a time (on each thread of a CPU) within a step, to bound its memory: the "
           "gradient is that of the whole batch; 0 = all")
      .may_change();
  train
      .key("learning_rate", &TrainConfig::learning_rate, 2e-4, range(0, 10),
           "of Adam, after warm-up")
      .may_change();
  train.key("warmup", &TrainConfig::warmup, 5000, range(0, kMaxSteps),
            "steps over which the learning rate rises linearly");
  train
      .key("decay_every", &TrainConfig::decay_every, 200000, range(0, kMaxSteps),
           "steps between decays of the learning rate; 0 = never")
      .may_change();
  train.key("decay_factor", &TrainConfig::decay_factor, 0.1, range(0, 1), "of each decay")
      .may_change();
  train.key("adam_beta1", &TrainConfig::adam_beta1, 0.9, range(0, 0.999999999), "of Adam");
  train.key("adam_beta2", &TrainConfig::adam_beta2, 0.999, range(0, 0.999999999), "of Adam");
  train.key("adam_eps", &TrainConfig::adam_eps, 1e-8, range(0, 1), "of Adam");
  train
      .key("clip_grad_norm", &TrainConfig::clip_grad_norm, 0.0, at_least(0),
           "largest norm of the gradient; 0 = no clipping")
      .may_change();
  train.key("ema_decay", &TrainConfig::ema_decay, 0.9999, range(0, 1),
            "of the weights' moving average");
  train.key("ema_start", &TrainConfig::ema_start, 5000, range(0, kMaxSteps),
            "step from which the average differs from the weights");
  train.key("ema_warmup", &TrainConfig::ema_warmup, true, anything(),
            "begin averaging with decay (1 + n) / (10 + n), n steps after ema_start");
  train
      .key("log_every", &TrainConfig::log_every, 100, range(0, kMaxSteps),
           "steps between metrics; 0 = never, here and for every *_every key")
      .may_change();
  train
      .key("checkpoint_every", &TrainConfig::checkpoint_every, 5000, range(0, kMaxSteps),
           "steps between checkpoints; one is always written at the end")
      .may_change();
  train
      .key("checkpoint_minutes", &TrainConfig::checkpoint_minutes, 0.0, at_least(0),
           "minutes after which one is written whatever the step; 0 = steps alone count")
      .may_change();
  train
      .key("keep_checkpoints", &TrainConfig::keep_checkpoints, 3, range(0, 1e6),
           "newest checkpoints that are kept; 0 = all")
      .may_change();
  train
      .key("sample_every", &TrainConfig::sample_every, 5000, range(0, kMaxSteps),
           "steps between sample grids")
      .may_change();
  train.key("sample_count", &TrainConfig::sample_count, 64, range(1, 4096), "images in a grid")
      .may_change();
  train
      .key("nll_every", &TrainConfig::nll_every, 5000, range(0, kMaxSteps),
           "steps between scores of the test split")
      .only(for_prediction(Prediction::logits))
      .may_change();
  train
      .key("nll_images", &TrainConfig::nll_images, 1000, range(0, 1e9),
           "test images scored in the loop; 0 = all")
      .only(for_prediction(Prediction::logits))
      .may_change();
  train
      .key("max_minutes", &TrainConfig::max_minutes, 0.0, at_least(0),
           "end training after this long, as if it were finished; 0 = no limit")
      .may_change();
  train
      .key(
          "skip_bad_steps", &TrainConfig::skip_bad_steps, 0, range(0, kMaxSteps),
          "steps of a run that are left out where loss or gradient is not finite; one more ends it")
      .may_change();
}

void declare_sample(std::vector<Key>& table) {
  Section<SampleConfig> sample(table, "sample", &RunConfig::sample);
  sample
      .key("sampler", &SampleConfig::sampler, SamplerKind::ddim, anything(), "how images are drawn")
      .may_change();
  sample.key("eta", &SampleConfig::eta, 0.0, range(0, 1), "0 = no noise, 1 = as much as ddpm adds")
      .only(for_sampler({SamplerKind::ddim}))
      .may_change();
  sample
      .key("steps", &SampleConfig::steps, 50, range(1, 100000),
           "steps per image, at most diffusion.steps; one network evaluation each, of heun two")
      .may_change();
  sample
      .key("spacing", &SampleConfig::spacing, Spacing::leading, anything(),
           "levels visited: 1, 1+k, ... | T, T-k, ... | evenly from 1 to T")
      .may_change();
  sample
      .key("guidance", &SampleConfig::guidance, 0.0, range(0, 1000),
           "of a class-conditional model: w of classifier-free guidance: (1 + w) conditional - w "
           "unconditional")
      .may_change();
}

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

std::string Key::full_name() const { return section.empty() ? name : concat(section, ".", name); }

bool Key::applies_to(const RunConfig& config) const {
  return std::all_of(conditions.begin(), conditions.end(),
                     [&](const Condition& condition) { return condition.holds(config); });
}

std::string Key::only_for() const {
  std::vector<std::string> words;
  for (const Condition& condition : conditions) words.push_back(condition.words);
  return join(words, " and ");
}

}  // namespace cdm
