// SPDX-License-Identifier: MIT
// Processes that work together, each with a device of its own, through torch's c10d.
//
// Every process must make the same calls in the same order. A call that fails because another
// process is gone throws std::runtime_error; nothing waits for a dead one.
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
  /// Waits until all processes are there, a few minutes at most. Throws std::runtime_error, naming
  /// address and port, when they are not. A group of one needs no network.
  /// `collectives` must be the same in all processes.
  explicit ProcessGroup(const ProcessRank& process = {},
                        Collectives collectives = Collectives::automatic);
  ~ProcessGroup();
  /// A group of one.
  static const ProcessGroup& alone();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  int rank() const { return process_.rank; }
  int size() const { return process_.size; }
  int local_rank() const { return process_.local_rank; }
  /// Whether this process writes and reports what all have done: that of rank 0.
  bool is_first() const { return rank() == 0; }
  bool is_alone() const { return size() == 1; }

  /// Where calculation of `tensor` on the group is under way; the call waits for its end.
  using Wait = std::function<void()>;

  /// Replaces `tensor` (contiguous, any device) in every process by the sum over all of them, the
  /// same to the last bit everywhere.
  Wait start_sum(const at::Tensor& tensor) const;
  void sum(const at::Tensor& tensor) const { start_sum(tensor)(); }

  /// Replaces `tensor` by that of rank 0.
  void broadcast(const at::Tensor& tensor) const;

  /// Bits that are set in any process.
  std::int64_t any_of(std::int64_t bits) const;

  /// Sends to, or receives from, one other process; tensors on the CPU, of equal shape and type.
  void send(const at::Tensor& tensor, int to) const;
  void receive(const at::Tensor& tensor, int from) const;

  /// Throws UserError, saying `what` differs, unless `text` is the same in every process.
  void require_equal(const std::string& text, const std::string& what) const;

 private:
  struct Backend;

  ProcessRank process_;
  Collectives collectives_;
  std::unique_ptr<Backend> backend_;  // null when alone
};

/// The rows of a batch of `rows` that process `rank` of `size` works on. The ranges of the ranks
/// follow one another, and their sizes differ by one row at most.
RowRange rows_of_rank(std::int64_t rows, int rank, int size);

}  // namespace cdm
