// SPDX-License-Identifier: MIT
// Cases of reference numbers, one per folder (tests/reference/uncond/README.md describes the
// files), and comparisons with them.
#pragma once

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "arrays.h"
#include "cdm/config/config.h"
#include "cdm/core/text.h"
#include "cdm/io/npy.h"
#include "cdm/io/npz.h"
#include "cdm/io/safetensors.h"
#include "cdm/weights/import_weights.h"
#include "cdm/weights/official_checkpoint.h"
#include "support.h"

namespace cdm::test {

/// The case in tests/reference/, then those in the folder that CDM_REFERENCE_DIR names.
inline std::vector<std::filesystem::path> reference_folders() {
  std::vector<std::filesystem::path> found = {std::filesystem::path(CDM_TEST_DATA) / "reference" /
                                              "uncond"};
  const char* const given = std::getenv("CDM_REFERENCE_DIR");
  if (given == nullptr || *given == '\0') return found;
  const std::size_t own = found.size();
  if (std::filesystem::exists(std::filesystem::path(given) / "config.yaml")) {
    found.emplace_back(given);
  } else {
    for (const auto& entry : std::filesystem::directory_iterator(given)) {
      if (std::filesystem::exists(entry.path() / "config.yaml")) found.push_back(entry.path());
    }
  }
  std::sort(found.begin() + static_cast<std::ptrdiff_t>(own), found.end());
  EXPECT_GT(found.size(), own) << "CDM_REFERENCE_DIR = " << given << " holds no config.yaml";
  return found;
}

struct ReferenceCase {
  explicit ReferenceCase(std::filesystem::path where)
      : folder(std::move(where)), loss(tensors("loss.safetensors")) {
    const std::string source = file("checkpoint.pth").string();
    const TrainingState read = read_official_checkpoint(source).state;
    config = fit_to_weights(load_config(file("config.yaml")), read.model, source);
    checkpoint = fit_to_network(config, read, source);
    if (has("nll.safetensors")) nll = tensors("nll.safetensors");
  }

  std::filesystem::path file(const std::string& name) const { return folder / name; }
  bool has(const std::string& name) const { return std::filesystem::exists(file(name)); }
  std::map<std::string, at::Tensor> tensors(const std::string& name) const {
    const NamedTensors read = read_safetensors(file(name)).tensors;
    return {read.begin(), read.end()};
  }
  bool is_conditional() const { return config.model.num_classes > 0; }

  /// Classes of the images that are scored; undefined if the case has none.
  at::Tensor image_labels() const {
    if (!is_conditional()) return {};
    if (const auto found = nll.find("labels"); found != nll.end()) return found->second;
    if (!has("images.npz")) return {};
    const std::vector<std::string> names = npz_names(file("images.npz"));
    const bool has_labels = std::find(names.begin(), names.end(), "arr_1") != names.end();
    return has_labels ? read_npz(file("images.npz"), "arr_1").to(at::kLong) : at::Tensor();
  }

  std::filesystem::path folder;
  std::map<std::string, at::Tensor> loss, nll;
  RunConfig config;
  TrainingState checkpoint;
};

/// A setting that the images of a case may have been drawn with. Cases do not record it, so tests
/// try all of them; only the right one gives the same images.
struct SampleSetting {
  SampleConfig config;
  at::Tensor labels;  // int64 [N], or undefined: the null class
};

inline std::vector<SampleSetting> sample_settings(const ReferenceCase& reference,
                                                  SamplerKind sampler, std::int64_t count) {
  const std::int64_t T = reference.config.diffusion.steps;
  std::vector<std::int64_t> steps;
  if (sampler == SamplerKind::ddpm) {
    steps = {read_npy(reference.file("sample_ddpm_noise.npy")).size(0)};
  } else {
    steps = {10, reference.config.sample.steps};
    constexpr std::int64_t kMost = 100;
    for (std::int64_t n = 1; n <= std::min(kMost, T); ++n) {
      if (T % n == 0) steps.push_back(n);
    }
  }
  std::vector<at::Tensor> labels;
  if (reference.config.sample.guidance == 0.0) labels.emplace_back();
  if (reference.is_conditional()) {
    const auto found = reference.loss.find("labels");
    for (const at::Tensor& known :
         {found == reference.loss.end() ? at::Tensor() : found->second, reference.image_labels()}) {
      if (known.defined() && known.size(0) >= count) labels.push_back(known.narrow(0, 0, count));
    }
  }
  std::vector<SampleSetting> settings;
  for (const std::int64_t n : steps) {
    if (n > T) continue;
    for (const at::Tensor& of_images : labels) {
      SampleSetting& setting = settings.emplace_back(reference.config.sample, of_images);
      setting.config.sampler = sampler;
      setting.config.steps = n;
    }
  }
  return settings;
}

/// Expects that, for each sampler, `draw` returns images [N, C, H, W] within `tolerance` of those
/// of the case for one of the settings. `draw` returns an undefined tensor for a setting that it
/// does not support.
inline void expect_samples(
    const ReferenceCase& reference, double tolerance,
    const std::function<at::Tensor(const SampleSetting&, const std::string& start)>& draw) {
  for (const SamplerKind sampler : {SamplerKind::ddim, SamplerKind::ddpm}) {
    const std::string start = concat("sample_", name_of(sampler), "_init.npy");
    const std::string result = concat("sample_", name_of(sampler), "_result.npy");
    if (!reference.has(start) || !reference.has(result)) continue;
    const at::Tensor expected = read_npy(reference.file(result));
    double least = 1e300;
    for (const SampleSetting& setting : sample_settings(reference, sampler, expected.size(0))) {
      const at::Tensor images = draw(setting, reference.file(start));
      if (images.defined()) least = std::min(least, relative_error(images, expected));
      if (least <= tolerance) break;
    }
    EXPECT_LE(least, tolerance) << name_of(sampler)
                                << ": the images differ for all numbers of steps and labels";
  }
}

}  // namespace cdm::test
