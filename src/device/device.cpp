// SPDX-License-Identifier: MIT
#include "cdm/device/device.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>
#include <dlfcn.h>
#include <malloc.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "core/shared_library.h"

namespace cdm {
namespace {

struct CudaRuntime {
  bool driver = false;
  std::string missing = "load_cuda_runtime() was not called";  // empty once all is loaded
};

CudaRuntime& cuda_runtime() {
  static CudaRuntime runtime;
  return runtime;
}

/// How many CUDA devices LibTorch can use.
int cuda_device_count() {
  if (!c10::impl::hasDeviceGuardImpl(c10::kCUDA)) return 0;
  return c10::impl::VirtualGuardImpl(c10::kCUDA).deviceCount();
}

[[noreturn]] void refuse(const std::string& name, const std::string& why) {
  throw UserError(concat("device '", name, "': ", why));
}

at::Device cuda_device(const std::string& name, int index) {
  const int count = cuda_device_count();
  if (count == 0) {
    const std::string& missing = cuda_runtime().missing;
    refuse(name, concat("there is no CUDA device here (",
                        missing.empty() ? "the driver shows none" : missing,
                        "); legal are auto and cpu"));
  }
  if (index >= count) {
    refuse(name, concat("there ",
                        count == 1 ? "is 1 CUDA device" : concat("are ", count, " CUDA devices"),
                        " here, cuda:0", count == 1 ? "" : concat(" to cuda:", count - 1)));
  }
  return {at::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

}  // namespace

void load_cuda_runtime() {
  CudaRuntime& runtime = cuda_runtime();
  if (runtime.missing.empty()) return;
  // Without a driver the libraries are of no use, and loading over a gigabyte takes time.
  runtime.driver = ::dlopen("libcuda.so.1", RTLD_LAZY) != nullptr;
  if (!runtime.driver) {
    runtime.missing = concat("no NVIDIA driver: ", dl_error());
    return;
  }
  // Takes libtorch_cuda from the folder of the linked libc10, so that both are of the same LibTorch
  // whatever the loader's search path is.
  Dl_info libc10{};
  TORCH_CHECK(::dladdr(reinterpret_cast<void*>(&c10::GetAllocator), &libc10) != 0);
  const auto path = std::filesystem::path(libc10.dli_fname).parent_path() / "libtorch_cuda.so";
  if (::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    runtime.missing = concat("LibTorch's CUDA part does not load: ", dl_error());
    return;
  }
  runtime.missing.clear();
}

void keep_freed_memory() {
  // Large blocks come from the heap, not from mappings of their own (M_MMAP_THRESHOLD cannot be set
  // above 32 MiB), and the heap is not trimmed.
  ::mallopt(M_MMAP_MAX, 0);
  ::mallopt(M_TRIM_THRESHOLD, -1);
}

at::Device resolve_device(const std::string& name, int index) {
  if (name == "cpu") return at::kCPU;
  if (name == "auto") {
    if (cuda_device_count() > 0) return cuda_device(name, index);
    const CudaRuntime& runtime = cuda_runtime();
    if (runtime.driver && !runtime.missing.empty()) {
      log_warning(
          concat("there is an NVIDIA driver, but ", runtime.missing,
                 "; computing on the CPU (tools/setup.sh --cuda fetches what LibTorch needs)"));
    }
    return at::kCPU;
  }
  if (name == "cuda") return cuda_device(name, index);
  constexpr std::string_view kPrefix = "cuda:";
  if (name.starts_with(kPrefix)) {
    int number = -1;
    const char* const end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + kPrefix.size(), end, number);
    if (error == std::errc() && stop == end && number >= 0) return cuda_device(name, number);
  }
  refuse(name, "legal are auto, cpu, cuda and cuda:N");
}

std::int64_t peak_memory_bytes(at::Device device) {
  if (device.is_cpu()) {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
      std::int64_t kibibytes = 0;
      if (word == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
    }
    return 0;
  }
  if (!c10::impl::hasDeviceGuardImpl(device.type())) return 0;
  c10::DeviceAllocator* const allocator = c10::getDeviceAllocator(device.type());
  if (!allocator->initialized()) return 0;
  const auto stats =
      allocator->getDeviceStats(device.has_index() ? device.index() : c10::DeviceIndex{0});
  using Kind = c10::CachingAllocator::StatType;
  return stats.allocated_bytes[static_cast<std::size_t>(Kind::AGGREGATE)].peak;
}

}  // namespace cdm
