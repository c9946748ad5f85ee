// SPDX-License-Identifier: MIT
#include "cdm/device/cuda_graphs.h"

#include <atomic>
#include <stdexcept>
#include <utility>

#include "cdm/device/recorded.h"
#include "core/shared_library.h"
#include "device/graph_library.h"

namespace cdm {

namespace {

std::atomic<std::int64_t> replays = 0;

class Counted final : public GraphRecorder {
 public:
  explicit Counted(std::unique_ptr<GraphRecorder> graph) : graph_(std::move(graph)) {}

  void record(const std::function<void()>& work) override { graph_->record(work); }
  void replay() override {
    graph_->replay();
    ++replays;
  }

 private:
  std::unique_ptr<GraphRecorder> graph_;
};

}  // namespace

std::int64_t cuda_graph_replays() { return replays; }

bool built_with_cuda_graphs() { return CDM_HAS_CUDA_GRAPHS; }

bool use_cuda_graphs(Feature chosen, at::Device device) {
  return chosen == Feature::automatic && device.is_cuda() && built_with_cuda_graphs();
}

MakeRecorder cuda_graphs(at::Device device) {
  return [device] {
    void* const function = dl_function("libcdm-graphs.so", "cdm_make_cuda_graph");
    if (function == nullptr) throw std::runtime_error(dl_error());
    std::unique_ptr<GraphRecorder> graph;
    reinterpret_cast<MakeCudaGraph*>(function)(device, graph);
    return std::make_unique<Counted>(std::move(graph));
  };
}

}  // namespace cdm
