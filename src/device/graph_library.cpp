// SPDX-License-Identifier: MIT
// The source of libcdm-graphs.so: see graph_library.h.
#include "device/graph_library.h"

#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAGeneratorImpl.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>

#include <exception>
#include <type_traits>

namespace cdm {
namespace {

class Graph final : public at::cuda::CUDAGraph {
 public:
  /// Ends a capture after an error. If the error made the capture invalid, capture_end() throws
  /// before it undoes what capture_begin() set up, and later steps would fail because of that. Then
  /// this function undoes it.
  void abandon() {
    bool ended = true;
    const auto quietly = [&](const auto& work) {
      try {
        work();
      } catch (const std::exception&) {  // the caller reports the error before this one
        ended = false;
      }
    };
    quietly([&] { capture_end(); });
    if (ended || capture_ended_) return;
    quietly([&] {
      c10::cuda::CUDACachingAllocator::endAllocateToPool(capture_dev_, mempool_id_);
      c10::cuda::CUDACachingAllocator::releasePool(capture_dev_, mempool_id_);
    });
    quietly([&] {
      at::getHostAllocator(at::kCUDA)->end_allocate_to_pool(mempool_id_);
      at::getHostAllocator(at::kCUDA)->release_pool(mempool_id_);
    });
    for (const auto& [generator, increment] : captured_generator_states_) {
      generator->capturing_ = false;
    }
  }
};

class CudaGraph final : public GraphRecorder {
 public:
  explicit CudaGraph(at::Device device) : device_(device) {}

  void record(const std::function<void()>& work) override {
    const c10::cuda::CUDAGuard on_device(device_);
    // As torch.cuda.graph in Python: waits for the device, frees cached memory, and captures on a
    // stream of its own.
    c10::cuda::device_synchronize();
    c10::cuda::CUDACachingAllocator::emptyCache();
    const c10::cuda::CUDAStreamGuard on_stream(
        c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device_.index()));
    graph_.capture_begin();
    try {
      work();
      graph_.capture_end();
    } catch (...) {
      graph_.abandon();
      throw;
    }
  }

  void replay() override {
    const c10::cuda::CUDAGuard on_device(device_);
    graph_.replay();
  }

 private:
  at::Device device_;
  Graph graph_;
};

}  // namespace
}  // namespace cdm

extern "C" __attribute__((visibility("default"))) void cdm_make_cuda_graph(
    at::Device device, std::unique_ptr<cdm::GraphRecorder>& graph) {
  graph = std::make_unique<cdm::CudaGraph>(device);
}

static_assert(std::is_same_v<decltype(cdm_make_cuda_graph), cdm::MakeCudaGraph>);
