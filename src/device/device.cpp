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
#include "device/nvidia_driver.h"

namespace cdm {
namespace {

/// What is known of CUDA. `missing` is empty once all is loaded, or when the driver shows no GPU.
NvidiaDriver& cuda_runtime() {
  static NvidiaDriver runtime = {
      .found = false, .missing = "load_cuda_runtime() was not called", .capabilities = {}};
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
  const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
  if (const std::string why = why_too_old(compute_capability(device)); !why.empty()) {
    refuse(name, why);
  }
  return device;
}

}  // namespace

void load_cuda_runtime() {
  NvidiaDriver& runtime = cuda_runtime();
  if (runtime.missing.empty()) return;
  runtime = ask_nvidia_driver();
  // Without a GPU the libraries are of no use, and loading over a gigabyte takes time.
  if (!runtime.missing.empty() || runtime.capabilities.empty()) return;
  // Takes libtorch_cuda from the folder of the linked libc10, so that both are of the same LibTorch
  // whatever the loader's search path is.
  Dl_info libc10{};
  TORCH_CHECK(::dladdr(reinterpret_cast<void*>(&c10::GetAllocator), &libc10) != 0);
  const auto path = std::filesystem::path(libc10.dli_fname).parent_path() / "libtorch_cuda.so";
  // Lazy: of its 9,000 functions of other libraries, few are ever called.
  if (::dlopen(path.c_str(), RTLD_LAZY | RTLD_GLOBAL) == nullptr) {
    runtime.missing = concat("LibTorch's CUDA part does not load: ", dl_error(),
                             "; tools/setup.sh --cuda fetches what it needs");
  }
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
    const NvidiaDriver& runtime = cuda_runtime();
    std::string why = runtime.missing;
    if (cuda_device_count() > 0) {
      why = why_too_old(compute_capability({at::kCUDA, static_cast<c10::DeviceIndex>(index)}));
      if (why.empty()) return cuda_device(name, index);
    }
    if (runtime.found && !why.empty()) log_warning(concat("computing on the CPU: ", why));
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

int compute_capability(at::Device device) {
  if (!device.is_cuda()) return 0;
  const std::vector<int>& known = cuda_runtime().capabilities;
  const auto number = static_cast<std::size_t>(device.has_index() ? device.index() : 0);
  return number < known.size() ? known[number] : 0;
}

bool has_bf16(at::Device device) { return compute_capability(device) >= 80; }

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
