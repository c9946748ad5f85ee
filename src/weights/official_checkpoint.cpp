// SPDX-License-Identifier: MIT
#include "cdm/weights/official_checkpoint.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/io/torch_file.h"

namespace cdm {
namespace {

/// Converts one file. It keeps the file's name for error messages.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path)
      : source_(path.string()), file_(read_torch(path)), top_(as<TorchDict>(&file_, "the file")) {}

  TrainingState run() {
    TrainingState state;
    state.model = weights("model_state_dict");
    if (state.model.empty()) throw fail("its model_state_dict is empty");
    state.ema = has("ema_model_state_dict") ? average(state.model) : state.model;
    for (const auto& [name, weight] : state.model) {
      state.exp_avg.emplace_back(name, at::zeros_like(weight));
      state.exp_avg_sq.emplace_back(name, at::zeros_like(weight));
    }
    if (has("optimizer_state_dict")) read_optimizer(state);
    return state;
  }

 private:
  UserError fail(const std::string& reason) const {
    return UserError(concat(source_, ": not a checkpoint of the authors' layout: ", reason));
  }

  /// The value as a T. Throws UserError, with the name `what`, when `value` is null (missing in the
  /// file) or has another type.
  template <class T>
  const T* as(const TorchValue* value, const std::string& what) const {
    if (value == nullptr) throw fail(concat("it has no ", what));
    const T* const found = value->get<T>();
    if (found == nullptr) throw fail(concat(what, " is of the wrong type"));
    return found;
  }

  bool has(const char* name) const {
    const TorchValue* const value = top_->find(name);
    return value != nullptr && !value->is_none();
  }

  /// The value as a number: it is an int, a float, or a tensor with one element.
  double number(const TorchValue* value, const std::string& what) const {
    if (value != nullptr) {
      if (const auto* whole = value->get<std::int64_t>()) return static_cast<double>(*whole);
      if (const auto* real = value->get<double>()) return *real;
    }
    const auto& tensor = *as<at::Tensor>(value, what);
    if (tensor.numel() != 1) throw fail(concat(what, " is not one number"));
    return tensor.to(at::kDouble).item<double>();
  }

  NamedTensors weights(const char* part) const {
    NamedTensors out;
    std::set<std::string> names;
    for (const auto& [key, value] : as<TorchDict>(top_->find(part), part)->items) {
      const auto* const name = std::get_if<std::string>(&key);
      if (name == nullptr) throw fail(concat("a name in ", part, " is not text"));
      if (*name == "n_averaged") continue;
      const std::string what = concat("'", printable(*name), "' in ", part);
      const auto& tensor = *as<at::Tensor>(&value, what);
      if (!tensor.is_floating_point()) throw fail(concat(what, " does not hold real numbers"));
      out.emplace_back(unwrapped(*name), tensor.contiguous());
      if (!names.insert(out.back().first).second) throw fail(concat(what, " is there twice"));
    }
    return out;
  }

  /// The name without the prefixes that data-parallel training, averaging and compilation add.
  static std::string unwrapped(std::string_view name) {
    constexpr std::string_view kModule = "module.";
    constexpr std::string_view kCompiled = "_orig_mod.";
    while (name.starts_with(kModule) || name.starts_with(kCompiled)) {
      name.remove_prefix((name.starts_with(kModule) ? kModule : kCompiled).size());
    }
    return std::string(name);
  }

  /// The moving average, in the model's order.
  NamedTensors average(const NamedTensors& model) const {
    std::map<std::string, at::Tensor> found;
    for (auto& [name, tensor] : weights("ema_model_state_dict")) found.emplace(name, tensor);
    if (found.size() != model.size()) {
      throw fail(concat("ema_model_state_dict has ", found.size(), " weights and model_state_dict ",
                        model.size()));
    }
    NamedTensors out;
    for (const auto& [name, weight] : model) {
      const auto entry = found.find(name);
      if (entry == found.end())
        throw fail(concat("ema_model_state_dict has no '", printable(name), "'"));
      if (entry->second.sizes() != weight.sizes()) {
        throw fail(concat("'", printable(name), "' is ", entry->second.sizes(),
                          " in ema_model_state_dict and ", weight.sizes(), " in model_state_dict"));
      }
      out.emplace_back(name, entry->second);
    }
    return out;
  }

  void read_optimizer(TrainingState& state) const {
    const auto& optimizer =
        *as<TorchDict>(top_->find("optimizer_state_dict"), "optimizer_state_dict");
    const auto& moments = *as<TorchDict>(optimizer.find("state"), "state in optimizer_state_dict");
    // A parameter that was never updated has no entry.
    std::size_t used = 0;
    for (std::size_t i = 0; i < state.model.size(); ++i) {
      const TorchValue* const entry = moments.find(static_cast<std::int64_t>(i));
      if (entry == nullptr) continue;
      ++used;
      const std::string what = concat("Adam's state of parameter ", i);
      const auto& adam = *as<TorchDict>(entry, what);
      const double step = number(adam.find("step"), concat("step in ", what));
      if (!(step >= 0.0 && step < 1e15)) throw fail(concat("step in ", what, " is ", step));
      state.step = std::max(state.step, static_cast<std::int64_t>(step));
      for (const auto& [name, into] :
           {std::pair("exp_avg", &state.exp_avg), std::pair("exp_avg_sq", &state.exp_avg_sq)}) {
        const auto& moment = *as<at::Tensor>(adam.find(name), concat(name, " in ", what));
        const auto& [weight_name, weight] = state.model[i];
        if (moment.sizes() != weight.sizes() || !moment.is_floating_point()) {
          throw fail(concat(name, " in ", what, " is ", moment.sizes(), ", while '",
                            printable(weight_name), "' is ", weight.sizes()));
        }
        (*into)[i].second = moment.contiguous();
      }
    }
    if (used != moments.items.size()) {
      throw fail(concat("optimizer_state_dict knows ", moments.items.size(),
                        " parameters and model_state_dict ", state.model.size()));
    }
  }

  std::string source_;
  TorchValue file_;
  const TorchDict* top_;
};

TorchDict state_dict(const NamedTensors& weights, bool is_ordered) {
  TorchDict out{{}, is_ordered};
  for (const auto& [name, tensor] : weights) out.items.emplace_back(name, tensor);
  return out;
}

/// What state_dict() of torch.optim.Adam returns.
TorchDict adam_state(const TrainingState& checkpoint, const TrainConfig& config) {
  TorchDict moments;
  TorchList numbers;
  for (std::size_t i = 0; i < checkpoint.exp_avg.size(); ++i) {
    const auto number = static_cast<std::int64_t>(i);
    numbers.items.emplace_back(number);
    TorchDict adam{{{"step", at::full({}, static_cast<double>(checkpoint.step), at::kFloat)},
                    {"exp_avg", checkpoint.exp_avg[i].second},
                    {"exp_avg_sq", checkpoint.exp_avg_sq[i].second}}};
    moments.items.emplace_back(number, std::move(adam));
  }
  TorchDict group{{{"lr", config.learning_rate},
                   {"betas", TorchList{{config.adam_beta1, config.adam_beta2}, true}},
                   {"eps", config.adam_eps},
                   {"weight_decay", 0},
                   {"amsgrad", false},
                   {"maximize", false},
                   {"foreach", TorchValue()},
                   {"capturable", false},
                   {"differentiable", false},
                   {"fused", TorchValue()},
                   {"decoupled_weight_decay", false},
                   {"params", std::move(numbers)}}};
  return {{{"state", std::move(moments)}, {"param_groups", TorchList{{std::move(group)}}}}};
}

}  // namespace

TrainingState read_official_checkpoint(const std::filesystem::path& path) {
  return Reader(path).run();
}

void write_official_checkpoint(const std::filesystem::path& path, const TrainingState& state,
                               const TrainConfig& config) {
  write_torch(path, TorchDict{{{"epoch", 0},
                               {"model_state_dict", state_dict(state.model, true)},
                               {"ema_model_state_dict", state_dict(state.ema, false)},
                               {"optimizer_state_dict", adam_state(state, config)},
                               {"loss", 0.0}}});
}

}  // namespace cdm
