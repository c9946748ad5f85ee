// SPDX-License-Identifier: MIT
// The one declaration of every configuration key: field, name, default, legal values, help.
// A visitor is called as visit(section, key, field, default, legal, help).
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "cdm/config/config.h"

namespace cdm {

/// Legal values of a key. Bounds are inclusive, and hold for each element of a list.
struct Legal {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices = {};  // of text; empty = any text
  bool may_be_empty = true;               // of lists
};

inline Legal range(double low, double high) { return {low, high}; }
inline Legal at_least(double low) { return {low}; }
inline Legal one_of(std::vector<std::string> choices) { return {.choices = std::move(choices)}; }
inline Legal anything() { return {}; }

template <class Visitor>
void visit_keys(RunConfig& c, Visitor&& visit) {
  using Integers = std::vector<std::int64_t>;
  using Text = std::string;
  const auto integer = [](std::int64_t value) { return value; };
  constexpr double kMaxSteps = 1e12;
  constexpr double kMaxSeed = 9007199254740991.0;  // 2^53 - 1: exact in every reader of the file

  visit("", "seed", c.seed, integer(0), range(0, kMaxSeed),
        "seed of every random number of the run");
  visit("", "device", c.device, Text("auto"), anything(),
        "auto | cpu | cuda | cuda:N; auto takes the first GPU if there is one");
  visit("", "precision", c.precision, Arithmetic::fp32, one_of({"fp32", "tf32", "bf16"}),
        "arithmetic in training; bf16 is for a UNet's body, weights and losses stay fp32");
  visit("", "operations", c.operations, Operations::fused, anything(),
        "fused = this project's implementations with derivatives of their own | plain = ATen's "
        "operations, slower and with derivatives of any order");
  visit("", "collectives", c.collectives, Collectives::automatic, anything(),
        "how processes add up gradients on GPUs: auto = NCCL where every process can use it | gloo "
        "= through the memory of the host, also for several processes on one GPU");
  visit("", "own_cuda_kernels", c.own_cuda_kernels, false, anything(),
        "use this project's CUDA kernels instead of plain ATen; they have not run on a GPU yet");
  visit("", "cuda_graphs", c.cuda_graphs, false, anything(),
        "replay training and sampling steps as CUDA graphs; has not run on a GPU yet");

  visit("data", "kind", c.data.kind, DataKind::fashion_mnist, anything(),
        "format of the data; toy = drawn from a known density, see data.toy");
  visit("data", "path", c.data.path, Text(), anything(),
        "directory or .npz file, relative to this file; empty = where the system installs it");
  visit("data", "test_path", c.data.test_path, Text(), anything(),
        "where the test split is, when it is not found through data.path (npz, flat folders)");
  visit("data", "image_size", c.data.image_size, integer(0), range(0, 4096),
        "pixels a side; 0 = what the data has; image_folder resizes to it");
  visit("data", "channels", c.data.channels, integer(0), range(0, 3),
        "1 = grey, 3 = RGB, 0 = what the data has");
  visit("data", "horizontal_flip", c.data.horizontal_flip, true, anything(),
        "mirror half of the training images left to right");
  visit("data", "dequantize", c.data.dequantize, Dequantization::none, anything(),
        "uniform = train on (u + U[0, 1)) / 128 - 1 in place of u / 127.5 - 1 for 8-bit values u, "
        "so that the density holds off the 8-bit lattice too");
  visit("data", "toy", c.data.toy, ToyKind::uniform, anything(),
        "of data.kind = toy: U[-g/2, g/2]^d | mean and covariance of the images in data.path | two "
        "narrow Gaussians at -1/2 and 1/2 in every dimension");
  visit("data", "toy_width", c.data.toy_width, 1.0, range(1e-6, 1e3),
        "g of toy = uniform; the standard deviation of toy = peaks");
  visit("data", "toy_images", c.data.toy_images, integer(50000), range(1, 1e8),
        "images drawn for training; the test split has a fifth as many");

  visit("diffusion", "schedule", c.diffusion.schedule, ScheduleKind::linear, anything(),
        "how noise grows with the level: linear in beta | squared cosine | uniform in sigma | "
        "x_t = (1 - t/T) x_0 + t/T eps (OT)");
  visit("diffusion", "steps", c.diffusion.steps, integer(1000), range(0, 100000),
        "T: the classifier tells levels 0..T+1 apart, 0..T with schedule = flow_matching");
  visit("diffusion", "beta_start", c.diffusion.beta_start, 1e-4, range(0, 1),
        "linear: beta of level 1, above 0");
  visit("diffusion", "beta_end", c.diffusion.beta_end, 0.02, range(0, 1),
        "linear: beta of level T, below 1");

  visit("model", "kind", c.model.kind, NetworkKind::unet, anything(),
        "unet for images, mlp for studies in few dimensions");
  visit("model", "predicts", c.model.predicts, Prediction::logits, anything(),
        "logits = one per noise level, from which the density and the noise follow | noise = a "
        "plain denoiser with a time embedding, without a density (the baseline of the paper)");
  visit("model", "channels", c.model.channels, integer(128), range(1, 65536),
        "width at full resolution; the hidden width of an mlp");
  visit("model", "channel_mult", c.model.channel_mult, Integers{1, 2, 2, 2},
        Legal{.low = 1, .high = 1024, .may_be_empty = false},
        "width of each resolution as a multiple of model.channels");
  visit("model", "res_blocks", c.model.res_blocks, integer(2), range(1, 64),
        "residual blocks per resolution; the hidden layers of an mlp");
  visit("model", "attention_resolutions", c.model.attention_resolutions, Integers{16},
        range(1, 4096), "image sizes at which attention follows each block");
  visit("model", "dropout", c.model.dropout, 0.1, range(0, 0.999), "in residual blocks");
  visit("model", "head_channels", c.model.head_channels, integer(0), range(0, 65536),
        "features that are pooled before the last layer of a unet; 0 = twice the width of the "
        "finest resolution (the paper: 512 for CIFAR-10, 1024 for CelebA)");
  visit(
      "model", "fourier_features", c.model.fourier_features, integer(0), range(0, 16),
      "n: an mlp sees sin(2^k pi x) and cos(2^k pi x), k = 0..n-1, beside each pixel x, so that it "
      "learns densities with edges; 0 = none");
  visit("model", "num_classes", c.model.num_classes, integer(0), range(0, 1000000),
        "classes of the data for a class-conditional model (a null class is added); 0 = none");

  visit("loss", "kind", c.loss.kind, ObjectiveKind::cdm, anything(),
        "cdm = cross entropy of all levels + denoising error | nce = cross entropy of data against "
        "noise | tre = logistic losses of neighbouring levels | denoising = denoising error alone, "
        "of a network that predicts noise");
  visit("loss", "ce_weight", c.loss.ce_weight, 0.001, range(0, 1e6),
        "of the cross entropy, or of what stands in its place for nce and tre");
  visit("loss", "mse_weight", c.loss.mse_weight, 1.0, range(0, 1e6),
        "of the denoising error; 0 in cdm leaves out the double backpropagation");
  visit("loss", "label_dropout", c.loss.label_dropout, 0.1, range(0, 1),
        "probability that a training label is replaced by the null class");

  TrainConfig& t = c.train;
  visit("train", "iterations", t.iterations, integer(500000), range(0, kMaxSteps), "steps in all");
  visit("train", "batch_size", t.batch_size, integer(128), range(1, 1 << 20), "images a step");
  visit(
      "train", "micro_batch_size", t.micro_batch_size, integer(0), range(0, 1 << 20),
      "images at a time (on each thread of a CPU) within a step, to bound its memory: the gradient "
      "is that of the whole batch; 0 = all");
  visit("train", "learning_rate", t.learning_rate, 2e-4, range(0, 10), "of Adam, after warm-up");
  visit("train", "warmup", t.warmup, integer(5000), range(0, kMaxSteps),
        "steps over which the learning rate rises linearly");
  visit("train", "decay_every", t.decay_every, integer(200000), range(0, kMaxSteps),
        "steps between decays of the learning rate; 0 = never");
  visit("train", "decay_factor", t.decay_factor, 0.1, range(0, 1), "of each decay");
  visit("train", "adam_beta1", t.adam_beta1, 0.9, range(0, 0.999999999), "of Adam");
  visit("train", "adam_beta2", t.adam_beta2, 0.999, range(0, 0.999999999), "of Adam");
  visit("train", "adam_eps", t.adam_eps, 1e-8, range(0, 1), "of Adam");
  visit("train", "clip_grad_norm", t.clip_grad_norm, 0.0, at_least(0),
        "largest norm of the gradient; 0 = no clipping");
  visit("train", "ema_decay", t.ema_decay, 0.9999, range(0, 1), "of the weights' moving average");
  visit("train", "ema_start", t.ema_start, integer(5000), range(0, kMaxSteps),
        "step from which the average differs from the weights");
  visit("train", "ema_warmup", t.ema_warmup, true, anything(),
        "begin averaging with decay (1 + n) / (10 + n), n steps after ema_start");
  visit("train", "log_every", t.log_every, integer(100), range(0, kMaxSteps),
        "steps between metrics; 0 = never, here and for every *_every key");
  visit("train", "checkpoint_every", t.checkpoint_every, integer(5000), range(0, kMaxSteps),
        "steps between checkpoints; one is always written at the end");
  visit("train", "checkpoint_minutes", t.checkpoint_minutes, 0.0, at_least(0),
        "minutes after which one is written whatever the step; 0 = steps alone count");
  visit("train", "keep_checkpoints", t.keep_checkpoints, integer(3), range(0, 1e6),
        "newest checkpoints that are kept; 0 = all");
  visit("train", "sample_every", t.sample_every, integer(5000), range(0, kMaxSteps),
        "steps between sample grids");
  visit("train", "sample_count", t.sample_count, integer(64), range(1, 4096), "images in a grid");
  visit("train", "nll_every", t.nll_every, integer(5000), range(0, kMaxSteps),
        "steps between scores of the test split");
  visit("train", "nll_images", t.nll_images, integer(1000), range(0, 1e9),
        "test images scored in the loop; 0 = all");
  visit("train", "max_minutes", t.max_minutes, 0.0, at_least(0),
        "end training after this long, as if it were finished; 0 = no limit");
  visit("train", "skip_bad_steps", t.skip_bad_steps, integer(0), range(0, kMaxSteps),
        "steps of a run that are left out where loss or gradient is not finite; one more ends it");

  visit("sample", "sampler", c.sample.sampler, SamplerKind::ddim, anything(),
        "how images are drawn");
  visit("sample", "eta", c.sample.eta, 0.0, range(0, 1),
        "of ddim: 0 = no noise, 1 = as much as ddpm adds");
  visit("sample", "steps", c.sample.steps, integer(50), range(1, 100000),
        "steps per image, at most diffusion.steps; one network evaluation each, of heun two");
  visit("sample", "spacing", c.sample.spacing, Spacing::leading, anything(),
        "levels visited: 1, 1+k, ... | T, T-k, ... | evenly from 1 to T");
  visit("sample", "guidance", c.sample.guidance, 0.0, range(0, 1000),
        "w of classifier-free guidance: (1 + w) conditional - w unconditional");
}

}  // namespace cdm
