// SPDX-License-Identifier: MIT
// Makes a device current for the launch of a kernel, and gives that device's current stream.
#pragma once

#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace cdm::cuda {

class OnDevice {
 public:
  explicit OnDevice(c10::Device device)
      : guard_(device),
        stream_(c10::impl::VirtualGuardImpl(device.type()).getStream(device).native_handle()) {}

  /// A cudaStream_t, for the launchers.
  void* stream() const { return stream_; }

 private:
  c10::DeviceGuard guard_;
  void* stream_;
};

}  // namespace cdm::cuda
