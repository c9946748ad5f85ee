// SPDX-License-Identifier: MIT
// The conditions under which keys have a meaning, for the declarations in keys*.cpp.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/core/text.h"
#include "config/keys.h"

namespace cdm {

/// A condition that holds when the kind that `kind_of` returns is one of `kinds`. `key` is the full
/// name of the key that chooses this kind.
template <class Kind>
KeyCondition kind_is(const std::string& key, std::vector<Kind> kinds,
                     Kind (*kind_of)(const RunConfig&)) {
  std::vector<std::string> names;
  for (const Kind kind : kinds) names.push_back(name_of(kind));
  return {key, concat(key, " = ", join(names, " or ")),
          [kinds = std::move(kinds), kind_of](const RunConfig& config) {
            return std::find(kinds.begin(), kinds.end(), kind_of(config)) != kinds.end();
          }};
}

inline KeyCondition for_toy(std::vector<ToyKind> kinds) {
  return kind_is<ToyKind>("data.toy", std::move(kinds), [](auto& c) { return c.data.toy; });
}
inline KeyCondition for_schedule(std::vector<ScheduleKind> kinds) {
  return kind_is<ScheduleKind>("diffusion.schedule", std::move(kinds),
                               [](auto& c) { return c.diffusion.schedule; });
}
inline KeyCondition for_network(std::vector<NetworkKind> kinds) {
  return kind_is<NetworkKind>("model.kind", std::move(kinds), [](auto& c) { return c.model.kind; });
}
inline KeyCondition for_head(std::vector<HeadKind> kinds) {
  return kind_is<HeadKind>("model.head", std::move(kinds), [](auto& c) { return c.model.head; });
}
inline KeyCondition for_prediction(Prediction kind) {
  return kind_is<Prediction>("model.predicts", {kind}, [](auto& c) { return c.model.predicts; });
}
inline KeyCondition for_objective(std::vector<ObjectiveKind> kinds) {
  return kind_is<ObjectiveKind>("loss.kind", std::move(kinds), [](auto& c) { return c.loss.kind; });
}
inline KeyCondition for_mse_weighting(MseWeighting kind) {
  return kind_is<MseWeighting>("loss.mse_weighting", {kind},
                               [](auto& c) { return c.loss.mse_weighting; });
}
inline KeyCondition for_sampler(std::vector<SamplerKind> kinds) {
  return kind_is<SamplerKind>("sample.sampler", std::move(kinds),
                              [](auto& c) { return c.sample.sampler; });
}
inline KeyCondition for_learning_rate(std::vector<LearningRateSchedule> kinds) {
  return kind_is<LearningRateSchedule>("train.learning_rate_schedule", std::move(kinds),
                                       [](auto& c) { return c.train.learning_rate_schedule; });
}
inline KeyCondition for_optimizer(OptimizerKind kind) {
  return kind_is<OptimizerKind>("train.optimizer", {kind},
                                [](auto& c) { return c.train.optimizer; });
}
inline KeyCondition for_averages(AverageKind kind) {
  return kind_is<AverageKind>("train.ema_kind", {kind}, [](auto& c) { return c.train.ema_kind; });
}
inline KeyCondition for_classes() {
  return {"model.num_classes", "model.num_classes above 0",
          [](const RunConfig& c) { return c.model.num_classes > 0; }};
}
inline KeyCondition for_toy_data() {
  return kind_is<DataKind>("data.kind", {DataKind::toy}, [](auto& c) { return c.data.kind; });
}
inline KeyCondition for_stored_data() {
  return {"data.kind", "data.kind other than toy",
          [](const RunConfig& c) { return c.data.kind != DataKind::toy; }};
}
inline KeyCondition for_data_of_pictures() {
  return kind_is<DataKind>("data.kind",
                           {DataKind::image_folder, DataKind::image_archive, DataKind::celeba},
                           [](auto& c) { return c.data.kind; });
}
/// True where images are read from files: as training data, or for toy data's mean and covariance.
inline KeyCondition for_data_from_files() {
  return {"data.toy", "data.kind other than toy, or data.toy = gaussian", [](const RunConfig& c) {
            return c.data.kind != DataKind::toy || c.data.toy == ToyKind::gaussian;
          }};
}

}  // namespace cdm
