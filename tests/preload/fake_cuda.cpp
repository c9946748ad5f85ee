// SPDX-License-Identifier: MIT
// Stands in for NVIDIA's driver library, libcuda.so.1, where a script asks what GPU there is. The
// environment says what it answers: FAKE_CUDA (such as 13000), FAKE_CAPABILITY (such as 90, or
// empty where there is no GPU).
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

int cuInit(unsigned /*flags*/) { return number("FAKE_CAPABILITY") == 0 ? 100 : 0; }

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
