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
#include "cdm/distributed/place.h"

namespace cdm {

class ProcessGroup {
 public:
  /// Waits until all processes are there, a few minutes at most. Throws std::runtime_error, naming
  /// address and port, when they are not. A group of one needs no network.
  /// `collectives` must be the same in all processes.
  explicit ProcessGroup(const Place& place = {}, Collectives collectives = Collectives::automatic);
  ~ProcessGroup();
  /// A group of one.
  static const ProcessGroup& alone();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  int rank() const { return place_.rank; }
  int size() const { return place_.size; }
  int local_rank() const { return place_.local_rank; }
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

  Place place_;
  Collectives collectives_;
  std::unique_ptr<Backend> backend_;  // null when alone
};

/// Rows of a batch of `rows` that are the share of `rank` among `size`: first, and how many. Shares
/// follow one another and differ by one row at most.
struct Share {
  std::int64_t first, count;
};
Share share_of(std::int64_t rows, int rank, int size);

}  // namespace cdm
