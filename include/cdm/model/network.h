// SPDX-License-Identifier: MIT
// What networks have in common, parameters above all, and the two kinds there are: classifiers,
// which map images to one logit per noise level, and plain denoisers, which predict the noise.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>

#include "cdm/config/config.h"
#include "cdm/core/tensors.h"

namespace cdm {

/// What a network must know of the data and of the noise schedule.
struct NetworkShape {
  std::int64_t channels;    // C, of the images
  std::int64_t image_size;  // H = W
  std::int64_t levels;      // K, number of noise levels
};

class DropoutMasks;

/// A class-conditional network needs labels int64 [B] in 0..num_classes (num_classes = the null
/// class); an unconditional one ignores them.
class Network {
 public:
  Network(NetworkShape shape, std::int64_t num_classes)
      : shape_(shape), num_classes_(num_classes) {}
  virtual ~Network() = default;
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  const NetworkShape& shape() const { return shape_; }
  std::int64_t num_classes() const { return num_classes_; }
  bool is_conditional() const { return num_classes_ > 0; }
  std::int64_t null_class() const { return num_classes_; }

  /// Parameters under the authors' names, in the authors' order of registration.
  const NamedTensors& parameters() const { return parameters_; }
  std::int64_t parameter_count() const;

  /// UNets compute in their parameters' type unless told to use another (bf16) between the first
  /// layer and the last features.
  void set_body_type(at::ScalarType type) { body_type_ = type; }

  void set_requires_grad(bool requires_grad);
  void to(at::Device device, at::ScalarType type);

  /// Copies values by name. Throws UserError, naming `source` and the first few names at fault,
  /// unless names and shapes are exactly this network's.
  void load(const NamedTensors& weights, const std::string& source);

 protected:
  /// The type to compute in.
  at::ScalarType body_type() const;

  NamedTensors parameters_;

 private:
  at::ScalarType body_type_ = at::ScalarType::Undefined;  // Undefined: the parameters' own
  NetworkShape shape_;
  std::int64_t num_classes_;
};

class ClassifierNetwork : public Network {
 public:
  using Network::Network;

  /// images [B, C, H, W] -> [B, K], before the cumulative sum. Dropout acts where `masks` are
  /// given, in training.
  virtual at::Tensor head(const at::Tensor& images, const at::Tensor& labels,
                          DropoutMasks* masks) const = 0;

  /// The logits f [B, K]: the head's outputs summed cumulatively over the levels.
  at::Tensor logits(const at::Tensor& images, const at::Tensor& labels = {},
                    DropoutMasks* masks = nullptr) const;
};

class NoiseNetwork : public Network {
 public:
  using Network::Network;

  /// Noisy images [B, C, H, W] and their levels t int64 [B] -> the noise in them, [B, C, H, W].
  virtual at::Tensor noise(const at::Tensor& images, const at::Tensor& t, const at::Tensor& labels,
                           DropoutMasks* masks) const = 0;
};

/// The network that `config` describes, on the CPU in float32, with PyTorch's default random
/// initial values derived from `seed`. Throws UserError for widths and sizes that do not fit.
std::unique_ptr<Network> make_network(const ModelConfig& config, const NetworkShape& shape,
                                      std::uint64_t seed);

}  // namespace cdm
