// SPDX-License-Identifier: MIT
#include "cdm/distributed/process_group.h"

#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <functional>
#include <stdexcept>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <utility>

#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "distributed/heartbeat.h"
#include "distributed/nccl.h"

namespace cdm {
namespace {

// How long the constructor waits for the other processes, which may still be starting.
constexpr std::chrono::minutes kJoinTimeout{3};
// How long a later call waits: longer than any process works without calling the others. A process
// that has ended is noticed sooner, by its closed connections or by the heartbeat.
constexpr std::chrono::minutes kTimeout{30};
// How long a sum over GPUs may take, including the work queued before it. After that
// ProcessGroupNCCL ends the process.
constexpr std::chrono::minutes kNcclTimeout{10};

constexpr std::chrono::seconds kHeartbeat{5};

c10::intrusive_ptr<c10d::Store> open_store(const ProcessRank& process, bool may_serve) {
  c10d::TCPStoreOptions options;
  options.port = process.port;
  options.isServer = may_serve && process.rank == 0 && process.hosts_port;
  options.waitWorkers = false;
  options.timeout = kJoinTimeout;
  auto store = c10::make_intrusive<c10d::TCPStore>(process.address, options);
  // Keys of their own for each attempt, so that a restart does not read those of the one before.
  return c10::make_intrusive<c10d::PrefixStore>(concat("cdm/", process.attempt), std::move(store));
}

/// Gloo's network device: the interface GLOO_SOCKET_IFNAME, or else the one with the address of
/// this machine's name.
auto network_device() {
  const char* const interface = std::getenv("GLOO_SOCKET_IFNAME");
  return interface == nullptr ? c10d::ProcessGroupGloo::createDefaultDevice()
                              : c10d::ProcessGroupGloo::createDeviceForInterface(interface);
}

std::string name_of(const ProcessRank& process) {
  return concat("rank ", process.rank, " of ", process.size);
}

void wait_for(const c10::intrusive_ptr<c10d::Work>& work, const ProcessRank& process) {
  try {
    work->wait();
  } catch (const std::exception& error) {
    throw std::runtime_error(
        concat(name_of(process), ": another process is gone: ", first_line(error.what())));
  }
}

/// Ends this process because another one is lost. The main thread cannot do that: it may be waiting
/// for the lost process.
[[noreturn]] void end_without(int lost, const ProcessRank& process) {
  log_error(concat(name_of(process), ": another process is gone: rank ", lost,
                   " has shown no sign of life for ", (kHeartbeat * Heartbeat::kPatience).count(),
                   " s"));
  std::_Exit(1);
}

}  // namespace

struct ProcessGroup::Backend {
  struct Route {
    c10d::Backend& backend;  // what exchanges the tensor
    at::Tensor tensor;       // the tensor itself, or a copy on the CPU
  };
  /// NCCL for a tensor on a GPU if every process can use NCCL, otherwise Gloo.
  Route route(const at::Tensor& tensor, const ProcessGroup& group);
  /// Sets `nccl` if every process can use NCCL; otherwise warns.
  void try_nccl(const ProcessGroup& group);

  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
  bool nccl_was_tried = false;             // at the first tensor on a GPU
  c10::intrusive_ptr<c10d::Backend> nccl;  // null before that, and when NCCL is not used
  std::unique_ptr<Heartbeat> heartbeat;
};

ProcessGroup::ProcessGroup(const ProcessRank& process, Collectives collectives)
    : process_(process), collectives_(collectives) {
  if (is_alone()) return;
  try {
    backend_ = std::make_unique<Backend>();
    backend_->store = open_store(process, /*may_serve=*/true);
    auto options = c10d::ProcessGroupGloo::Options::create(kJoinTimeout);
    options->devices.push_back(network_device());
    backend_->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(backend_->store, process.rank,
                                                                 process.size, options);
    any_of(0);  // returns when all processes are connected
    backend_->gloo->setTimeout(kTimeout);
    backend_->heartbeat = std::make_unique<Heartbeat>(
        open_store(process, /*may_serve=*/false), process.rank, process.size, kHeartbeat,
        [process](int lost) { end_without(lost, process); });
  } catch (const std::exception& error) {
    throw std::runtime_error(concat(name_of(process), ": the processes did not all meet at ",
                                    process.address, " port ", process.port, ": ",
                                    first_line(error.what())));
  }
}

ProcessGroup::~ProcessGroup() {
  if (backend_ == nullptr || backend_->nccl == nullptr) return;
  try {
    // shutdown() waits for the other processes, which may not get there after an error.
    if (std::uncaught_exceptions() == 0) {
      backend_->nccl->shutdown();
    } else {
      backend_->nccl->abort();
    }
  } catch (const std::exception& error) {
    log_warning(concat(name_of(process_), ": NCCL: ", first_line(error.what())));
  }
}

const ProcessGroup& ProcessGroup::alone() {
  static const ProcessGroup group;
  return group;
}

void ProcessGroup::Backend::try_nccl(const ProcessGroup& group) {
  nccl_was_tried = true;
  NcclGroup made;
  switch (group.collectives_) {
    case Collectives::automatic:
      make_nccl_group(c10::make_intrusive<c10d::PrefixStore>("nccl", store), group.rank(),
                      group.size(), kNcclTimeout, made);
      break;
    case Collectives::gloo:
      made.error = "collectives = gloo";
      break;
  }
  // Either all processes use NCCL or none does.
  const bool failed = made.backend == nullptr;
  if (group.any_of(failed ? 1 : 0) == 0) {
    nccl = std::move(made.backend);
    return;
  }
  // Warn once: rank 0 if its NCCL failed, otherwise each rank whose NCCL failed.
  const bool first_failed = group.any_of(group.is_first() && failed ? 1 : 0) != 0;
  if (failed && (group.is_first() || !first_failed)) {
    log_warning(concat(
        "GPUs exchange gradients through the host's memory, which is slow: NCCL is not used: ",
        first_line(made.error)));
  }
}

ProcessGroup::Backend::Route ProcessGroup::Backend::route(const at::Tensor& tensor,
                                                          const ProcessGroup& group) {
  if (tensor.is_cpu()) return {*gloo, tensor};
  if (!nccl_was_tried) try_nccl(group);
  if (nccl != nullptr) return {*nccl, tensor};
  return {*gloo, tensor.to(at::kCPU)};
}

ProcessGroup::Wait ProcessGroup::start_sum(const at::Tensor& tensor) const {
  if (is_alone()) return [] {};
  const Backend::Route route = backend_->route(tensor, *this);
  std::vector<at::Tensor> tensors = {route.tensor};
  auto work = route.backend.allreduce(tensors);
  return [work, summed = route.tensor, tensor, process = process_] {
    wait_for(work, process);
    if (!tensor.is_same(summed)) tensor.copy_(summed);
  };
}

void ProcessGroup::broadcast(const at::Tensor& tensor) const {
  if (is_alone()) return;
  const Backend::Route route = backend_->route(tensor, *this);
  const at::Tensor sent = route.tensor.contiguous();
  std::vector<at::Tensor> tensors = {sent};
  wait_for(route.backend.broadcast(tensors), process_);
  if (!tensor.is_same(sent)) tensor.copy_(sent);
}

std::int64_t ProcessGroup::any_of(std::int64_t bits) const {
  if (is_alone()) return bits;
  std::vector<at::Tensor> tensors = {at::full({1}, bits, at::kLong)};
  c10d::AllreduceOptions options;
  options.reduceOp = c10d::ReduceOp::BOR;
  wait_for(backend_->gloo->allreduce(tensors, options), process_);
  return tensors[0].item<std::int64_t>();
}

void ProcessGroup::send(const at::Tensor& tensor, int to) const {
  std::vector<at::Tensor> tensors = {tensor.contiguous()};
  wait_for(backend_->gloo->send(tensors, to, 0), process_);
}

void ProcessGroup::receive(const at::Tensor& tensor, int from) const {
  std::vector<at::Tensor> tensors = {tensor};
  wait_for(backend_->gloo->recv(tensors, from, 0), process_);
}

void ProcessGroup::require_equal(const std::string& text, const std::string& what) const {
  if (is_alone()) return;
  const auto own = static_cast<std::int64_t>(std::hash<std::string>()(text));
  const at::Tensor first = at::full({1}, own, at::kLong);
  broadcast(first);
  const bool differs = first.item<std::int64_t>() != own;
  if (any_of(differs ? 1 : 0) == 0) return;
  throw UserError(concat(what, " differs between processes", differs ? ", here from rank 0" : ""));
}

RowRange rows_of_rank(std::int64_t rows, int rank, int size) {
  const std::int64_t each = rows / size;
  const std::int64_t larger = rows % size;
  return {rank * each + std::min<std::int64_t>(rank, larger), each + (rank < larger ? 1 : 0)};
}

}  // namespace cdm
