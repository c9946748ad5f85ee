// SPDX-License-Identifier: MIT
// TensorBoard's event files: TFRecords of Event protocol buffers, encoded by hand, since LibTorch
// exports the symbols of a protobuf library of its own.
// Format: tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto, and
// https://www.tensorflow.org/tutorials/load_data/tfrecord.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace cdm {

/// CRC-32C (Castagnoli), as TFRecords use it.
std::uint32_t crc32c(std::string_view bytes);

class EventWriter {
 public:
  /// Begins a new file in `folder`, which is created. `first_step`: points of older files beyond
  /// it are not shown any more (they are of steps that a resumed run takes again).
  EventWriter(const std::filesystem::path& folder, std::int64_t first_step);

  /// Each call is written out at once. Throws std::runtime_error when that fails.
  void scalar(std::int64_t step, std::string_view tag, double value);
  /// `png` is the whole file, `channels` 1 or 3.
  void image(std::int64_t step, std::string_view tag, std::string_view png, std::int64_t height,
             std::int64_t width, std::int64_t channels);

 private:
  void write_event(std::int64_t step, const std::string& rest);

  std::filesystem::path path_;
  std::ofstream out_;
};

}  // namespace cdm
