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

// Of the start, when the other processes may still be loading their programs.
constexpr std::chrono::minutes kJoinTimeout{3};
// Of a later call: longer than any process is busy alone. One that is gone is noticed sooner, by
// its closed connections or by the heartbeat.
constexpr std::chrono::minutes kTimeout{30};
// Of a sum over GPUs, which waits in a queue behind some steps' work; then the process is ended.
constexpr std::chrono::minutes kNcclTimeout{10};

constexpr std::chrono::seconds kHeartbeat{5};

c10::intrusive_ptr<c10d::Store> open_store(const ProcessRank& process, bool may_serve) {
  c10d::TCPStoreOptions options;
  options.port = process.port;
  options.isServer = may_serve && process.rank == 0 && process.hosts_port;
  options.waitWorkers = false;
  options.timeout = kJoinTimeout;
  auto store = c10::make_intrusive<c10d::TCPStore>(process.address, options);
  // A restart must not meet the keys of the attempt before it.
  return c10::make_intrusive<c10d::PrefixStore>(concat("cdm/", process.attempt), std::move(store));
}

/// Gloo's network device: GLOO_SOCKET_IFNAME's, else that of this machine's name.
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

/// The main thread may be waiting for what never comes.
[[noreturn]] void end_without(int lost, const ProcessRank& process) {
  log_error(concat(name_of(process), ": another process is gone: rank ", lost,
                   " has shown no sign of life for ", (kHeartbeat * Heartbeat::kPatience).count(),
                   " s"));
  std::_Exit(1);
}

}  // namespace

struct ProcessGroup::Backend {
  /// What moves a tensor, and the tensor where that can reach it: itself or a copy on the host.
  struct Route {
    c10d::Backend& backend;
    at::Tensor tensor;
  };
  /// NCCL for a GPU's, if every process has it; else Gloo.
  Route route(const at::Tensor& tensor, const ProcessGroup& group);
  void try_nccl(const ProcessGroup& group);

  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
  // Made at the first tensor of a GPU; null also when NCCL cannot be used.
  bool nccl_was_tried = false;
  c10::intrusive_ptr<c10d::Backend> nccl;
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
    any_of(0);  // all are there
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
    // After an error the others may not come to a common end.
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
  // All processes or none.
  const bool failed = made.backend == nullptr;
  if (group.any_of(failed ? 1 : 0) == 0) {
    nccl = std::move(made.backend);
    return;
  }
  // All have one reason, as a rule: the first tells it, or where that could, those that could not.
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
