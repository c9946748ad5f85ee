// SPDX-License-Identifier: MIT
#include "cdm/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <stdexcept>

namespace cdm {
namespace {

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto console = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    console->set_pattern("%v");
    return std::make_shared<spdlog::logger>("cdm", console);
  }();
  return *instance;
}

}  // namespace

void log_info(std::string_view message) { logger().info("{}", message); }
void log_warning(std::string_view message) { logger().warn("warning: {}", message); }
void log_error(std::string_view message) { logger().error("error: {}", message); }

void log_to_file(const std::string& path) try {
  auto file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
  file->set_pattern("%Y-%m-%d %H:%M:%S %v");
  logger().sinks().push_back(std::move(file));
  logger().flush_on(spdlog::level::info);
} catch (const spdlog::spdlog_ex& error) {
  throw std::runtime_error(error.what());
}

}  // namespace cdm
