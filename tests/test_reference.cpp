// SPDX-License-Identifier: MIT
// Everything that the CDM authors' own Python code computes, in float64 and in float32: the case in
// tests/reference, and those in the folder that the environment variable CDM_REFERENCE_DIR names.
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdlib>
#include <optional>

#include "cdm/eval/nll.h"
#include "cdm/ops/ops.h"
#include "cdm/sample/sampler.h"
#include "cdm/train/learner.h"
#include "reference.h"

namespace cdm {
namespace {

class Reference : public testing::TestWithParam<at::ScalarType> {
 protected:
  at::ScalarType type() const { return GetParam(); }
  double tolerance() const { return type() == at::kDouble ? 1e-9 : 1e-4; }

  /// A learner whose weights are the case's moving average, without dropout.
  std::unique_ptr<const Learner> learner(const test::ReferenceCase& reference) const {
    RunConfig config = reference.config;
    config.model.dropout = 0.0;
    auto learner = std::make_unique<Learner>(config, network_shape(config), at::kCPU, type());
    TrainingState start = reference.checkpoint;
    start.model = start.ema;
    learner->restore(start, reference.folder.string());
    return learner;
  }

  at::Tensor in_type(const at::Tensor& tensor) const { return tensor.to(type()); }
};

/// Expects the gradient of each parameter. Some are truly zero, and hold rounding errors only (of
/// k's bias, which the softmax ignores, and of a bias before groups of one channel): those are
/// compared with the largest gradient of all.
void expect_gradients(const test::ReferenceCase& reference, const NamedTensors& parameters,
                      const std::vector<at::Tensor>& gradients, double tolerance) {
  double largest = 0.0;
  for (const auto& [name, tensor] : reference.loss) {
    if (name.starts_with("grad.")) largest = std::max(largest, tensor.abs().max().item<double>());
  }
  constexpr double kRounding = 1e-12;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const std::string name = "grad." + parameters[i].first;
    const auto found = reference.loss.find(name);
    if (found == reference.loss.end()) {
      ADD_FAILURE() << name << " is missing";
      continue;
    }
    const at::Tensor& expected = found->second;
    const at::Tensor actual = gradients[i].narrow(0, 0, expected.size(0)).to(at::kDouble);
    ASSERT_EQ(actual.sizes(), expected.sizes()) << name;
    double scale = expected.abs().max().item<double>();
    if (scale < kRounding * largest) scale = largest;
    const double error = (actual - expected).abs().max().item<double>() / scale;
    EXPECT_FALSE(!(error <= tolerance)) << name << ": relative error " << error;
  }
}

TEST_P(Reference, LossAndGradients) {
  for (const std::filesystem::path& folder : test::reference_folders()) {
    SCOPED_TRACE(folder.string());
    const test::ReferenceCase reference(folder);
    const std::unique_ptr<const Learner> learned = learner(reference);
    const Learner& model = *learned;
    const Classifier& classifier = *model.model().as_classifier();
    const auto& expected = reference.loss;
    const auto expect = [&](const std::string& what, const at::Tensor& actual) {
      test::expect_close(actual.detach(), expected.at(what), tolerance(), what);
    };
    const at::Tensor labels = expected.contains("labels") ? expected.at("labels") : at::Tensor();
    const StepInputs inputs = {in_type(expected.at("x0")), expected.at("t"),
                               in_type(expected.at("noise")), labels};

    const at::Tensor x_t = classifier.schedule().add_noise(inputs.x0, inputs.t, inputs.noise);
    expect("x_t", x_t);
    x_t.requires_grad_(true);
    expect("head", classifier.network().head(x_t, labels, nullptr));
    const at::Tensor logits = classifier.logits(x_t, labels);
    expect("logits", logits);
    const at::Tensor F = classifier.log_ratio(logits, inputs.t);
    expect("F", F);
    expect("grad_F", torch::autograd::grad({F.sum()}, {x_t})[0]);
    expect("eps_theta", classifier.predict_noise(x_t.detach(), inputs.t, labels));

    const LossGradients loss = model.loss_gradients(inputs);
    expect("ce", loss.terms.ce);
    expect("mse", loss.terms.mse);
    expect("loss", loss.terms.total);
    expect_gradients(reference, classifier.network().parameters(), loss.gradients, tolerance());
  }
}

TEST_P(Reference, Likelihood) {
  for (const std::filesystem::path& folder : test::reference_folders()) {
    SCOPED_TRACE(folder.string());
    const test::ReferenceCase reference(folder);
    if (reference.nll.empty()) continue;
    const at::Tensor images = in_type(reference.nll.at("images"));
    const std::unique_ptr<const Learner> learned = learner(reference);
    const Learner& model = *learned;
    const at::Tensor log_prob = model.average().as_classifier()->log_prob(
        images, at::zeros({images.size(0)}, at::kLong), reference.image_labels());
    test::expect_close(log_prob, reference.nll.at("log_prob"), tolerance(), "log_prob");
    constexpr double kAuthorsOffset = 7.0;
    test::expect_close(bits_per_dim(log_prob, images[0].numel(), kAuthorsOffset),
                       reference.nll.at("bits_per_dim"), tolerance(), "bits_per_dim");
  }
}

TEST_P(Reference, Samples) {
  for (const std::filesystem::path& folder : test::reference_folders()) {
    SCOPED_TRACE(folder.string());
    const test::ReferenceCase reference(folder);
    const std::unique_ptr<const Learner> learned = learner(reference);
    const Learner& model = *learned;
    at::Tensor draws;  // [steps, N, C, H, W]
    if (reference.has("sample_ddpm_noise.npy")) {
      draws = in_type(read_npy(reference.file("sample_ddpm_noise.npy")));
    }
    test::expect_samples(
        reference, tolerance(), [&](const test::SampleSetting& setting, const std::string& start) {
          return sample(model.average(), setting.config, in_type(read_npy(start)), setting.labels,
                        [&](std::int64_t step) { return draws[step]; });
        });
  }
}

/// Reads CDM_TEST_OPERATIONS, with which the tests run once more on the plain operations.
class ChosenOperations : public testing::Environment {
 public:
  void SetUp() override {
    const char* const chosen = std::getenv("CDM_TEST_OPERATIONS");
    if (chosen == nullptr) return;
    const std::optional<Operations> operations = kind_named<Operations>(chosen);
    ASSERT_TRUE(operations.has_value()) << "CDM_TEST_OPERATIONS = " << chosen;
    ops::set_fused(*operations == Operations::fused);
  }
};
const auto* const kChosenOperations =
    testing::AddGlobalTestEnvironment(new ChosenOperations);  // gtest deletes it

INSTANTIATE_TEST_SUITE_P(Precisions, Reference, testing::Values(at::kDouble, at::kFloat),
                         [](const auto& info) {
                           return info.param == at::kDouble ? "Float64" : "Float32";
                         });

}  // namespace
}  // namespace cdm
