// SPDX-License-Identifier: MIT
// The configuration of a run: one struct per section, filled from YAML and --set.
//
// Every key is declared once, in src/config/keys.cpp: default, legal range, help, the kinds that it
// is for, and whether it may change when a run goes on. Reading, checks, --help-config, the page in
// docs/ and a run's config.yaml come from there. A new RunConfig holds the declared defaults.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "cdm/config/kinds.h"

namespace cdm {

struct DataConfig {
  DataKind kind = {};
  std::string path;       // directory, or .npz file; absolute once loaded; "" = the usual place
  std::string test_path;  // where the test split is, when it is not found through `path`
  std::int64_t image_size = 0;  // pixels a side; 0 = what the data has
  std::int64_t channels = 0;    // 0 = what the data has
  bool horizontal_flip = false;
  Dequantization dequantize = {};  // of training images
  ToyKind toy = {};
  double toy_width = 0.0;       // g of U[-g/2, g/2]^d; the standard deviation of each peak
  std::int64_t toy_images = 0;  // drawn for training
};

struct DiffusionConfig {
  ScheduleKind schedule = {};
  std::int64_t steps = 0;   // T: levels are 0..T+1, or 0..T for flow_matching
  double beta_start = 0.0;  // beta_1
  double beta_end = 0.0;    // beta_T
};

struct ModelConfig {
  NetworkKind kind = {};
  Prediction predicts = {};
  std::int64_t channels = 0;               // unet: width at full resolution; mlp: hidden width
  std::vector<std::int64_t> channel_mult;  // unet: one factor per resolution
  std::int64_t res_blocks = 0;             // unet: residual blocks per resolution; mlp: layers
  std::vector<std::int64_t> attention_resolutions;  // unet: image sizes that get attention
  double dropout = 0.0;
  std::int64_t head_channels = 0;  // unet: features pooled for the head; 0 = 2 x the finest width
  std::int64_t fourier_features = 0;  // mlp: octaves of them beside the pixels; 0 = none
  std::int64_t num_classes = 0;       // classes of the data; 0 = unconditional
};

struct LossConfig {
  ObjectiveKind kind = {};
  double ce_weight = 0.0;
  double mse_weight = 0.0;
  double label_dropout = 0.0;  // probability of the null class in training
};

struct TrainConfig {
  std::int64_t iterations = 0;
  std::int64_t batch_size = 0;
  std::int64_t micro_batch_size = 0;  // images at a time within a step; 0 = all
  double learning_rate = 0.0;
  std::int64_t warmup = 0;       // steps of linear warm-up
  std::int64_t decay_every = 0;  // steps between decays; 0 = never
  double decay_factor = 0.0;
  double adam_beta1 = 0.0;
  double adam_beta2 = 0.0;
  double adam_eps = 0.0;
  double clip_grad_norm = 0.0;  // 0 = no clipping
  double ema_decay = 0.0;
  std::int64_t ema_start = 0;  // the EMA copies the weights until this step
  bool ema_warmup = false;     // decay min(ema_decay, (1 + n) / (10 + n)), n steps after the start
  std::int64_t log_every = 0;  // every *_every key: steps; 0 = never
  std::int64_t checkpoint_every = 0;
  double checkpoint_minutes = 0.0;    // 0 = steps alone count
  std::int64_t keep_checkpoints = 0;  // newest kept; 0 = all
  std::int64_t sample_every = 0;
  std::int64_t sample_count = 0;  // images in each grid
  std::int64_t nll_every = 0;
  std::int64_t nll_images = 0;      // test images scored in the loop; 0 = all
  double max_minutes = 0.0;         // end training after this long; 0 = no limit
  std::int64_t skip_bad_steps = 0;  // of a run, whose numbers are not finite, at most
};

struct SampleConfig {
  SamplerKind sampler = {};
  std::int64_t steps = 0;
  Spacing spacing = {};
  double eta = 0.0;       // of ddim: 0 = no noise, 1 = the noise of ddpm
  double guidance = 0.0;  // w of classifier-free guidance: (1 + w) cond - w uncond
};

struct RunConfig {
  RunConfig();  // the declared defaults

  std::int64_t seed = 0;
  std::string device;         // auto | cpu | cuda | cuda:N
  Arithmetic precision = {};  // never fp64, which only programs' --precision can ask for
  Operations operations = {};
  Collectives collectives = {};
  bool own_cuda_kernels = false;
  bool cuda_graphs = false;
  DataConfig data;
  DiffusionConfig diffusion;
  ModelConfig model;
  LossConfig loss;
  TrainConfig train;
  SampleConfig sample;
};

/// Reads `file`, then applies `overrides` ("section.key=value", later ones win), over the defaults.
/// Relative data paths in the file are made absolute against the file's folder, those in overrides
/// against the working directory. Throws UserError for a file that cannot be read, bad YAML, an
/// unknown or repeated key, a wrong type, a value out of range, or a key that is not for the kinds
/// chosen: keys of the file are judged by its own kinds, overrides by the final kinds. A key of the
/// file that is not for the final kinds takes its default.
RunConfig load_config(const std::filesystem::path& file,
                      const std::vector<std::string>& overrides = {});

/// Every key that is for the kinds of `config`, as YAML with one "section:" per section.
/// load_config of it gives `config` back.
std::string to_yaml(const RunConfig& config);

/// The same keys as "section.key" -> value as YAML text, for comparing two configurations.
std::map<std::string, std::string> flatten(const RunConfig& config);

/// What --help-config prints: each key with type, default, legal range and help.
std::string config_help();

/// docs/configuration.md, made from the same declarations.
std::string config_reference_markdown();

}  // namespace cdm
