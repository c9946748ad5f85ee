// SPDX-License-Identifier: MIT
// The keys of the sections diffusion and model: the noise levels, and the network.
#include "config/declare_keys.h"

namespace cdm {

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

}  // namespace cdm
