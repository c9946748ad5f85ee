// SPDX-License-Identifier: MIT
// Feature networks: TorchScript files made here, what the network is handed, and wrong files.
#include <ATen/TensorOperators.h>
#include <ATen/ops/_upsample_bicubic2d_aa.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/api/module.h>

#include <filesystem>
#include <string>

#include "cdm/core/file.h"
#include "cdm/device/random.h"
#include "cdm/eval/feature_network.h"
#include "files.h"
#include "process.h"

namespace cdm {
namespace {

using test::error_in;
using test::mentions;
using test::overwrite;
using test::user_error;

/// As inception-2015-12-05.pt is called; the features are the pixels that the network sees.
constexpr const char* kOnDemand = R"(
def forward(self, img, return_features: bool = False, use_fp16: bool = False):
    if return_features:
        return img.flatten(1).float()
    return img.float().mean([1, 2, 3]).unsqueeze(1)
)";

constexpr const char* kPixels = R"(
def forward(self, x):
    return x.flatten(1).double() * self.scale
)";

class FeatureNetworks : public test::FilesTest {
 protected:
  std::filesystem::path save(const std::string& forward, const std::string& name = "net.pt") const {
    torch::jit::Module module("Network");
    at::Tensor scale = at::tensor({2.0}, at::kDouble);
    module.register_parameter("scale", scale.set_requires_grad(true), /*is_buffer=*/false);
    module.define(forward);
    const std::filesystem::path file = folder_ / name;
    module.save(file.string());
    return file;
  }

  /// The message that refuses the program, or the file.
  std::string refusal(const std::string& forward, std::int64_t image_size = 4) const {
    return refusal_of(save(forward), image_size);
  }
  static std::string refusal_of(const std::filesystem::path& file, std::int64_t image_size = 4) {
    const std::string message =
        user_error([&] { const FeatureNetwork network(file, at::kCPU, image_size); });
    EXPECT_THAT(message, error_in(file));
    return message;
  }
};

at::Tensor pictures(std::int64_t count, std::int64_t channels, std::int64_t size) {
  return integers({5, Purpose::noise}, count * channels * size * size, 256)
      .to(at::kByte)
      .view({count, channels, size, size});
}

TEST_F(FeatureNetworks, AreAskedForFeatures) {
  const FeatureNetwork network(save(kOnDemand), at::kCPU, 4);
  EXPECT_EQ(network.dimensions(), 48);
  const at::Tensor images = pictures(5, 3, 4);
  const at::Tensor features = network.features(images);
  EXPECT_EQ(features.scalar_type(), at::kFloat);
  EXPECT_TRUE(at::equal(features, images.flatten(1).to(at::kFloat)));
}

TEST_F(FeatureNetworks, AreCalledWithImagesAloneWhereTheyTakeNothingElse) {
  const FeatureNetwork network(save(kPixels), at::kCPU, 4);
  const at::Tensor images = pictures(5, 3, 4);
  const at::Tensor features = network.features(images);
  EXPECT_TRUE(at::equal(features, images.flatten(1).to(at::kDouble) * 2.0));
  EXPECT_FALSE(features.requires_grad()) << "though the network's parameters are trainable";
}

TEST_F(FeatureNetworks, SeeGreyImagesInThreeChannels) {
  const FeatureNetwork network(save(kOnDemand), at::kCPU, 4);
  const at::Tensor grey = pictures(2, 1, 4);
  EXPECT_TRUE(at::equal(network.features(grey).to(at::kByte).view({2, 3, 4, 4}),
                        at::cat({grey, grey, grey}, 1)));
}

TEST_F(FeatureNetworks, SeeResizedImages) {
  const std::filesystem::path file = save(kOnDemand);
  const FeatureNetwork bilinear(file, at::kCPU, 2, Resize::bilinear, 4);
  EXPECT_EQ(bilinear.dimensions(), 48);
  EXPECT_EQ(bilinear.resize_text(), "bilinear to 4 x 4");
  // By hand: pixel centres of the 4 lie at -1/4, 1/4, 3/4 and 5/4 of the 2.
  const at::Tensor row = at::tensor({0, 100}, at::kByte).expand({1, 3, 2, 2});
  const at::Tensor expected = at::tensor({0, 25, 75, 100}, at::kFloat).expand({1, 3, 4, 4});
  EXPECT_TRUE(at::equal(bilinear.features(row), expected.flatten(1))) << bilinear.features(row);

  // Down from 8, one pixel in a column: without antialiasing it is overlooked.
  const at::Tensor dot = at::tensor({0, 0, 0, 0, 0, 0, 0, 200}, at::kByte).expand({1, 3, 8, 8});
  const FeatureNetwork to_one(file, at::kCPU, 8, Resize::bilinear, 1);
  EXPECT_EQ(to_one.features(dot).max().item<float>(), 0.0F);

  const FeatureNetwork bicubic(file, at::kCPU, 8, Resize::bicubic_antialias, 3);
  EXPECT_EQ(bicubic.resize_text(), "bicubic_antialias to 3 x 3");
  const at::Tensor images = pictures(2, 3, 8);
  const at::Tensor smaller =
      at::_upsample_bicubic2d_aa(images.to(at::kFloat), {3, 3}, /*align_corners=*/false);
  EXPECT_TRUE(at::equal(bicubic.features(images), smaller.clamp(0, 255).round().flatten(1)));
  // Bicubic overshoots beside an edge: 8 bits hold no less than 0 and no more than 255.
  const at::Tensor edge =
      at::tensor({0, 0, 0, 0, 255, 255, 255, 255}, at::kByte).expand({1, 3, 8, 8});
  const FeatureNetwork larger(file, at::kCPU, 8, Resize::bicubic_antialias, 16);
  const at::Tensor seen = larger.features(edge).view({3, 16, 16}).select(1, 0).select(0, 0);
  EXPECT_EQ(seen[0].item<float>(), 0.0F);
  EXPECT_TRUE((seen.narrow(0, 0, 6) < 20.0).all().item<bool>()) << seen;
  EXPECT_TRUE((seen.narrow(0, 10, 6) > 235.0).all().item<bool>()) << seen;

  EXPECT_EQ(FeatureNetwork(file, at::kCPU, 8).resize_text(), "network");
}

TEST(Resize, IsChosenByName) {
  EXPECT_EQ(parse_resize("network"), Resize::network);
  EXPECT_EQ(parse_resize("bilinear"), Resize::bilinear);
  EXPECT_EQ(parse_resize("bicubic_antialias"), Resize::bicubic_antialias);
  EXPECT_THAT(user_error([] { parse_resize("lanczos"); }),
              mentions("resize", "lanczos", "network", "bilinear", "bicubic_antialias"));
}

TEST_F(FeatureNetworks, AreOnlyFidIfTheyAreInception) {
  // The right convention, name and number of features do not make it that network.
  const std::filesystem::path file = save(R"(
def forward(self, img, return_features: bool = False):
    return img.flatten(1).float().mean(1, keepdim=True).expand(-1, 2048)
)",
                                          "inception-2015-12-05.pt");
  const FeatureNetwork network(file, at::kCPU, 4);
  EXPECT_EQ(network.dimensions(), 2048);
  EXPECT_EQ(network.frechet_name(), "FD (inception-2015-12-05)");
  EXPECT_EQ(network.kernel_name(), "KD (inception-2015-12-05)");
  EXPECT_FALSE(is_inception_2015(network.sha256()));
  EXPECT_TRUE(
      is_inception_2015("f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"));

  // The first word that the program sha256sum prints.
  const std::string printed = test::run_well("/bin/sh", {"-c", "sha256sum \"$0\"", file});
  EXPECT_EQ(network.sha256(), printed.substr(0, printed.find(' ')));
}

TEST_F(FeatureNetworks, AreRefusedWhenTheFileIsNone) {
  EXPECT_THAT(refusal_of(folder_ / "absent.pt"), mentions("No such file"));
  EXPECT_THAT(refusal_of(folder_), mentions("directory"));
  overwrite(folder_ / "text.pt", "no network at all");
  EXPECT_THAT(refusal_of(folder_ / "text.pt"), mentions("TorchScript"));
  overwrite(folder_ / "empty.pt", "");
  EXPECT_THAT(refusal_of(folder_ / "empty.pt"), mentions("TorchScript"));
  // A file of weights, as torch.save writes it.
  const std::filesystem::path weights = std::filesystem::path(CDM_TEST_DATA) / "data/official.pth";
  EXPECT_THAT(refusal_of(weights), mentions("TorchScript", "constants.pkl"));
}

TEST_F(FeatureNetworks, AreRefusedWhereverTheFileIsCut) {
  const std::string whole = read_file(save(kOnDemand));
  const std::filesystem::path file = folder_ / "cut.pt";
  for (std::size_t size = 1; size < whole.size(); size += whole.size() / 20) {
    overwrite(file, std::string_view(whole).substr(0, size));
    EXPECT_THAT(refusal_of(file), mentions("TorchScript")) << size;
  }
}

TEST_F(FeatureNetworks, AreRefusedWhenForwardDoesNotFit) {
  EXPECT_THAT(refusal("def other(self, x):\n    return x\n"), mentions("no method", "forward"));
  EXPECT_THAT(refusal("def forward(self, x, y):\n    return x.flatten(1) + y\n"),
              mentions("4 x 4", "'y'"));
  EXPECT_THAT(
      refusal("def forward(self, x):\n    return x.float().view(-1, 192)\n", /*image_size=*/5),
      mentions("5 x 5", "192"));
  EXPECT_THAT(refusal("def forward(self, x):\n    assert x.size(3) == 8, '8 wanted'\n"
                      "    return x.float().flatten(1)\n"),
              mentions("4 x 4", "8 wanted"));
}

TEST_F(FeatureNetworks, AreRefusedWhenTheyGiveNoFeatures) {
  const auto of = [&](const std::string& result) {
    return refusal("def forward(self, x):\n    return " + result + "\n");
  };
  const std::string images = "2 images of 4 x 4";
  EXPECT_THAT(of("x.float()"), mentions("Float [2, 3, 4, 4]", images, "[2, D]"));
  EXPECT_THAT(of("x.flatten(1)"), mentions("Byte [2, 48]", images, "[2, D]", "floating"));
  EXPECT_THAT(of("x.float().mean([1, 2, 3])"), mentions("Float [2] ", images, "[2, D]"));
  EXPECT_THAT(of("x.float().view(1, -1)"), mentions("Float [1, 96]", images, "[2, D]"));
  EXPECT_THAT(of("(x.float(), x)"), mentions("Tuple", images, "[2, D]"));
  EXPECT_THAT(of("x.flatten(1).float().log()"), mentions("NaN or infinite", images));
}

TEST_F(FeatureNetworks, AreRefusedWhenTheyFailLater) {
  const std::filesystem::path file = save(R"(
def forward(self, x):
    x = x.flatten(1).float()
    return x / (x.max() - x.min())
)");
  const FeatureNetwork network(file, at::kCPU, 4);
  EXPECT_EQ(network.features(pictures(1, 3, 4)).sizes(), at::IntArrayRef({1, 48}));
  EXPECT_THAT(user_error([&] { network.features(pictures(3, 3, 4).zero_()); }),
              error_in(file, "NaN or infinite", "3 images of 4 x 4"));
  EXPECT_THAT(user_error([&] { network.features(pictures(3, 3, 5)); }),
              error_in(file, "Float [3, 75]", "3 images of 5 x 5", "[3, 48]"));
}

}  // namespace
}  // namespace cdm
