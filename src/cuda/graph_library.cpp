// SPDX-License-Identifier: MIT
// libcdm-graphs.so: see graph_library.h.
#include "graph_library.h"

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>

#include <exception>
#include <type_traits>

namespace cdm {
namespace {

class CudaGraph final : public GraphRecorder {
 public:
  explicit CudaGraph(at::Device device) : device_(device) {}

  void record(const std::function<void()>& work) override {
    const c10::cuda::CUDAGuard on_device(device_);
    // As torch.cuda.graph does: a quiet device, and memory of its own for what is recorded.
    c10::cuda::device_synchronize();
    c10::cuda::CUDACachingAllocator::emptyCache();
    const c10::cuda::CUDAStreamGuard on_stream(
        c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device_.index()));
    graph_.capture_begin();
    try {
      work();
    } catch (...) {
      end_after_failure();
      throw;
    }
    graph_.capture_end();
  }

  void replay() override {
    const c10::cuda::CUDAGuard on_device(device_);
    graph_.replay();
  }

 private:
  /// The capture must end, and says once more that it failed.
  void end_after_failure() {
    try {
      graph_.capture_end();
    } catch (const std::exception&) {
    }
  }

  at::Device device_;
  at::cuda::CUDAGraph graph_;
};

}  // namespace
}  // namespace cdm

extern "C" __attribute__((visibility("default"))) void cdm_make_cuda_graph(
    at::Device device, std::unique_ptr<cdm::GraphRecorder>& graph) {
  graph = std::make_unique<cdm::CudaGraph>(device);
}

static_assert(std::is_same_v<decltype(cdm_make_cuda_graph), cdm::MakeCudaGraph>);
