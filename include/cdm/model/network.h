// SPDX-License-Identifier: MIT
// The interface of all networks: named parameters, their device and type, and one forward pass.
//
// A network predicts one of two things (model.predicts in the configuration):
//   logits  images -> one logit f[t] per noise level t: a classification diffusion model
//   noise   noisy images and their levels -> the noise in them: the plain denoiser of Ho et al.
//           (2020), which the paper compares with
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "cdm/config/config.h"
#include "cdm/core/tensors.h"
#include "cdm/model/anchor.h"
#include "cdm/model/dropout.h"

namespace cdm {

/// What the data and the noise schedule fix about a network.
struct NetworkShape {
  std::int64_t channels;           // C, channels of the images
  std::int64_t image_size;         // H = W, in pixels
  std::int64_t levels;             // K, number of noise levels
  std::int64_t augmentations = 0;  // A, numbers that tell how an image was augmented; 0 = not told
};

/// What a network may be told about images [B, C, H, W], besides their noise level.
struct Condition {
  Condition(at::Tensor classes = {}, at::Tensor augmentation = {})
      : labels(std::move(classes)), told(std::move(augmentation)) {}

  at::Tensor labels;  // int64 [B], classes in 0..num_classes; undefined = the null class for all
  at::Tensor told;    // [B, A], how training images were augmented; undefined = not at all
};

class Network {
 public:
  /// num_classes = 0 makes an unconditional network. A class-conditional network has one class
  /// more than the data: the last one, null_class(), stands for "no class given".
  Network(Prediction predicts, NetworkShape shape, std::int64_t num_classes)
      : predicts_(predicts), shape_(shape), num_classes_(num_classes) {}
  virtual ~Network() = default;
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  Prediction predicts() const { return predicts_; }
  const NetworkShape& shape() const { return shape_; }
  std::int64_t num_classes() const { return num_classes_; }
  bool is_conditional() const { return num_classes_ > 0; }
  std::int64_t null_class() const { return num_classes_; }

  /// From now on, the log-densities of `anchor`, which needs no statistics yet, are added to the
  /// logits. Only for predicts() == logits.
  void set_anchor(std::unique_ptr<Anchor> anchor) { anchor_ = std::move(anchor); }
  /// Null without one.
  const Anchor* anchor() const { return anchor_.get(); }

  /// The prediction for images x [B, C, H, W]:
  ///   predicts() == logits: the logits f, [B, K], with the anchor's log-densities; t is not used
  ///   predicts() == noise: the noise in x, [B, C, H, W]; t, int64 [B], holds the levels of x
  /// Dropout acts only where `masks` are given, that is in training. A network that is told how
  /// images were augmented predicts the same for undefined `given.told` as for zeros.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& t, const Condition& given,
                        DropoutMasks* masks = nullptr) const;

  /// The parameters by the names and in the order that they have in the authors' code.
  const NamedTensors& parameters() const { return parameters_; }
  std::int64_t parameter_count() const;
  /// All that load() needs: the parameters, then the statistics of the anchor.
  NamedTensors state() const;

  /// Device and type of the parameters. Images must have the same.
  virtual at::TensorOptions options() const;

  /// Sets the type (bf16) in which the body of a UNet computes, from its first convolution to the
  /// features before its head. Without this call it is the type of the parameters. Networks without
  /// a body ignore it.
  void set_body_type(at::ScalarType type) { body_type_ = type; }

  /// Whether the parameters are converted to the type of the body together, which is faster, or one
  /// by one when they are needed. One by one, their gradients are ready one after the other, and
  /// not all at the end. True by default.
  void cast_together(bool together) { casts_together_ = together; }

  void set_requires_grad(bool requires_grad);
  void to(at::Device device, at::ScalarType type);

  /// Copies the values of `state`, matched by name, into the parameters, and gives the anchor its
  /// statistics. Throws UserError, naming `source` and the first few wrong names, unless names and
  /// shapes are exactly this network's.
  void load(const NamedTensors& state, const std::string& source);

 protected:
  /// Implements operator(). Labels are always defined for a class-conditional network, and
  /// `given.told`, in the type of x, for one that is told how images were augmented.
  virtual at::Tensor forward(const at::Tensor& x, const at::Tensor& t, const Condition& given,
                             DropoutMasks* masks) const = 0;

  /// The type in which the body of the network computes.
  at::ScalarType body_type() const;

  NamedTensors parameters_;

 private:
  Prediction predicts_;
  NetworkShape shape_;
  std::int64_t num_classes_;
  std::unique_ptr<Anchor> anchor_;
  bool casts_together_ = true;
  at::ScalarType body_type_ = at::ScalarType::Undefined;  // Undefined: the parameters' own
};

/// `config` with model.channel_mult = [] settled for images of that size: 1, and 2 for each time
/// that they can be halved, three times at most.
ModelConfig settle_resolutions(ModelConfig config, std::int64_t image_size);

/// The network that settle_resolutions() of `config` describes, on the CPU, in float32. Its initial
/// values have PyTorch's default distributions and are derived from `seed`. Throws UserError when
/// shape.image_size does not suit the number of resolutions of a UNet.
std::unique_ptr<Network> make_network(const ModelConfig& config, const NetworkShape& shape,
                                      std::uint64_t seed);

}  // namespace cdm
