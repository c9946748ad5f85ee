// SPDX-License-Identifier: MIT
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>

#include <vector>

#include "cdm/eval/neighbours.h"
#include "support.h"

namespace cdm {
namespace {

at::Tensor points(const std::vector<double>& values) {
  return at::tensor(values, at::kDouble).unsqueeze(1);
}
at::Tensor classes(const std::vector<std::int64_t>& values) {
  return at::tensor(values, at::kLong);
}

TEST(NearestClass, FollowsTheMajorityOfTheNearest) {
  const at::Tensor images = points({0.0, 1.0, 2.0, 10.0, 11.0});
  const at::Tensor labels = classes({0, 2, 2, 1, 0});
  const at::Tensor queries = points({0.1, 10.4});
  EXPECT_TRUE(at::equal(nearest_class(queries, images, labels, 1), classes({0, 1})));
  EXPECT_TRUE(at::equal(nearest_class(queries, images, labels, 3), classes({2, 0})));
  try {
    nearest_class(queries, images, labels, 6);
    ADD_FAILURE() << "six neighbours of five images";
  } catch (const c10::Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("6 neighbours of 5 images"));
  }
}

TEST(NearestClass, DoesNotDependOnTheBlock) {
  const at::Tensor images = test::numbers(1, {50, 3});
  const at::Tensor labels = integers({2, Purpose::level}, 50, 4);
  const at::Tensor queries = test::numbers(2, {300, 3});  // more than one block
  const at::Tensor all = nearest_class(queries, images, labels, 5);
  EXPECT_TRUE(at::equal(all.narrow(0, 250, 50),
                        nearest_class(queries.narrow(0, 250, 50), images, labels, 5)));
}

}  // namespace
}  // namespace cdm
