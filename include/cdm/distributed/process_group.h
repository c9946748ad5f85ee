// SPDX-License-Identifier: MIT
// A group of processes that work on one run, each with a device of its own. It uses c10d,
// LibTorch's library for distributed work.
//
// Every process must make the same calls in the same order. If another process has ended, a call
// throws std::runtime_error or the process ends with an error; it does not wait for ever.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cdm/config/kinds.h"
#include "cdm/device/parallel.h"
#include "cdm/distributed/process_rank.h"

namespace cdm {

class ProcessGroup {
 public:
  /// Connects to the other processes. Waits a few minutes for them, then throws std::runtime_error
  /// with address and port. A group of one process uses no network. `collectives` says what sums
  /// tensors of GPUs; it must be the same in all processes.
  explicit ProcessGroup(const ProcessRank& process = {},
                        Collectives collectives = Collectives::automatic);
  ~ProcessGroup();
  /// The group that consists of this process only.
  static const ProcessGroup& alone();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  int rank() const { return process_.rank; }
  int size() const { return process_.size; }
  int local_rank() const { return process_.local_rank; }
  /// Whether this is the process of rank 0, which writes files and reports for all.
  bool is_first() const { return rank() == 0; }
  bool is_alone() const { return size() == 1; }

  /// Waits until a sum that was started is complete.
  using Wait = std::function<void()>;

  /// Starts to replace `tensor` (contiguous, any device) in every process by the sum of the tensors
  /// of all processes. The result is the same to the last bit in every process. Do not use `tensor`
  /// before the returned function has been called and has returned.
  Wait start_sum(const at::Tensor& tensor) const;
  void sum(const at::Tensor& tensor) const { start_sum(tensor)(); }

  /// Replaces `tensor` (any device) by the tensor of rank 0.
  void broadcast(const at::Tensor& tensor) const;

  /// The bitwise OR of the `bits` of all processes.
  std::int64_t any_of(std::int64_t bits) const;

  /// Sends a tensor to another process, or receives one from it. Both are on the CPU and have the
  /// same shape and type.
  void send(const at::Tensor& tensor, int to) const;
  void receive(const at::Tensor& tensor, int from) const;

  /// Throws UserError, saying `what` differs, unless `text` is the same in every process.
  void require_equal(const std::string& text, const std::string& what) const;

 private:
  struct Backend;

  ProcessRank process_;
  Collectives collectives_;
  std::unique_ptr<Backend> backend_;  // null in a group of one
};

/// The rows of a batch of `rows` rows that process `rank` of `size` works on. Each rank has the
/// rows after those of the rank before it. Their numbers of rows differ by one at most.
RowRange rows_of_rank(std::int64_t rows, int rank, int size);

}  // namespace cdm
