// SPDX-License-Identifier: MIT
#include "option_values.h"

#include <algorithm>
#include <cstdlib>

#include "cdm/core/text.h"

namespace cdm {
namespace {

constexpr const char* kBlank = " \t\r\n";
constexpr const char* kEmpty = "the value is empty";

std::vector<CLI::App*> with_subcommands(CLI::App& app) {
  std::vector<CLI::App*> all = app.get_subcommands([](CLI::App*) { return true; });
  all.insert(all.begin(), &app);
  return all;
}

bool is_blank(const std::string& text) {
  return text.find_first_not_of(kBlank) == std::string::npos;
}

/// What is wrong with a value; "" when nothing is.
std::string check_text(std::string& value) { return is_blank(value) ? kEmpty : ""; }

std::string check_whole_number(std::string& value) {
  if (is_blank(value)) return kEmpty;
  const bool has_sign = value.front() == '+' || value.front() == '-';
  std::string digits = value.substr(has_sign ? 1 : 0);
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) {
    return concat(in_quotes(value), " is not a whole number");
  }
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
  value = (value.front() == '-' ? "-" : "") + digits;
  return "";
}

std::string check_number(std::string& value) {
  if (is_blank(value)) return kEmpty;
  char* end = nullptr;
  std::strtod(value.c_str(), &end);
  const bool is_decimal = value.find_first_of(std::string("xX") + kBlank) == std::string::npos;
  return *end == '\0' && is_decimal ? "" : concat(in_quotes(value), " is not a number");
}

bool has_blank_element(const std::string& list, char comma) {
  for (std::size_t begin = 0;;) {
    const std::size_t end = list.find(comma, begin);
    if (is_blank(list.substr(begin, end - begin))) return true;
    if (end == std::string::npos) return false;
    begin = end + 1;
  }
}

}  // namespace

void check_option_values(CLI::App& app) {
  for (CLI::App* const command : with_subcommands(app)) {
    for (CLI::Option* const option : command->get_options([](const CLI::Option* candidate) {
           return candidate->get_expected_max() > 0;  // flags have no values
         })) {
      const std::string type = option->get_type_name();
      const bool is_whole = type.starts_with("INT") || type.starts_with("UINT");
      // A transformation comes before all checks.
      option->transform(CLI::Validator(is_whole                    ? check_whole_number
                                       : type.starts_with("FLOAT") ? check_number
                                                                   : check_text,
                                       ""));
    }
  }
}

void check_arguments(CLI::App& app, const std::vector<std::string>& arguments) {
  for (CLI::App* const command : with_subcommands(app)) {
    for (const CLI::Option* const option : command->get_options()) {
      if (option->get_expected_max() == 0) continue;  // a flag
      const std::string name = option->get_name();
      const char comma = option->get_delimiter();
      for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string& argument = arguments[i];
        const bool has_value = argument.starts_with(name + "=");
        if (!has_value && (argument != name || i + 1 == arguments.size())) continue;
        const std::string value = has_value ? argument.substr(name.size() + 1) : arguments[i + 1];
        if (is_blank(value)) throw CLI::ValidationError(name, kEmpty);
        if (comma != '\0' && has_blank_element(value, comma)) {
          throw CLI::ValidationError(name, concat(in_quotes(value), " has an empty element"));
        }
      }
    }
  }
}

std::string parse_message(const CLI::App& app, const CLI::Error& error) {
  std::string path = app.get_name();  // of the program or of its subcommand
  for (const CLI::App* const command : app.get_subcommands()) path += " " + command->get_name();
  std::string message = first_line(error.what());
  const std::vector<std::string> unknown = app.remaining(true);
  const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  const bool is_value = dynamic_cast<const CLI::ValidationError*>(&error) != nullptr;
  if (!is_value && !commands.empty() && app.get_subcommands().empty()) {
    std::vector<std::string> legal;
    for (const CLI::App* const command : commands) legal.push_back(command->get_name());
    message = concat(unknown.empty() ? "" : concat(in_quotes(unknown.front()), ": "),
                     "a subcommand is needed: ", join(legal, ", "));
  } else if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    std::vector<std::string> words;
    for (const std::string& argument : unknown) words.push_back(in_quotes(argument));
    message = concat("not expected: ", join(words, ", "));
  }
  return concat(message, "; see ", path, " --help");
}

}  // namespace cdm
