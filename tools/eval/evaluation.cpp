// SPDX-License-Identifier: MIT
#include "evaluation.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <ostream>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/json_text.h"
#include "cdm/core/text.h"

namespace cdm::eval {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 18> kNotSettings = {
    "--help", "--version", "--out", "--device", "--batch", "--save-reference",
    // Of these, subcommands add what was found or what follows.
    "RUN", "RUN_OR_CHECKPOINT", "SAMPLES", "--samples", "--data", "--reference", "--features",
    "--set", "--precision", "--resize", "--class", "--weights"};

std::vector<fs::path> made_folders;  // a folder comes before its parent

void make_folder(const fs::path& folder) {
  if (fs::exists(folder) && !fs::is_directory(folder)) {
    throw UserError(concat("--out ", folder.string(), ": is a file; a folder is to be written"));
  }
  for (auto missing = fs::absolute(folder); !fs::exists(missing); missing = missing.parent_path()) {
    made_folders.push_back(missing);
  }
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || ::access(folder.c_str(), W_OK) != 0) {
    throw std::runtime_error(concat("--out ", folder.string(), ": cannot be written to: ",
                                    error ? error.message() : std::strerror(errno)));
  }
}

Json value_of(const CLI::Option& option) {
  const std::vector<std::string> given = option.results();
  if (given.empty()) return option.get_default_str();
  return given.size() == 1 ? Json(given.front()) : Json(given);
}

/// Adds every value in `json` that is not itself an object or array, as text, by its path:
/// "runs[0].checkpoint". What is empty or null is left out: it means the same as a missing value.
void add_values(const std::string& path, const Json& json,
                std::map<std::string, std::string>& values) {
  if (json.is_object()) {
    for (const auto& [name, value] : json.items()) {
      add_values(path.empty() ? name : concat(path, ".", name), value, values);
    }
  } else if (json.is_array()) {
    for (std::size_t i = 0; i < json.size(); ++i) {
      add_values(concat(path, "[", i, "]"), json[i], values);
    }
  } else if (!json.is_null()) {
    const std::string text = json.is_string() ? json.get<std::string>() : json_text(json);
    if (!text.empty()) values[path] = text;
  }
}

std::map<std::string, std::string> values_of(const Json& settings) {
  std::map<std::string, std::string> values;
  add_values("", settings, values);
  return values;
}

/// The value of a setting; "" when there is none.
std::string value_in(const std::map<std::string, std::string>& values, const std::string& name) {
  const auto found = values.find(name);
  return found == values.end() ? "" : found->second;
}

/// A value for a message. It is not cut short, because two long paths may differ in their last
/// letters alone.
std::string shown(const std::string& value) {
  return value.empty() ? "not given" : in_one_line(value);
}

}  // namespace

void run_tidily(const std::function<void()>& run) try { run(); } catch (...) {
  std::error_code not_empty;
  for (const fs::path& folder : made_folders) fs::remove(folder, not_empty);
  throw;
}

Evaluation::Evaluation(const CLI::App& command) : command_(command.get_name()) {
  settings_["command"] = command_;
  for (const CLI::Option* const option : command.get_options()) {
    const std::string name = option->get_name();
    if (std::find(kNotSettings.begin(), kNotSettings.end(), name) == kNotSettings.end()) {
      settings_[name] = value_of(*option);
      if (option->empty()) defaults_.insert(name);
    }
  }
}

void Evaluation::add(const std::string& name, Json value) { settings_[name] = std::move(value); }

fs::path Evaluation::settings_file() const { return stem().string() + "-settings.json"; }

std::string Evaluation::difference_to(const Json& former) const {
  std::map<std::string, std::string> before = values_of(former);
  // By way of text, because what is not UTF-8 was written with replacements.
  const std::map<std::string, std::string> now = values_of(Json::parse(json_text(settings_)));
  for (const auto& [name, value] : now) {
    // An option that the program did not have before was not given, as it is not given now.
    if (!before.contains(name) && defaults_.contains(name)) before[name] = value;
  }
  std::set<std::string> names;
  for (const auto* const values : {&now, &std::as_const(before)}) {
    for (const auto& [name, value] : *values) names.insert(name);
  }
  for (const std::string& name : names) {
    const std::string was = value_in(before, name), is = value_in(now, name);
    if (was != is) return concat(name, " was ", shown(was), ", is ", shown(is));
  }
  return "";
}

void Evaluation::take_folder(const fs::path& folder) {
  folder_ = folder;
  if (fs::exists(settings_file())) {
    const Json former = Json::parse(read_file(settings_file()), nullptr, false);
    const std::string difference =
        former.is_object() ? difference_to(former) : "it is not readable";
    if (!difference.empty()) {
      throw UserError(concat(settings_file().string(), ": belongs to another evaluation, whose ",
                             "results are kept: ", difference, "; give another folder by --out"));
    }
  }
  make_folder(folder);
}

void Evaluation::finish() const {
  write_atomically(settings_file(),
                   [&](std::ostream& out) { out << json_text(settings_, 2) << '\n'; });
}

Json settings_of(const Dataset& dataset) {
  return {{"data", dataset.description},
          {"images", dataset.size()},
          {"conversion", dataset.conversion}};
}

Json settings_of_samples(const std::string& file) {
  const std::string beside = file + ".json";
  if (!fs::is_regular_file(beside)) return nullptr;
  const Json settings = Json::parse(read_file(beside), nullptr, false);
  if (!settings.is_object()) {
    throw UserError(concat(beside, ": is not the JSON that cdm-sample writes beside its images"));
  }
  return settings;
}

Json settings_of_samples(const std::string& file, const Dataset& dataset) {
  Json drawn = settings_of_samples(file);
  if (drawn.is_object()) drawn.erase("version");
  Json settings = settings_of(dataset);
  settings["drawn"] = std::move(drawn);
  return settings;
}

std::string checkpoint_of_samples(const std::string& file) {
  const Json settings = settings_of_samples(file);
  if (!settings.is_object() || !settings.contains("checkpoint")) return "";
  const Json& checkpoint = settings["checkpoint"];
  return checkpoint.is_string() ? checkpoint.get<std::string>() : "";
}

}  // namespace cdm::eval
