// SPDX-License-Identifier: MIT
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "cdm/data/dataset.h"

namespace cdm {
namespace {

TEST(Dataset, FashionMnistWhereThePackagePutsIt) {
  if (!std::filesystem::is_directory("/usr/share/datasets/fashion-mnist")) {
    GTEST_SKIP() << "the package dataset-fashion-mnist is not installed";
  }
  DataConfig config;
  config.kind = "fashion_mnist";
  const Dataset train = load_dataset(config, Split::train);
  EXPECT_EQ(train.images.sizes(), at::IntArrayRef({60000, 1, 28, 28}));
  EXPECT_NEAR(train.images.to(at::kFloat).mean().item<double>() / 255.0, 0.2860, 1e-4);
  EXPECT_EQ(train.labels.eq(3).sum().item<int>(), 6000);
  const Dataset test = load_dataset(config, Split::test);
  EXPECT_EQ(test.images.sizes(), at::IntArrayRef({10000, 1, 28, 28}));
  EXPECT_EQ(test.labels.eq(9).sum().item<int>(), 1000);
  EXPECT_EQ(test.class_names.at(9), "Ankle boot");
}

}  // namespace
}  // namespace cdm
