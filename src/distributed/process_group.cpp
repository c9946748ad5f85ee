// SPDX-License-Identifier: MIT
#include "cdm/distributed/process_group.h"

#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <utility>

#include "cdm/error.h"
#include "cdm/text.h"

namespace cdm {
namespace {

// Of the start, when the other processes may still be loading their programs.
constexpr std::chrono::minutes kJoinTimeout{3};
// Of a later call: longer than any process is busy alone. One that ends is noticed at once, by its
// closed connections; a machine that vanishes with its network, after this long.
constexpr std::chrono::minutes kTimeout{30};

c10::intrusive_ptr<c10d::Store> open_store(const Place& place) {
  c10d::TCPStoreOptions options;
  options.port = place.port;
  options.isServer = place.rank == 0 && place.hosts_port;
  options.waitWorkers = false;
  options.timeout = kJoinTimeout;
  auto store = c10::make_intrusive<c10d::TCPStore>(place.address, options);
  // A restart must not meet the keys of the attempt before it.
  return c10::make_intrusive<c10d::PrefixStore>(concat("cdm/", place.attempt), std::move(store));
}

/// Gloo's network device: GLOO_SOCKET_IFNAME's, else that of this machine's name.
auto network_device() {
  const char* const interface = std::getenv("GLOO_SOCKET_IFNAME");
  return interface == nullptr ? c10d::ProcessGroupGloo::createDefaultDevice()
                              : c10d::ProcessGroupGloo::createDeviceForInterface(interface);
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string name_of(const Place& place) { return concat("rank ", place.rank, " of ", place.size); }

void wait_for(const c10::intrusive_ptr<c10d::Work>& work, const Place& place) {
  try {
    work->wait();
  } catch (const std::exception& error) {
    throw LostProcess(
        concat(name_of(place), ": another process is gone: ", first_line(error.what())));
  }
}

}  // namespace

struct ProcessGroup::Backend {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
};

ProcessGroup::ProcessGroup(const Place& place) : place_(place) {
  if (is_alone()) return;
  try {
    backend_ = std::make_unique<Backend>();
    backend_->store = open_store(place);
    auto options = c10d::ProcessGroupGloo::Options::create(kJoinTimeout);
    options->devices.push_back(network_device());
    backend_->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(backend_->store, place.rank,
                                                                 place.size, options);
    any_of(0);  // all are there
    backend_->gloo->setTimeout(kTimeout);
  } catch (const std::exception& error) {
    throw std::runtime_error(concat(name_of(place), ": the processes did not all meet at ",
                                    place.address, " port ", place.port, ": ",
                                    first_line(error.what())));
  }
}

ProcessGroup::~ProcessGroup() = default;

const ProcessGroup& ProcessGroup::alone() {
  static const ProcessGroup group;
  return group;
}

ProcessGroup::Wait ProcessGroup::start_sum(const at::Tensor& tensor) const {
  if (is_alone()) return [] {};
  const at::Tensor host = tensor.to(at::kCPU);
  std::vector<at::Tensor> tensors = {host};
  auto work = backend_->gloo->allreduce(tensors);
  return [work, host, tensor, place = place_] {
    wait_for(work, place);
    if (!tensor.is_same(host)) tensor.copy_(host);
  };
}

void ProcessGroup::broadcast(const at::Tensor& tensor) const {
  if (is_alone()) return;
  const at::Tensor host = tensor.to(at::kCPU).contiguous();
  std::vector<at::Tensor> tensors = {host};
  wait_for(backend_->gloo->broadcast(tensors), place_);
  if (!tensor.is_same(host)) tensor.copy_(host);
}

std::int64_t ProcessGroup::any_of(std::int64_t bits) const {
  if (is_alone()) return bits;
  std::vector<at::Tensor> tensors = {at::full({1}, bits, at::kLong)};
  c10d::AllreduceOptions options;
  options.reduceOp = c10d::ReduceOp::BOR;
  wait_for(backend_->gloo->allreduce(tensors, options), place_);
  return tensors[0].item<std::int64_t>();
}

void ProcessGroup::send(const at::Tensor& tensor, int to) const {
  std::vector<at::Tensor> tensors = {tensor.contiguous()};
  wait_for(backend_->gloo->send(tensors, to, 0), place_);
}

void ProcessGroup::receive(const at::Tensor& tensor, int from) const {
  std::vector<at::Tensor> tensors = {tensor};
  wait_for(backend_->gloo->recv(tensors, from, 0), place_);
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

Share share_of(std::int64_t rows, int rank, int size) {
  const std::int64_t each = rows / size;
  const std::int64_t larger = rows % size;
  return {rank * each + std::min<std::int64_t>(rank, larger), each + (rank < larger ? 1 : 0)};
}

}  // namespace cdm
