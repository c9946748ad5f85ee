// SPDX-License-Identifier: MIT
#include "cdm/core/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>

namespace cdm {
namespace {

/// Writes log lines to stderr. While a status line is shown, it stays below them.
class Console final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  void show(std::string_view status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    status_ = status;
    draw();
  }

 private:
  static constexpr const char* kEraseLine = "\r\033[K";

  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    if (!status_.empty()) std::fputs(kEraseLine, stderr);
    std::fwrite(line.data(), 1, line.size(), stderr);
    if (!status_.empty()) draw();
  }

  void flush_() override { std::fflush(stderr); }

  void draw() {
    std::fputs(kEraseLine, stderr);
    // Cut to the terminal's width, because only the last row of a wrapped line could be erased.
    winsize window = {};
    const std::size_t width = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1
                                  ? window.ws_col - 1U
                                  : 79U;
    std::fwrite(status_.data(), 1, std::min(status_.size(), width), stderr);
    std::fflush(stderr);
  }

  std::string status_;
};

struct Logger {
  Logger() {
    console->set_pattern("%v");
    spdlog.flush_on(spdlog::level::info);
  }

  std::shared_ptr<Console> console = std::make_shared<Console>();
  spdlog::logger spdlog = {"cdm", console};
};

Logger& logger() {
  static Logger instance;
  return instance;
}

}  // namespace

void log_info(std::string_view message) { logger().spdlog.info("{}", message); }
void log_info_once(const std::string& message) {
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::lock_guard<std::mutex> lock(mutex);
  if (said.insert(message).second) log_info(message);
}

void log_warning(std::string_view message) { logger().spdlog.warn("warning: {}", message); }
void log_error(std::string_view message) { logger().spdlog.error("error: {}", message); }

void log_to_file(const std::string& path) try {
  auto file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
  file->set_pattern("%Y-%m-%d %H:%M:%S %v");
  logger().spdlog.sinks().push_back(std::move(file));
} catch (const spdlog::spdlog_ex& error) {
  throw std::runtime_error(error.what());
}

void log_only_warnings(const std::string& prefix) {
  logger().spdlog.set_level(spdlog::level::warn);
  logger().console->set_pattern(prefix + "%v");
}

bool log_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }

void show_status(std::string_view text) {
  if (log_is_terminal() && logger().spdlog.should_log(spdlog::level::info)) {
    logger().console->show(text);
  }
}

}  // namespace cdm
