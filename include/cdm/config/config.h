// SPDX-License-Identifier: MIT
// The configuration of a run: one struct per section, filled from YAML and --set.
//
// Every key is declared once, in src/config/keys*.cpp: default, legal range, help, the kinds that
// it applies to, and whether it may change when a run is resumed. Reading, checks, --help-config,
// docs/configuration.md and a run's config.yaml are made from these declarations. A
// default-constructed RunConfig holds the declared defaults; the other structs start at zero.
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
  std::string path;             // directory or file; absolute once loaded; "" = the usual place
  std::string test_path;        // the test split, where it cannot be found through `path`
  std::int64_t image_size = 0;  // width and height in pixels; 0 = as in the data set
  std::int64_t channels = 0;    // 1 = grey, 3 = RGB; 0 = as in the data set
  std::int64_t skip_unreadable = 0;  // most pictures of a split that may be left out
  double augment = 0.0;              // probability of changes that the network is told about
  std::int64_t shift = 0;            // most pixels by which training images are moved
  bool horizontal_flip = false;      // of training images
  Dequantization dequantize = {};    // of training images
  ToyKind toy = {};
  double toy_width = 0.0;       // uniform: g of U[-g/2, g/2]^d; peaks: their standard deviation
  std::int64_t toy_images = 0;  // number of training images drawn
  /// Where keys of this section were written, for messages: "data.path" -> "config.yaml:3", or
  /// "--set ...". Keys with their defaults are not in it.
  std::map<std::string, std::string> places;
};

struct DiffusionConfig {
  ScheduleKind schedule = {};
  std::int64_t steps = 0;    // T: levels are 0..T+1, or 0..T for flow_matching
  double beta_start = 0.0;   // linear: beta of level 1
  double beta_end = 0.0;     // linear: beta of level T
  double log_snr_max = 0.0;  // log_snr: log(signal^2 / sigma^2) of level 1
  double log_snr_min = 0.0;  // log_snr: that of level T
};

struct ModelConfig {
  NetworkKind kind = {};
  Prediction predicts = {};
  std::int64_t channels = 0;               // unet: width at full resolution; mlp: hidden width
  std::vector<std::int64_t> channel_mult;  // unet: one factor per resolution; empty = automatic
  std::int64_t res_blocks = 0;             // unet: residual blocks per resolution; mlp: layers
  std::vector<std::int64_t> attention_resolutions;  // unet: image sizes that get attention
  double dropout = 0.0;            // unet: probability that an element is set to zero
  std::int64_t head_channels = 0;  // unet: features pooled for the head; 0 = 2 x the finest width
  HeadKind head = {};
  std::int64_t inner_features = 0;  // head pooled_inner: number of inner products
  AnchorKind anchor = {};
  std::int64_t fourier_features = 0;     // mlp: frequencies of Fourier features per pixel; 0 = none
  std::int64_t num_classes = 0;          // classes in the data; 0 = unconditional
  std::vector<std::string> class_names;  // class i is named class_names[i]; empty = by number only
  std::vector<std::int64_t> untrained_classes;  // classes that had no training images
};

struct LossConfig {
  ObjectiveKind kind = {};
  double ce_weight = 0.0;   // of classifiers: weight of the classification term
  double mse_weight = 0.0;  // weight of the denoising error (not of nce and tre)
  double mse_share = 0.0;   // of classifiers: the share of the rows that are denoised
  LevelSampling level_sampling = {};
  LevelDensity level_density = {};
  MseWeighting mse_weighting = {};
  double min_snr_gamma =
      0.0;  // mse_weighting = min_snr: the signal-to-noise ratio that weighs full
  std::int64_t subset_levels = 0;    // subset: levels between which a row decides
  PairDistance pair_distance = {};   // pairs
  PairLoss pair_loss = {};           // pairs
  double time_score_weight = 0.0;    // time_score: weight of the squared error of the time score
  std::int64_t time_score_from = 0;  // time_score: the first level with that error
  std::int64_t draws_per_image = 0;  // rows of a batch that share an image
  double label_dropout = 0.0;        // probability that a training label becomes the null class
};

/// The most moving averages of the weights that a run keeps.
constexpr std::int64_t kMostAverages = 4;

struct TrainConfig {
  std::int64_t iterations = 0;        // number of steps of the whole run
  std::int64_t batch_size = 0;        // images per step, over all processes
  std::int64_t micro_batch_size = 0;  // images computed at a time within a step; 0 = all
  OptimizerKind optimizer = {};
  double learning_rate = 0.0;  // after warm-up, before decay
  std::int64_t warmup = 0;     // steps of linear warm-up
  LearningRateSchedule learning_rate_schedule = {};
  std::int64_t decay_every = 0;             // steps: between decays of the learning rate; 0 = never
  double decay_factor = 0.0;                // steps: each decay multiplies the learning rate by it
  double final_learning_rate_factor = 0.0;  // cosine, warmdown: factor at the end of the run
  double warmdown = 0.0;                    // warmdown: share of the run in which the rate falls
  double adam_beta1 = 0.0;
  double adam_beta2 = 0.0;
  double adam_eps = 0.0;
  double muon_momentum = 0.0;           // muon: decay of the average of gradients
  double weight_decay = 0.0;            // decoupled, of matrices and kernels; 0 = none
  double clip_grad_norm = 0.0;          // largest norm of the whole gradient; 0 = no clipping
  AverageKind ema_kind = {};            // of the weights' moving averages
  double ema_decay = 0.0;               // exponential: decay per step of the first average
  std::vector<double> ema_more_decays;  // exponential: those of further averages
  std::int64_t ema_start = 0;         // exponential: the averages equal the weights until this step
  bool ema_warmup = false;            // exponential: smaller decays at first, see ema_decay_at()
  std::vector<double> ema_sigma_rel;  // power: relative width of each average
  std::int64_t average_every = 0;     // power: steps between stored averages; 0 = never
  std::int64_t log_every = 0;         // every *_every key counts steps; 0 = never
  std::int64_t checkpoint_every = 0;
  double checkpoint_minutes = 0.0;    // also save after this long; 0 = only by checkpoint_every
  std::int64_t keep_checkpoints = 0;  // number of newest checkpoints kept; 0 = all
  std::int64_t sample_every = 0;
  std::int64_t sample_count = 0;  // images in each grid
  std::int64_t nll_every = 0;
  std::int64_t nll_images = 0;      // test images scored during training; 0 = all
  double max_minutes = 0.0;         // longest training time of the run; 0 = no limit
  std::int64_t skip_bad_steps = 0;  // most steps skipped in a run because of NaN or infinity
};

struct SampleConfig {
  SamplerKind sampler = {};
  std::int64_t steps = 0;  // per image
  Spacing spacing = {};
  double eta = 0.0;       // ddim: 0 = no noise is added, 1 = as much as ddpm adds
  double guidance = 0.0;  // w of classifier-free guidance: (1 + w) cond - w uncond
};

struct RunConfig {
  RunConfig();  // the declared defaults

  std::int64_t seed = 0;
  std::string device;         // auto | cpu | cuda | cuda:N
  Arithmetic precision = {};  // fp64 only if the option --precision has chosen it
  Operations operations = {};
  Collectives collectives = {};
  Feature own_cuda_kernels = {};
  Feature cuda_graphs = {};
  Autotuning cudnn_autotuning = {};
  DataConfig data;
  DiffusionConfig diffusion;
  ModelConfig model;
  LossConfig loss;
  TrainConfig train;
  SampleConfig sample;
};

/// What a configuration is read for.
enum class Stage {
  training,  // overrides may set any key
  /// The model is trained: overrides may set only keys that say how it computes, how it samples and
  /// where its data lie, such as device, sample.steps and data.path. The others say what it is.
  after_training,
};

/// Starts from the defaults, reads `file`, then applies `overrides` ("section.key=value"; the last
/// one for a key wins). Defaults that depend on other keys are settled. Data paths are expanded
/// (~, $NAME, ${NAME}) and made absolute: those in the file start at the file's folder, as it was
/// named or, if nothing is there, with links followed; those in overrides at the working directory.
///
/// The file is one YAML document. Numbers and truth values are read as people who know YAML 1.1
/// mean them (1e6, 1_000, 0x10, yes, off), merge keys (<<) are carried out, an empty section is
/// allowed, and null means the default where that is none (0, false, empty). Top-level entries
/// whose names begin with "x-" or "." are for anchors and are not read.
///
/// Throws UserError for a file that cannot be read, bad YAML, an unknown or repeated key, a wrong
/// type, a value out of range, values that contradict each other, a variable that is not set, or a
/// key that does not apply to the chosen kinds. Keys in the file must apply to the kinds that the
/// file chooses, overrides to the kinds that result in the end. When an override chooses another
/// kind, a key of the file that no longer applies gets its default. After training, overrides of
/// keys that say what was trained, or that only training reads, are errors too.
RunConfig load_config(const std::filesystem::path& file,
                      const std::vector<std::string>& overrides = {},
                      Stage stage = Stage::training);

/// Every key that applies to the kinds of `config`, as YAML with one "section:" per section.
/// load_config of that text gives `config` back.
std::string to_yaml(const RunConfig& config);

/// The same keys as a map from "section.key" to the value as YAML text.
std::map<std::string, std::string> flatten(const RunConfig& config);

/// The keys whose values differ from those in `before`, with the values of `after` as YAML text.
std::map<std::string, std::string> changed_keys(const RunConfig& before, const RunConfig& after);

/// What --help-config prints: each key with its default, help, legal values, and the kinds that it
/// applies to.
std::string config_help();

/// The text of docs/configuration.md, made from the same declarations.
std::string config_reference_markdown();

}  // namespace cdm
