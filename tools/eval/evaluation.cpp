// SPDX-License-Identifier: MIT
#include "evaluation.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ostream>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/text.h"
#include "command.h"

namespace cdm::eval {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// Options that say where and how fast, and those of which add() has what was found there.
constexpr std::array<std::string_view, 7> kNotSettings = {
    "--help", "--out", "--device", "--batch", "--save-reference", "RUN_OR_CHECKPOINT", "--version"};

Json value_of(const CLI::Option& option) {
  const std::vector<std::string> given = option.results();
  if (given.empty()) return option.get_default_str();
  return given.size() == 1 ? Json(given.front()) : Json(given);
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string shown(const std::string& text) { return text.empty() ? "not given" : printable(text); }

}  // namespace

Evaluation::Evaluation(const CLI::App& command) : command_(command.get_name()) {
  settings_["command"] = command_;
  for (const CLI::Option* const option : command.get_options()) {
    const std::string name = option->get_name();
    if (std::find(kNotSettings.begin(), kNotSettings.end(), name) == kNotSettings.end()) {
      settings_[name] = value_of(*option);
    }
  }
}

void Evaluation::add(const std::string& name, Json value) { settings_[name] = std::move(value); }

fs::path Evaluation::settings_file() const { return stem().string() + "-settings.json"; }

void Evaluation::begin(const fs::path& folder) {
  folder_ = folder;
  if (fs::exists(settings_file())) {
    const Json former = Json::parse(read_file(settings_file()), nullptr, false);
    const auto refuse = [&](const std::string& difference) {
      return UserError(concat(settings_file().string(), ": belongs to another evaluation, whose ",
                              "results are kept: ", difference, "; give another folder by --out"));
    };
    if (!former.is_object()) throw refuse("it is not readable");
    for (const auto& [name, value] : settings_.items()) {
      // As text, because a path that is not UTF-8 was written with replacements.
      const std::string before = text_of(former.value(name, Json()));
      const std::string now =
          text_of(Json::parse(value.dump(-1, ' ', false, Json::error_handler_t::replace)));
      if (before != now) throw refuse(concat(name, " was ", shown(before), ", is ", shown(now)));
    }
  }
  make_folder(folder);
}

void Evaluation::finish() const {
  write_atomically(settings_file(), [&](std::ostream& out) {
    out << settings_.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
  });
}

Json settings_of_samples(const std::string& file) {
  const std::string beside = file + ".json";
  if (!fs::is_regular_file(beside)) return nullptr;
  const Json settings = Json::parse(read_file(beside), nullptr, false);
  return settings.is_object() ? settings : Json();
}

std::string checkpoint_of_samples(const std::string& file) {
  const Json settings = settings_of_samples(file);
  if (!settings.is_object() || !settings.contains("checkpoint")) return "";
  const Json& checkpoint = settings["checkpoint"];
  return checkpoint.is_string() ? checkpoint.get<std::string>() : "";
}

}  // namespace cdm::eval
