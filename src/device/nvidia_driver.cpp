// SPDX-License-Identifier: MIT
#include "device/nvidia_driver.h"

#include <dlfcn.h>

#include <algorithm>

#include "cdm/core/text.h"
#include "core/shared_library.h"

namespace cdm {
namespace {

// Of cuda.h, which a build without CUDA does not have.
constexpr int kSuccess = 0;
constexpr int kNoDevice = 100;
constexpr int kMajor = 75;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
constexpr int kMinor = 76;

// The oldest GPUs that LibTorch 2.11 for CUDA 13 has code for.
constexpr int kLeastCapability = 75;

/// A function of the driver's library; null when the library has none of that name.
template <class Function>
Function* function_of(void* library, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(library, name));
}

/// "13.0" for 13000.
std::string cuda_text(int version) { return concat(version / 1000, ".", version % 1000 / 10); }

/// The version of the CUDA runtime that LibTorch is linked to, such as 13000; 0 without one, as in
/// a LibTorch for the CPU alone.
int runtime_version() {
  auto* const get = function_of<int(int*)>(RTLD_DEFAULT, "cudaRuntimeGetVersion");
  int version = 0;
  return get != nullptr && get(&version) == kSuccess ? version : 0;
}

/// Why a driver for CUDA versions up to `newest` cannot serve the runtime; empty when it can. A
/// runtime runs on every driver of its major version or a newer one.
std::string why_driver_is_too_old(int newest) {
  const int runtime = runtime_version();
  const int major = runtime / 1000;
  if (newest / 1000 >= major) return "";
  return concat("the NVIDIA driver is too old: it serves CUDA ", cuda_text(newest),
                " at most, and LibTorch here needs CUDA ", cuda_text(runtime),
                "; install a newer driver", major == 13 ? " (580 or later)" : "",
                ", or a LibTorch for CUDA ", newest / 1000);
}

struct Functions {
  int (*init)(unsigned);
  int (*version)(int*);
  int (*count)(int*);
  int (*device)(int*, int);
  int (*attribute)(int*, int, int);
  int (*error_name)(int, const char**);

  explicit Functions(void* library)
      : init(function_of<int(unsigned)>(library, "cuInit")),
        version(function_of<int(int*)>(library, "cuDriverGetVersion")),
        count(function_of<int(int*)>(library, "cuDeviceGetCount")),
        device(function_of<int(int*, int)>(library, "cuDeviceGet")),
        attribute(function_of<int(int*, int, int)>(library, "cuDeviceGetAttribute")),
        error_name(function_of<int(int, const char**)>(library, "cuGetErrorName")) {}

  bool are_there() const { return init && version && count && device && attribute && error_name; }

  std::string name_of_error(int code) const {
    const char* name = nullptr;
    return error_name(code, &name) == kSuccess && name != nullptr ? name : concat("error ", code);
  }

  /// 0 when the driver does not say.
  int capability_of(int number) const {
    int handle = 0, major = 0, minor = 0;
    const bool known = device(&handle, number) == kSuccess &&
                       attribute(&major, kMajor, handle) == kSuccess &&
                       attribute(&minor, kMinor, handle) == kSuccess;
    return known ? 10 * major + minor : 0;
  }
};

std::string missing_of(const Functions& driver, std::vector<int>& capabilities) {
  if (!driver.are_there()) return "libcuda.so.1 lacks functions of the NVIDIA driver";
  int newest = 0;
  if (driver.version(&newest) == kSuccess) {
    if (std::string why = why_driver_is_too_old(newest); !why.empty()) return why;
  }
  const int started = driver.init(0);
  if (started == kNoDevice) return "";
  if (started != kSuccess) {
    return concat("the NVIDIA driver does not start: ", driver.name_of_error(started),
                  "; nvidia-smi may say more");
  }
  int count = 0;
  if (driver.count(&count) != kSuccess) return "";
  for (int i = 0; i < count; ++i) capabilities.push_back(driver.capability_of(i));
  const auto newest_gpu = std::max_element(capabilities.begin(), capabilities.end());
  return newest_gpu == capabilities.end() ? "" : why_too_old(*newest_gpu);
}

}  // namespace

std::string capability_text(int capability) {
  return concat(capability / 10, ".", capability % 10);
}

std::string why_too_old(int capability) {
  if (capability == 0 || capability >= kLeastCapability) return "";
  return concat("the GPU is too old: it has compute capability ", capability_text(capability),
                ", and LibTorch here needs ", capability_text(kLeastCapability),
                " or more; a LibTorch for CUDA 12.6 or older may serve it");
}

NvidiaDriver ask_nvidia_driver() {
  NvidiaDriver driver;
  void* const library = ::dlopen("libcuda.so.1", RTLD_LAZY);
  if (library == nullptr) {
    driver.missing = concat("no NVIDIA driver: ", dl_error());
    return driver;
  }
  driver.found = true;
  driver.missing = missing_of(Functions(library), driver.capabilities);
  return driver;
}

}  // namespace cdm
