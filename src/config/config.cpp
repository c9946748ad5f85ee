// SPDX-License-Identifier: MIT
// Reading a configuration: YAML and overrides, checked against config_keys.h.
#include "cdm/config/config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <type_traits>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/text.h"
#include "config/config_keys.h"
#include "config/config_values.h"

namespace cdm {
namespace {

std::string full_name(const std::string& section, const std::string& key) {
  return section.empty() ? key : section + "." + key;
}

struct KnownKeys {
  std::map<std::string, std::string> keys;  // and what their values must be
  std::set<std::string> sections;
};

const KnownKeys& known_keys() {
  static const KnownKeys known = [] {
    KnownKeys found;
    RunConfig config;
    visit_keys(config, [&](const char* section, const char* key, const auto& field, const auto&,
                           const Legal& legal, const char*) {
      found.keys[full_name(section, key)] = describe(field, legal);
      if (*section != '\0') found.sections.insert(section);
    });
    return found;
  }();
  return known;
}

/// For messages.
std::string as_written(const YAML::Node& node) {
  YAML::Emitter out;
  out.SetSeqFormat(YAML::Flow);
  out.SetMapFormat(YAML::Flow);
  out << node;
  return printable(out.c_str());
}

/// The value of one key as it was written, and where, for messages.
struct Written {
  YAML::Node value;
  std::string where;  // "config.yaml:12" or "--set a.b=c"
};

using WrittenKeys = std::map<std::string, Written>;

void check_known(const std::string& where, const std::string& name, const YAML::Node& value) {
  const std::map<std::string, std::string>& keys = known_keys().keys;
  if (keys.contains(name)) return;
  std::vector<std::string> names;
  for (const auto& [key, legal] : keys) names.push_back(key);
  const std::string shown = printable(name);
  const std::string known = nearest(shown, names);
  throw UserError(concat(where, ": ", shown, " = ", as_written(value),
                         ": unknown key; the nearest known key is ", known, ", ", keys.at(known)));
}

void collect(const YAML::Node& map, const std::string& file, const std::string& section,
             WrittenKeys& out) {
  for (const auto& entry : map) {
    const std::string where = concat(file, ":", entry.first.Mark().line + 1);
    if (!entry.first.IsScalar()) throw UserError(concat(where, ": a key must be a word"));
    const std::string name = full_name(section, entry.first.Scalar());
    if (section.empty() && known_keys().sections.contains(name)) {
      if (!entry.second.IsMap()) {
        throw UserError(concat(where, ": section '", name, "' must hold keys with values, not ",
                               as_written(entry.second)));
      }
      collect(entry.second, file, name, out);
      continue;
    }
    if (section.empty() && entry.second.IsMap() && !known_keys().keys.contains(name)) {
      const std::set<std::string>& sections = known_keys().sections;
      const std::string shown = printable(name);
      throw UserError(concat(where, ": ", shown, ": unknown section; the nearest known section is ",
                             nearest(shown, {sections.begin(), sections.end()})));
    }
    check_known(where, name, entry.second);
    if (out.contains(name)) {
      throw UserError(
          concat(where, ": '", name, "' is given twice; first at ", out.at(name).where));
    }
    out[name] = {entry.second, where};
  }
}

WrittenKeys read_yaml(const std::filesystem::path& file) {
  const std::string text = read_file(file);
  WrittenKeys written;
  try {
    const YAML::Node root = YAML::Load(text);
    if (root.IsNull()) return written;
    if (!root.IsMap()) throw UserError(concat(file.string(), ": must hold keys with values"));
    collect(root, file.string(), "", written);
  } catch (const YAML::Exception& error) {
    throw UserError(
        concat(file.string(), ":", error.mark.line + 1, ": not YAML: ", printable(error.msg)));
  }
  return written;
}

void apply_override(const std::string& text, WrittenKeys& written) {
  const std::string where = "--set " + text;
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw UserError(concat(where, ": must have the form section.key=value"));
  }
  const std::string name = text.substr(0, equals);
  try {
    const YAML::Node value = YAML::Load(text.substr(equals + 1));
    check_known(where, name, value);
    written[name] = {value, where};
  } catch (const YAML::Exception& error) {
    throw UserError(concat(where, ": not YAML: ", printable(error.msg)));
  }
}

/// Reads `node` into `field`; false when it has another type.
bool read(const YAML::Node& node, std::string& field) {
  if (node.IsNull()) {
    field.clear();
    return true;
  }
  if (!node.IsScalar()) return false;
  field = node.Scalar();
  return true;
}

bool read(const YAML::Node& node, bool& field) {
  if (!node.IsScalar()) return false;
  const std::string& text = node.Scalar();
  if (text != "true" && text != "false") return false;
  field = text == "true";
  return true;
}

template <class Number>
requires std::is_arithmetic_v<Number>
bool read(const YAML::Node& node, Number& field) {
  if (!node.IsScalar()) return false;
  const std::string& text = node.Scalar();
  const char* const first = text.data() + (text.starts_with('+') ? 1 : 0);
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(first, last, field);
  if (error != std::errc() || end != last || text.starts_with("+-")) return false;
  if constexpr (std::is_floating_point_v<Number>) return std::isfinite(field);
  return true;
}

template <class Kind>
requires std::is_enum_v<Kind>
bool read(const YAML::Node& node, Kind& field) {
  const auto found = node.IsScalar() ? kind_named<Kind>(node.Scalar()) : std::nullopt;
  field = found.value_or(Kind{});
  return found.has_value();
}

bool read(const YAML::Node& node, std::vector<std::int64_t>& field) {
  if (!node.IsSequence()) return false;
  field.assign(node.size(), 0);
  for (std::size_t i = 0; i < node.size(); ++i) {
    if (!read(node[i], field[i])) return false;
  }
  return true;
}

bool is_legal(const std::string& value, const Legal& legal) {
  return legal.choices.empty() ||
         std::find(legal.choices.begin(), legal.choices.end(), value) != legal.choices.end();
}

template <class Kind>
requires std::is_enum_v<Kind>
bool is_legal(Kind value, const Legal& legal) { return is_legal(name_of(value), legal); }

bool is_legal(bool /*value*/, const Legal& /*legal*/) { return true; }

template <class Number>
requires std::is_arithmetic_v<Number>
bool is_legal(Number value, const Legal& legal) {
  return static_cast<double>(value) >= legal.low && static_cast<double>(value) <= legal.high;
}

bool is_legal(const std::vector<std::int64_t>& values, const Legal& legal) {
  return (legal.may_be_empty || !values.empty()) &&
         std::all_of(values.begin(), values.end(),
                     [&](std::int64_t value) { return is_legal(value, legal); });
}

void make_absolute(std::string& path, const std::filesystem::path& base) {
  if (path.empty()) return;
  path = (base / path).lexically_normal().string();
}

/// What no single key can say.
void check_together(const RunConfig& config, const std::string& file, const WrittenKeys& written) {
  const auto fail = [&](const std::string& key, const std::string& message) {
    const auto found = written.find(key);
    const bool is_default = found == written.end();
    throw UserError(concat(is_default ? file : found->second.where, ": ", key, " = ",
                           is_default ? flatten(config).at(key) : as_written(found->second.value),
                           ": ", message));
  };
  const std::string start = "diffusion.beta_start", end = "diffusion.beta_end";
  if (config.diffusion.beta_start > config.diffusion.beta_end) {
    if (written.contains(start)) {
      fail(start, concat("must not exceed ", end, " = ", to_text(config.diffusion.beta_end)));
    }
    fail(end, concat("must not be below ", start, " = ", to_text(config.diffusion.beta_start)));
  }
  const std::size_t halvings = config.model.channel_mult.size() - 1;
  if (config.model.kind == NetworkKind::unet && config.data.image_size > 0 &&
      (halvings > 12 || config.data.image_size % (std::int64_t{1} << halvings) != 0)) {
    fail("data.image_size", concat("cannot be halved ", halvings, " times, as the ", halvings + 1,
                                   " resolutions of model.channel_mult need"));
  }
  if (config.model.kind == NetworkKind::unet && config.model.fourier_features > 0) {
    fail("model.fourier_features", "must be 0 for model.kind = unet: they are an mlp's");
  }
  const bool is_flow = config.diffusion.schedule == ScheduleKind::flow_matching;
  if (is_flow && config.diffusion.steps == 0) {
    fail("diffusion.steps", "must be at least 1 for diffusion.schedule = flow_matching");
  }
  if (config.data.kind == DataKind::toy && config.data.dequantize != Dequantization::none) {
    fail("data.dequantize", "data.kind = toy has no pixels: must be none");
  }
  const bool is_denoiser = config.model.predicts == Prediction::noise;
  if (is_denoiser != (config.loss.kind == ObjectiveKind::denoising)) {
    fail("loss.kind", is_denoiser ? "must be denoising for model.predicts = noise"
                                  : "must be cdm, nce or tre for model.predicts = logits");
  }
  if (is_denoiser) {
    if (config.model.kind == NetworkKind::mlp) {
      fail("model.predicts", "must be logits for model.kind = mlp");
    }
    if (config.diffusion.steps < (is_flow ? 2 : 1)) {
      fail("diffusion.steps", "leaves no level with both image and noise to learn from");
    }
    if (config.loss.mse_weight == 0.0) {
      fail("loss.mse_weight", "must be above 0 for loss.kind = denoising, which has no other term");
    }
  }
  if (config.data.channels == 2) fail("data.channels", "must be 0, 1 or 3");
  const std::string& device = config.device;
  const bool numbered =
      device.starts_with("cuda:") && device.size() > 5 && device.size() < 8 &&
      std::all_of(device.begin() + 5, device.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (device != "auto" && device != "cpu" && device != "cuda" && !numbered) {
    fail("device", "must be auto, cpu, cuda or cuda:N");
  }
}

}  // namespace

RunConfig::RunConfig() {
  visit_keys(*this, [](const char*, const char*, auto& field, const auto& value, auto&&...) {
    field = value;
  });
}

RunConfig load_config(const std::filesystem::path& file,
                      const std::vector<std::string>& overrides) {
  WrittenKeys written = read_yaml(file);
  std::set<std::string> overridden;
  for (const std::string& text : overrides) {
    apply_override(text, written);
    overridden.insert(text.substr(0, text.find('=')));
  }
  RunConfig config;
  visit_keys(config, [&](const char* section, const char* key, auto& field, const auto&,
                         const Legal& legal, const char*) {
    const auto found = written.find(full_name(section, key));
    if (found == written.end()) return;
    const Written& given = found->second;
    if (!read(given.value, field) || !is_legal(field, legal)) {
      throw UserError(concat(given.where, ": ", found->first, " = ", as_written(given.value),
                             ": must be ", describe(field, legal)));
    }
  });
  const std::filesystem::path file_folder =
      std::filesystem::absolute(file).lexically_normal().parent_path();
  const auto base_of = [&](const char* key) {
    return overridden.contains(key) ? std::filesystem::current_path() : file_folder;
  };
  make_absolute(config.data.path, base_of("data.path"));
  make_absolute(config.data.test_path, base_of("data.test_path"));
  check_together(config, file.string(), written);
  return config;
}

}  // namespace cdm
