// SPDX-License-Identifier: MIT
// Writes TensorBoard's event files: TFRecords that hold Event protocol buffers. They are encoded
// here without a protobuf library, because LibTorch exports the symbols of its own copy of one.
// Format: tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto, and
// https://www.tensorflow.org/tutorials/load_data/tfrecord.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace cdm {

/// CRC-32C (Castagnoli), the checksum of TFRecords.
std::uint32_t crc32c(std::string_view bytes);

class EventWriter {
 public:
  /// Begins a new file in `folder`, which is created if needed. TensorBoard no longer shows points
  /// of older files at steps after `first_step`: a resumed run takes these steps again.
  EventWriter(const std::filesystem::path& folder, std::int64_t first_step);

  /// Adds a point, which is written to disk at once. Throws std::runtime_error when that fails.
  void scalar(std::int64_t step, std::string_view tag, double value);
  /// Adds a picture of height x width pixels in 1 or 3 channels. `png` holds the bytes of a PNG
  /// file. Throws as scalar() does.
  void image(std::int64_t step, std::string_view tag, std::string_view png, std::int64_t height,
             std::int64_t width, std::int64_t channels);

 private:
  void write_event(std::int64_t step, const std::string& rest);

  std::filesystem::path path_;
  std::ofstream out_;
};

}  // namespace cdm
