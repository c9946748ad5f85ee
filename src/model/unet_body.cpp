// SPDX-License-Identifier: MIT
#include "cdm/model/unet_body.h"

#include <ATen/ops/silu.h>
#include <c10/util/Exception.h>

#include <algorithm>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/ops/ops.h"

namespace cdm {
namespace {

/// The images in the layout that all layers need. With one channel, contiguous and channels_last
/// are the same order in memory, and LibTorch tells them apart by the stride of that channel. These
/// views set it, in both directions of a backward pass, too.
at::Tensor channels_last(const at::Tensor& images) {
  if (images.size(1) > 1) return images.contiguous(at::MemoryFormat::ChannelsLast);
  return images.reshape({images.size(0), images.size(2), images.size(3), 1}).permute({0, 3, 1, 2});
}

}  // namespace

Embedding::Embedding(ParameterMaker& make, std::int64_t in, std::int64_t width)
    : dense0(make, "temb.dense.0", in, width), dense1(make, "temb.dense.1", width, width) {}

at::Tensor Embedding::operator()(const at::Tensor& values) const {
  return at::silu(dense1(at::silu(dense0(values))));
}

UNetBody::UNetBody(ParameterMaker& make, const ModelConfig& config, const NetworkShape& shape,
                   std::int64_t embedding_channels)
    : shape_(shape) {
  const auto resolutions = static_cast<std::int64_t>(config.channel_mult.size());
  const std::int64_t factor = std::int64_t{1} << (resolutions - 1);
  if (shape.image_size % factor != 0) {
    throw UserError(concat("model.channel_mult has ", resolutions, " resolutions: images of ",
                           shape.image_size, " pixels a side cannot be halved ", resolutions - 1,
                           " times; the size must be a multiple of ", factor));
  }
  const std::int64_t channels = config.channels;
  const auto width = [&](std::int64_t level) {
    return channels * config.channel_mult[static_cast<std::size_t>(level)];
  };
  // The width of the input of a resolution on the way down.
  const auto width_above = [&](std::int64_t level) {
    return level == 0 ? channels : width(level - 1);
  };
  const auto has_attention = [&](std::int64_t size) {
    const auto& sizes = config.attention_resolutions;
    return std::find(sizes.begin(), sizes.end(), size) != sizes.end();
  };

  conv_in_ = Conv2d(make, "conv_in", shape.channels, channels, 3, 1, 1);

  std::int64_t size = shape.image_size;
  std::int64_t in = channels;
  for (std::int64_t level = 0; level < resolutions; ++level) {
    const std::string name = concat("down.", level);
    Resolution& down = down_.emplace_back();
    for (std::int64_t i = 0; i < config.res_blocks; ++i) {
      down.blocks.emplace_back(make, concat(name, ".block.", i), in, width(level),
                               embedding_channels, config.dropout);
      in = width(level);
    }
    for (std::int64_t i = 0; has_attention(size) && i < config.res_blocks; ++i) {
      down.attention.emplace_back(make, concat(name, ".attn.", i), in);
    }
    if (level + 1 < resolutions) {
      down.resample = Conv2d(make, name + ".downsample.conv", in, in, 3, 2, 0);
      size /= 2;
    }
  }

  middle_.blocks.emplace_back(make, "mid.block_1", in, in, embedding_channels, config.dropout);
  middle_.attention.emplace_back(make, "mid.attn_1", in);
  middle_.blocks.emplace_back(make, "mid.block_2", in, in, embedding_channels, config.dropout);

  // The finest resolution is registered first but computed last.
  size = shape.image_size;
  for (std::int64_t level = 0; level < resolutions; ++level) {
    const std::string name = concat("up.", level);
    Resolution& up = up_.emplace_back();
    std::int64_t below = level + 1 < resolutions ? width(level + 1) : width(level);
    for (std::int64_t i = 0; i <= config.res_blocks; ++i) {
      const std::int64_t skip = i == config.res_blocks ? width_above(level) : width(level);
      up.blocks.emplace_back(make, concat(name, ".block.", i), below + skip, width(level),
                             embedding_channels, config.dropout);
      below = width(level);
    }
    for (std::int64_t i = 0; has_attention(size) && i <= config.res_blocks; ++i) {
      up.attention.emplace_back(make, concat(name, ".attn.", i), width(level));
    }
    if (level > 0) up.resample = Conv2d(make, name + ".upsample.conv", below, below, 3, 1, 1);
    size /= 2;
  }

  norm_out_ = GroupNorm(make, "norm_out", width(0));
}

at::Tensor UNetBody::operator()(const at::Tensor& images, at::Tensor embedding, DropoutMasks* masks,
                                at::ScalarType body) const {
  const NetworkShape& s = shape_;
  TORCH_CHECK(images.dim() == 4 && images.size(1) == s.channels && images.size(2) == s.image_size &&
                  images.size(3) == s.image_size,
              "UNet: images are ", images.sizes(), " instead of [B, ", s.channels, ", ",
              s.image_size, ", ", s.image_size, "]");
  if (embedding.defined()) embedding = embedding.to(body);

  at::Tensor h = conv_in_(channels_last(images.to(body)));
  std::vector<at::Tensor> skips = {h};
  for (const Resolution& down : down_) {
    for (std::size_t i = 0; i < down.blocks.size(); ++i) {
      h = down.blocks[i](h, embedding, masks);
      if (!down.attention.empty()) h = down.attention[i](h);
      skips.push_back(h);
    }
    if (down.resample.weight.defined()) {
      h = down.resample(ops::pad_after(h));
      skips.push_back(h);
    }
  }

  h = middle_.blocks[0](h, embedding, masks);
  h = middle_.attention[0](h);
  h = middle_.blocks[1](h, embedding, masks);

  for (auto up = up_.rbegin(); up != up_.rend(); ++up) {
    for (std::size_t i = 0; i < up->blocks.size(); ++i) {
      h = up->blocks[i](ops::concat_channels(h, skips.back()), embedding, masks);
      skips.pop_back();
      if (!up->attention.empty()) h = up->attention[i](h);
    }
    if (up->resample.weight.defined()) {
      h = ops::upsample_conv2d(h, up->resample.weight, up->resample.bias);
    }
  }

  return norm_out_.then_silu(h);
}

}  // namespace cdm
