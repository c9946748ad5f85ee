// SPDX-License-Identifier: MIT
// The one declaration of every configuration key: name, field, default, legal values and help.
// only() says which kinds a key applies to when it is not all of them; may_change() says that a
// resumed run may have another value; may_set_afterwards() says that programs which load a trained
// model read the key and may be told another value.
#include "config/keys.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <utility>

#include "cdm/config/seed.h"
#include "config/conditions.h"
#include "config/paths.h"
#include "config/section.h"

namespace cdm {
namespace {

constexpr double kMaxSteps = 1e12;

Legal range(double low, double high) { return {.low = low, .high = high}; }
Legal at_least(double low) { return {.low = low}; }
Legal anything() { return {}; }
Legal one_of(std::vector<std::string> choices) { return {.choices = std::move(choices)}; }

/// Whether a mirrored image of such data is as likely as the image itself.
bool may_be_mirrored(DataKind kind) {
  switch (kind) {
    case DataKind::mnist:  // a mirrored digit is no digit
    case DataKind::emnist:
    case DataKind::toy:  // the density is a given one
      return false;
    case DataKind::fashion_mnist:
    case DataKind::cifar10:
    case DataKind::cifar100:
    case DataKind::celeba:
    case DataKind::npz:
    case DataKind::image_folder:
    case DataKind::image_archive:
      break;
  }
  return true;
}

/// How a path is written, so that reading it gives the same path.
std::function<std::string(const RunConfig&)> path_text(std::string DataConfig::*path) {
  return [path](const RunConfig& config) { return to_text(escape_path(config.data.*path)); };
}

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

void declare_data(std::vector<Key>& table) {
  Section<DataConfig> data(table, "data", &RunConfig::data);
  data.key("kind", &DataConfig::kind, DataKind::fashion_mnist, anything(),
           "format of the data set; toy = data drawn from a known density, see data.toy")
      .may_set_afterwards();
  data.key("path", &DataConfig::path, "", anything(),
           "directory or file (npz, image_archive); relative paths start at the folder of the "
           "configuration file; empty = where the system installs the data set")
      .only(for_data_from_files())
      .may_change()
      .may_set_afterwards()
      .text = path_text(&DataConfig::path);
  data.key("test_path", &DataConfig::test_path, "", anything(),
           "directory or file of the test split, where it cannot be found through data.path (npz, "
           "image_archive; an image folder without train/ and test/ needs none: a tenth of its "
           "pictures is held out)")
      .only(for_stored_data())
      .may_change()
      .may_set_afterwards()
      .text = path_text(&DataConfig::test_path);
  data.key("image_size", &DataConfig::image_size, 0, range(0, 4096),
           "width and height of the images in pixels; 0 = as in the data set (celeba: 64); images "
           "of image_folder, image_archive and celeba are resized to it");
  data.key("channels", &DataConfig::channels, 0, range(0, 3),
           "1 = grey, 3 = RGB, 0 = as in the data set");
  data.key("skip_unreadable", &DataConfig::skip_unreadable, 0, range(0, 1e8),
           "at most so many pictures of each split are left out, with a warning, if they are "
           "damaged or cannot be read; more are an error")
      .only(for_data_of_pictures())
      .may_change()
      .may_set_afterwards();
  data.key("augment", &DataConfig::augment, 0.0, range(0, 0.5),
           "p: mirror, turn by quarters and move (see data.shift) training images, each with "
           "probability p, and tell the network how; samples and scores are those of images that "
           "were not changed; 0 = not")
      .only(for_stored_data());
  data.key("shift", &DataConfig::shift, 0, range(0, 4096),
           "move training images by up to so many pixels in each direction, and repeat the border; "
           "with data.augment, only with its probability, and the network is told")
      .only(for_stored_data());
  data.key("horizontal_flip", &DataConfig::horizontal_flip, true, anything(),
           "mirror each training image left to right with probability 1/2")
      .default_from("false for mnist, emnist and toy, and with data.augment, else true",
                    [](RunConfig& config) {
                      config.data.horizontal_flip =
                          may_be_mirrored(config.data.kind) && config.data.augment == 0.0;
                    });
  data.key("dequantize", &DataConfig::dequantize, Dequantization::none, anything(),
           "how 8-bit values u are scaled for training: none = u / 127.5 - 1 | uniform = "
           "(u + U[0, 1)) / 128 - 1, so that the density is learned between the 8-bit values too")
      .only(for_stored_data());
  data.key("toy", &DataConfig::toy, ToyKind::uniform, anything(),
           "the known density: uniform = U[-g/2, g/2]^d | gaussian = with the mean and covariance "
           "of the images in data.path | peaks = two narrow Gaussians, at -1/2 and at 1/2 in every "
           "dimension")
      .only(for_toy_data());
  data.key("toy_width", &DataConfig::toy_width, 1.0, range(1e-6, 1e3),
           "uniform: the width g; peaks: the standard deviation of each Gaussian")
      .only(for_toy_data())
      .only(for_toy({ToyKind::uniform, ToyKind::peaks}));
  data.key("toy_images", &DataConfig::toy_images, 50000, range(1, 1e8),
           "number of training images drawn; the test split has a fifth as many")
      .only(for_toy_data());
}

void declare_diffusion(std::vector<Key>& table) {
  Section<DiffusionConfig> diffusion(table, "diffusion", &RunConfig::diffusion);
  diffusion.key(
      "schedule", &DiffusionConfig::schedule, ScheduleKind::linear, anything(),
      "how noise grows with the level t: linear = beta grows linearly | cosine = abar is a squared "
      "cosine | uniform = sigma grows linearly | log_snr = log(signal^2 / sigma^2) falls linearly "
      "| "
      "flow_matching = x_t = (1 - t/T) x_0 + t/T eps");
  diffusion.key("steps", &DiffusionConfig::steps, 1000, range(0, 100000),
                "T: the noise levels are 0..T+1, or 0..T for schedule = flow_matching");
  diffusion
      .key("beta_start", &DiffusionConfig::beta_start, 1e-4, range(0, 1),
           "beta of level 1, above 0")
      .only(for_schedule({ScheduleKind::linear}));
  diffusion
      .key("beta_end", &DiffusionConfig::beta_end, 0.02, range(0, 1), "beta of level T, below 1")
      .only(for_schedule({ScheduleKind::linear}));
  diffusion
      .key("log_snr_max", &DiffusionConfig::log_snr_max, 16.0, range(-20, 30),
           "log(signal^2 / sigma^2) of level 1; at 16, its noise is seven times finer than the "
           "grain of 8-bit pixels")
      .only(for_schedule({ScheduleKind::log_snr}));
  diffusion
      .key("log_snr_min", &DiffusionConfig::log_snr_min, -8.0, range(-20, 30),
           "log(signal^2 / sigma^2) of level T; at -8, images of a few thousand values differ from "
           "pure noise by a fraction of a nat")
      .only(for_schedule({ScheduleKind::log_snr}));
}

void declare_model(std::vector<Key>& table) {
  Section<ModelConfig> model(table, "model", &RunConfig::model);
  model.key("kind", &ModelConfig::kind, NetworkKind::unet, anything(),
            "unet for images, mlp for studies in few dimensions");
  model.key("predicts", &ModelConfig::predicts, Prediction::logits, anything(),
            "logits = one per noise level, which give the density and the denoiser | noise = a "
            "plain denoiser with a time embedding and without a density (the paper's baseline)");
  model.key("channels", &ModelConfig::channels, 128, range(1, 65536),
            "unet: width at full resolution; mlp: width of the hidden layers");
  model
      .key("channel_mult", &ModelConfig::channel_mult, {}, range(1, 1024),
           "width of each resolution as a multiple of model.channels; [] = 1, and 2 for each time "
           "that the images can be halved, three times at most ([1, 2, 2, 2] for 32 or 64 pixels, "
           "[1, 2, 2] for 28)")
      .only(for_network({NetworkKind::unet}));
  model.key("res_blocks", &ModelConfig::res_blocks, 2, range(1, 64),
            "unet: residual blocks per resolution; mlp: number of hidden layers");
  model
      .key("attention_resolutions", &ModelConfig::attention_resolutions, {16}, range(1, 4096),
           "image sizes in pixels at which attention follows each residual block")
      .only(for_network({NetworkKind::unet}));
  model
      .key("dropout", &ModelConfig::dropout, 0.1, range(0, 0.999),
           "probability that an element in a residual block is set to zero in training")
      .only(for_network({NetworkKind::unet}));
  model
      .key("head_channels", &ModelConfig::head_channels, 0, range(0, 65536),
           "number of features that are pooled before the last layer; 0 = twice the width of the "
           "finest resolution (in the paper: 512 for CIFAR-10, 1024 for CelebA)")
      .only(for_network({NetworkKind::unet}))
      .only(for_prediction(Prediction::logits));
  model
      .key("head", &ModelConfig::head, HeadKind::pooled, anything(),
           "what the last layer sees: pooled = the means of a convolution over the pixels | "
           "pooled_inner = also the means of the products of a convolution and the image, whose "
           "gradient contains the convolution itself")
      .only(for_network({NetworkKind::unet}))
      .only(for_prediction(Prediction::logits));
  model
      .key("inner_features", &ModelConfig::inner_features, 32, range(1, 65536),
           "number of inner products of convolution and image")
      .only(for_network({NetworkKind::unet}))
      .only(for_prediction(Prediction::logits))
      .only(for_head({HeadKind::pooled_inner}));
  model
      .key(
          "anchor", &ModelConfig::anchor, AnchorKind::none, anything(),
          "a density in closed form whose log-density at every noise level is added to the logits, "
          "so that the network learns only what it lacks; gaussian = a Gaussian with the mean and "
          "covariance of the training images")
      .only(for_prediction(Prediction::logits));
  model
      .key("fourier_features", &ModelConfig::fourier_features, 0, range(0, 16),
           "n: sin(2^k pi x) and cos(2^k pi x), k = 0..n-1, of each pixel x are added to the input "
           "of the network, which helps it to learn densities with sharp edges; 0 = none")
      .only(for_network({NetworkKind::mlp}));
  model.key("num_classes", &ModelConfig::num_classes, 0, range(0, 1000000),
            "number of classes of a class-conditional model (a null class is added); 0 = "
            "unconditional");
  model
      .key("class_names", &ModelConfig::class_names, {}, anything(),
           "names of the classes, in the order of their numbers 0, 1, ...; data sets that name "
           "their classes must have these; empty = in the order of the training data, if they name "
           "their classes; cdm-train writes them")
      .only(for_classes());
  model
      .key("untrained_classes", &ModelConfig::untrained_classes, {}, range(0, 1000000),
           "numbers of classes without training images, which samples and scores should not be "
           "asked for; cdm-train finds and writes them")
      .only(for_classes());
}

void declare_loss(std::vector<Key>& table) {
  Section<LossConfig> loss(table, "loss", &RunConfig::loss);
  loss.key(
      "kind", &LossConfig::kind, ObjectiveKind::cdm, anything(),
      "cdm = cross entropy of the noise level + denoising error | nce = cross entropy of data "
      "against pure noise | tre = logistic losses between neighbouring levels | subset = as "
      "cdm, the cross entropy over some levels only, drawn for each row | pairs = loss of pairs "
      "of levels at many distances + denoising error | time_score = as cdm, and the error of "
      "the density's change from level to level | denoising = denoising error alone, of a "
      "network that predicts noise");
  const std::vector<ObjectiveKind> logits = {ObjectiveKind::cdm, ObjectiveKind::subset,
                                             ObjectiveKind::pairs, ObjectiveKind::time_score};
  const auto with = [](std::vector<ObjectiveKind> kinds, std::vector<ObjectiveKind> more) {
    kinds.insert(kinds.end(), more.begin(), more.end());
    return for_objective(std::move(kinds));
  };
  loss.key("ce_weight", &LossConfig::ce_weight, 0.001, range(0, 1e6),
           "weight of the cross entropy (tre and pairs: of the losses of pairs of levels)")
      .only(with(logits, {ObjectiveKind::nce, ObjectiveKind::tre}));
  loss.key("mse_weight", &LossConfig::mse_weight, 1.0, range(0, 1e6),
           "weight of the denoising error; of a classifier, 0 saves the double backpropagation")
      .only(with(logits, {ObjectiveKind::denoising}));
  loss.key("mse_share", &LossConfig::mse_share, 1.0, range(1e-6, 1),
           "share q of the rows of a batch that get the denoising error, whose weight in the loss "
           "stays the same; a step costs 3 + 3q forward passes; q times train.batch_size must be a "
           "whole number")
      .only(for_objective(logits));
  loss.key("level_sampling", &LossConfig::level_sampling, LevelSampling::independent, anything(),
           "how the rows of a batch draw their noise levels: independent = each for itself | "
           "stratified = spread evenly over the batch, which makes the gradient less noisy");
  loss.key("level_density", &LossConfig::level_density, LevelDensity::uniform, anything(),
           "how often each noise level is drawn: uniform = equally often | log_snr = in proportion "
           "to its part of the range of log(signal^2 / sigma^2), as in the bound on the "
           "log-likelihood")
      .only(with(logits, {ObjectiveKind::denoising}));
  loss.key("mse_weighting", &LossConfig::mse_weighting, MseWeighting::flat, anything(),
           "what the denoising error of a level weighs: flat = 1 | likelihood = as in the bound on "
           "the log-likelihood, with mean 1 | min_snr = min(SNR, loss.min_snr_gamma) / SNR, SNR = "
           "signal^2 / sigma^2")
      .only(with(logits, {ObjectiveKind::denoising}));
  loss.key("min_snr_gamma", &LossConfig::min_snr_gamma, 5.0, range(1e-6, 1e9),
           "the SNR above which the weight of the denoising error falls")
      .only(with(logits, {ObjectiveKind::denoising}))
      .only(for_mse_weighting(MseWeighting::min_snr));
  loss.key("subset_levels", &LossConfig::subset_levels, 4, range(2, 100002),
           "number of levels of the cross entropy: that of the row and others, drawn for each row")
      .only(for_objective({ObjectiveKind::subset}));
  loss.key("pair_distance", &LossConfig::pair_distance, PairDistance::log_uniform, anything(),
           "how far apart the levels of a pair are: log_uniform = n levels with a weight 1 / n, so "
           "that all orders of magnitude are equally frequent | uniform = any distance equally "
           "often")
      .only(for_objective({ObjectiveKind::pairs}));
  loss.key("pair_loss", &LossConfig::pair_loss, PairLoss::logistic, anything(),
           "loss of a pair, with the log-ratio a of the less noisy level to the other: logistic = "
           "log(1 + exp(-a)) for its images, log(1 + exp(a)) for the other's | kl = -a, and exp(a)")
      .only(for_objective({ObjectiveKind::pairs}));
  loss.key("time_score_weight", &LossConfig::time_score_weight, 0.001, range(0, 1e6),
           "weight of the error of the density's change from level to level")
      .only(for_objective({ObjectiveKind::time_score}));
  loss.key("time_score_from", &LossConfig::time_score_from, 10, range(2, 100000),
           "the first level with that error; levels near the data differ too much from one another")
      .only(for_objective({ObjectiveKind::time_score}));
  loss.key("draws_per_image", &LossConfig::draws_per_image, 1, range(1, 1 << 20),
           "rows of a batch that share an image, each with a level and noise of its own: a step "
           "takes train.batch_size / draws_per_image images");
  loss.key(
      "label_dropout", &LossConfig::label_dropout, 0.1, range(0, 1),
      "class-conditional models: probability that a training label is replaced by the null class");
}

void declare_train(std::vector<Key>& table) {
  Section<TrainConfig> train(table, "train", &RunConfig::train);
  train
      .key("iterations", &TrainConfig::iterations, 500000, range(0, kMaxSteps),
           "number of training steps of the whole run")
      .may_change();
  train.key("batch_size", &TrainConfig::batch_size, 128, range(1, 1 << 20),
            "images per step, over all processes");
  train
      .key("micro_batch_size", &TrainConfig::micro_batch_size, 0, range(0, 1 << 20),
           "images computed at a time within a step (on a CPU: by each thread); a smaller number "
           "needs less memory and gives the same gradient; 0 = all")
      .may_change();
  train.key("optimizer", &TrainConfig::optimizer, OptimizerKind::adam, anything(),
            "adam = Adam, or AdamW with train.weight_decay | muon = Muon for matrices and "
            "convolution kernels of hidden layers, Adam for the rest");
  train
      .key("learning_rate", &TrainConfig::learning_rate, 2e-4, range(0, 10),
           "learning rate after warm-up, before decay")
      .may_change();
  train.key("warmup", &TrainConfig::warmup, 5000, range(0, kMaxSteps),
            "steps over which the learning rate rises linearly to its full value; 0 = no warm-up");
  train
      .key("learning_rate_schedule", &TrainConfig::learning_rate_schedule,
           LearningRateSchedule::steps, anything(),
           "how the learning rate falls: steps = by train.decay_factor every train.decay_every "
           "steps | cosine = by half a cosine from the start to the end of the run | warmdown = "
           "not until train.warmdown of the run is left, then linearly; the run ends at "
           "train.iterations or train.max_minutes, whichever comes first")
      .may_change();
  train
      .key("decay_every", &TrainConfig::decay_every, 200000, range(0, kMaxSteps),
           "steps between decays of the learning rate; 0 = never")
      .only(for_learning_rate({LearningRateSchedule::steps}))
      .may_change();
  train
      .key("decay_factor", &TrainConfig::decay_factor, 0.1, range(0, 1),
           "factor by which each decay multiplies the learning rate")
      .only(for_learning_rate({LearningRateSchedule::steps}))
      .may_change();
  train
      .key("final_learning_rate_factor", &TrainConfig::final_learning_rate_factor, 0.0, range(0, 1),
           "learning rate at the end of the run, as a multiple of train.learning_rate")
      .only(for_learning_rate({LearningRateSchedule::cosine, LearningRateSchedule::warmdown}))
      .may_change();
  train
      .key("warmdown", &TrainConfig::warmdown, 0.4, range(0, 1),
           "share of the run, at its end, in which the learning rate falls; 0 = it does not fall")
      .only(for_learning_rate({LearningRateSchedule::warmdown}))
      .may_change();
  train.key("adam_beta1", &TrainConfig::adam_beta1, 0.9, range(0, 0.999999999),
            "Adam: decay of the average of gradients");
  train.key("adam_beta2", &TrainConfig::adam_beta2, 0.999, range(0, 0.999999999),
            "Adam: decay of the average of squared gradients");
  train.key("adam_eps", &TrainConfig::adam_eps, 1e-8, range(0, 1),
            "Adam: constant added to the denominator");
  train
      .key("muon_momentum", &TrainConfig::muon_momentum, 0.95, range(0, 0.999999999),
           "Muon: decay of the average of gradients")
      .only(for_optimizer(OptimizerKind::muon));
  train
      .key("weight_decay", &TrainConfig::weight_decay, 0.0, range(0, 1000),
           "decoupled weight decay (AdamW): each update also takes this share, times the learning "
           "rate, off the weights of matrices and convolution kernels; not off biases, "
           "normalisations and class embeddings; 0 = none")
      .may_change();
  train
      .key("clip_grad_norm", &TrainConfig::clip_grad_norm, 0.0, at_least(0),
           "largest norm of the whole gradient, which is scaled down to it; 0 = no clipping")
      .may_change();
  static_assert(kMostAverages == 4, "the helps below say how many averages there may be");
  train.key("ema_kind", &TrainConfig::ema_kind, AverageKind::exponential, anything(),
            "moving averages of the weights: exponential = with a fixed memory of 1 / (1 - decay) "
            "steps | power = with a memory that is a fixed share of the steps so far, of which "
            "cdm-convert can make averages of any width afterwards; samples and scores use the "
            "first average");
  train
      .key("ema_decay", &TrainConfig::ema_decay, 0.9999, range(0, 1),
           "decay per step of the first exponential moving average of the weights")
      .only(for_averages(AverageKind::exponential));
  train
      .key("ema_more_decays", &TrainConfig::ema_more_decays, {}, range(0, 1),
           "decays of further averages, up to three: --weights ema2, ema3, ema4")
      .only(for_averages(AverageKind::exponential));
  train
      .key("ema_start", &TrainConfig::ema_start, 5000, range(0, kMaxSteps),
           "step at which averaging begins; until then the average equals the weights")
      .only(for_averages(AverageKind::exponential));
  train
      .key("ema_warmup", &TrainConfig::ema_warmup, true, anything(),
           "n steps after ema_start, average with decay (1 + n) / (10 + n) while that is smaller "
           "than ema_decay")
      .only(for_averages(AverageKind::exponential));
  train
      .key("ema_sigma_rel", &TrainConfig::ema_sigma_rel, {0.1, 0.05}, range(0.001, 0.28),
           "widths of the averages, one to four of them: the standard deviation of the times that "
           "an average covers, as a share of the time so far; the first is --weights ema, the "
           "others are ema2, ema3, ema4")
      .only(for_averages(AverageKind::power));
  train
      .key("average_every", &TrainConfig::average_every, 0, range(0, kMaxSteps),
           "steps between copies of the averages in the folder averages of the run, all of which "
           "are kept, for averages of other widths; some 50 in a run are enough")
      .only(for_averages(AverageKind::power))
      .may_change();
  train
      .key("log_every", &TrainConfig::log_every, 100, range(0, kMaxSteps),
           "steps between lines of metrics; for this and every *_every key, 0 = never")
      .may_change();
  train
      .key("checkpoint_every", &TrainConfig::checkpoint_every, 5000, range(0, kMaxSteps),
           "steps between checkpoints; one is always written when training stops")
      .may_change();
  train
      .key("checkpoint_minutes", &TrainConfig::checkpoint_minutes, 0.0, at_least(0),
           "also write a checkpoint when the last one is this many minutes old; 0 = only by "
           "checkpoint_every")
      .may_change();
  train
      .key("keep_checkpoints", &TrainConfig::keep_checkpoints, 3, range(0, 1e6),
           "number of newest checkpoints that are kept; 0 = all")
      .may_change();
  train
      .key("sample_every", &TrainConfig::sample_every, 5000, range(0, kMaxSteps),
           "steps between grids of sampled images")
      .may_change();
  train
      .key("sample_count", &TrainConfig::sample_count, 64, range(1, 4096),
           "images in a grid of samples")
      .may_change();
  train
      .key("nll_every", &TrainConfig::nll_every, 5000, range(0, kMaxSteps),
           "steps between scorings of test images (likelihood)")
      .only(for_prediction(Prediction::logits))
      .may_change();
  train
      .key("nll_images", &TrainConfig::nll_images, 1000, range(0, 1e9),
           "number of test images scored each time, spread over the test split; 0 = all")
      .only(for_prediction(Prediction::logits))
      .may_change();
  train
      .key("max_minutes", &TrainConfig::max_minutes, 0.0, at_least(0),
           "longest training time of the run in minutes, over all its restarts; then training ends "
           "as if it were finished; 0 = no limit")
      .may_change();
  train
      .key("skip_bad_steps", &TrainConfig::skip_bad_steps, 0, range(0, kMaxSteps),
           "most steps of a run that may be skipped because the loss or the gradient is NaN or "
           "infinite; one more ends the run with an error")
      .may_change();
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
                     [&](const Condition& condition) { return condition.holds(config); });
}

std::string Key::only_for() const {
  std::vector<std::string> words;
  for (const Condition& condition : conditions) words.push_back(condition.words);
  return join(words, " and ");
}

}  // namespace cdm
