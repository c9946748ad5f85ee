// SPDX-License-Identifier: MIT
#include "cdm/weights/official_checkpoint.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <array>
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

constexpr const char* kWeights = "model_state_dict";
constexpr const char* kAverage = "ema_model_state_dict";
constexpr const char* kOptimizer = "optimizer_state_dict";
// Other names of the weights, the likeliest first.
constexpr std::array<const char*, 5> kOtherNames = {"state_dict", "model", "network", "net",
                                                    "unet"};

/// Whether the value is a dict of tensors by name, and nothing else.
bool is_state_dict(const TorchValue& value) {
  const auto* const dict = value.get<TorchDict>();
  return dict != nullptr && !dict->items.empty() &&
         std::all_of(dict->items.begin(), dict->items.end(), [](const auto& item) {
           return std::holds_alternative<std::string>(item.first) &&
                  item.second.template get<at::Tensor>() != nullptr;
         });
}

/// Number of tensors in the value, at any depth.
std::size_t count_tensors(const TorchValue& value) {
  std::size_t count = value.get<at::Tensor>() != nullptr ? 1 : 0;
  if (const auto* const dict = value.get<TorchDict>()) {
    for (const auto& item : dict->items) count += count_tensors(item.second);
  }
  if (const auto* const list = value.get<TorchList>()) {
    for (const TorchValue& item : list->items) count += count_tensors(item);
  }
  return count;
}

/// Converts one file. It keeps the file's name for error messages.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path)
      : source_(path.string()), file_(read_torch(path)), top_(as<TorchDict>(&file_, "the file")) {}

  OfficialCheckpoint run() {
    OfficialCheckpoint read;
    TrainingState& state = read.state;
    find_weights();
    state.model = weights(*weights_, weights_name_);
    if (state.model.empty()) throw fail(concat("its ", weights_name_, " is empty"));
    state.ema = has(kAverage) ? average(state.model) : state.model;
    for (const auto& [name, weight] : state.model) {
      state.exp_avg.emplace_back(name, at::zeros_like(weight));
      state.exp_avg_sq.emplace_back(name, at::zeros_like(weight));
    }
    if (has(kOptimizer)) read_optimizer(state);
    read.warnings = warnings(state);
    return read;
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

  /// Whether there is an entry of that name, and something in it.
  bool has(const char* name) const {
    const TorchValue* const value = top_->find(name);
    if (value == nullptr || value->is_none()) return false;
    const auto* const dict = value->get<TorchDict>();
    return dict == nullptr || !dict->items.empty();
  }

  /// Finds the entry with the weights. A bare state_dict is its own entry.
  void find_weights() {
    weights_ = top_->find(kWeights);
    weights_name_ = kWeights;
    if (weights_ != nullptr) return;
    if (is_state_dict(file_)) {
      weights_ = &file_;
      weights_name_ = "the file";
      return;
    }
    std::vector<std::string> candidates;
    for (const auto& [key, value] : top_->items) {
      const auto* const name = std::get_if<std::string>(&key);
      if (name != nullptr && *name != kAverage && is_state_dict(value)) {
        candidates.push_back(*name);
      }
    }
    if (candidates.empty() && has(kAverage)) candidates.emplace_back(kAverage);
    if (candidates.empty()) throw fail(concat("it has no ", kWeights));
    weights_name_ = candidates.front();
    if (candidates.size() > 1) {
      const auto known =
          std::find_if(kOtherNames.begin(), kOtherNames.end(), [&](const std::string& name) {
            return std::find(candidates.begin(), candidates.end(), name) != candidates.end();
          });
      if (known == kOtherNames.end()) {
        throw fail(concat("it has no ", kWeights, ", and several entries hold weights: ",
                          printable(join(candidates, ", ")), "; name one of them ", kWeights));
      }
      weights_name_ = *known;
    }
    weights_ = top_->find(weights_name_);
  }

  /// The names of other entries that hold as many tensors as the weights, but are not read.
  std::vector<std::string> unread(std::size_t count) const {
    std::vector<std::string> names;
    if (weights_ == &file_) return names;
    for (const auto& [key, value] : top_->items) {
      const auto* const name = std::get_if<std::string>(&key);
      if (name == nullptr || *name == weights_name_ || *name == kAverage || *name == kOptimizer) {
        continue;
      }
      const auto* const dict = value.get<TorchDict>();
      const bool is_optimizer = dict != nullptr && dict->find("param_groups") != nullptr;
      if (!is_optimizer && count_tensors(value) >= count) {
        names.push_back(in_quotes(*name));
      }
    }
    return names;
  }

  std::vector<std::string> warnings(const TrainingState& state) const {
    std::vector<std::string> texts;
    const auto warn = [&](const auto&... parts) {
      texts.push_back(concat(source_, ": ", parts...));
    };
    const std::string taken = weights_ == &file_
                                  ? "the file is a bare state_dict: its weights"
                                  : concat("the weights of ", in_quotes(weights_name_));
    const std::vector<std::string> others = unread(state.model.size());
    if (!others.empty()) {
      warn(taken, " were taken", has(kAverage) ? "" : ", also as their moving average", "; ",
           join(others, ", "), others.size() == 1 ? " holds" : " hold",
           " weights, too, but was not read: save the moving average as '", kAverage, "'");
    } else if (!has(kAverage)) {
      warn(taken, " were taken, also as their moving average, which the file does not hold");
    }
    if (state.step == 0) {
      warn("it has no state of the optimizer: training would begin at step 0");
    }
    return texts;
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

  NamedTensors weights(const TorchValue& dict, const std::string& part) const {
    NamedTensors out;
    std::set<std::string> names;
    for (const auto& [key, value] : as<TorchDict>(&dict, part)->items) {
      const auto* const name = std::get_if<std::string>(&key);
      if (name == nullptr) throw fail(concat("a name in ", part, " is not text"));
      if (*name == "n_averaged") continue;
      const std::string what = concat(in_quotes(*name), " in ", part);
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
    for (auto& [name, tensor] : weights(*top_->find(kAverage), kAverage)) {
      found.emplace(name, tensor);
    }
    if (found.size() != model.size()) {
      throw fail(concat(kAverage, " has ", found.size(), " weights and ", weights_name_, " ",
                        model.size()));
    }
    NamedTensors out;
    for (const auto& [name, weight] : model) {
      const auto entry = found.find(name);
      if (entry == found.end()) throw fail(concat(kAverage, " has no ", in_quotes(name)));
      if (entry->second.sizes() != weight.sizes()) {
        throw fail(concat(in_quotes(name), " is ", entry->second.sizes(), " in ", kAverage, " and ",
                          weight.sizes(), " in ", weights_name_));
      }
      out.emplace_back(name, entry->second);
    }
    return out;
  }

  void read_optimizer(TrainingState& state) const {
    const auto& optimizer = *as<TorchDict>(top_->find(kOptimizer), kOptimizer);
    const auto& moments = *as<TorchDict>(optimizer.find("state"), concat("state in ", kOptimizer));
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
      throw fail(concat(kOptimizer, " knows ", moments.items.size(), " parameters and ",
                        weights_name_, " ", state.model.size()));
    }
  }

  std::string source_;
  TorchValue file_;
  const TorchDict* top_;
  const TorchValue* weights_ = nullptr;
  std::string weights_name_;
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
                   {"weight_decay", config.weight_decay},
                   {"amsgrad", false},
                   {"maximize", false},
                   {"foreach", TorchValue()},
                   {"capturable", false},
                   {"differentiable", false},
                   {"fused", TorchValue()},
                   {"decoupled_weight_decay", config.weight_decay > 0.0},
                   {"params", std::move(numbers)}}};
  return {{{"state", std::move(moments)}, {"param_groups", TorchList{{std::move(group)}}}}};
}

}  // namespace

OfficialCheckpoint read_official_checkpoint(const std::filesystem::path& path) {
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
