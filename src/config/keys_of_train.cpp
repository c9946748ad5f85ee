// SPDX-License-Identifier: MIT
// The keys of the section train: how training goes.
#include "config/declare_keys.h"

namespace cdm {

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

}  // namespace cdm
