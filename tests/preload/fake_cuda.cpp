// SPDX-License-Identifier: MIT
// Stands in for NVIDIA's driver library, libcuda.so.1, where a script or a program asks what GPU
// there is. The environment says what it answers: FAKE_CUDA (such as 13000), FAKE_CAPABILITY (such
// as 90, or empty where there is no GPU), FAKE_ERROR (why it does not start, such as 999).
#include <cstdlib>
#include <cstring>

namespace {

int number(const char* name) {
  const char* const text = std::getenv(name);
  return text == nullptr ? 0 : std::atoi(text);
}

}  // namespace

extern "C" {

int cuDriverGetVersion(int* version) {
  *version = number("FAKE_CUDA");
  return 0;
}

int cuInit(unsigned /*flags*/) {
  const int error = number("FAKE_ERROR");
  if (error != 0) return error;
  return number("FAKE_CAPABILITY") == 0 ? 100 : 0;
}

int cuGetErrorName(int error, const char** name) {
  *name = error == 999 ? "CUDA_ERROR_UNKNOWN" : nullptr;
  return *name == nullptr ? 1 : 0;
}

int cuDeviceGetCount(int* count) {
  *count = 1;
  return 0;
}

int cuDeviceGet(int* device, int index) {
  *device = index;
  return 0;
}

int cuDeviceGetAttribute(int* value, int attribute, int /*device*/) {
  constexpr int kMajor = 75, kMinor = 76;
  if (attribute != kMajor && attribute != kMinor) return 1;
  *value = attribute == kMajor ? number("FAKE_CAPABILITY") / 10 : number("FAKE_CAPABILITY") % 10;
  return 0;
}

int cuDeviceGetName(char* name, int length, int /*device*/) {
  std::strncpy(name, "NVIDIA Fake", static_cast<std::size_t>(length));
  return 0;
}

}  // extern "C"
