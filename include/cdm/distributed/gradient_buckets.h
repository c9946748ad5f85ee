// SPDX-License-Identifier: MIT
// Sums gradients over processes while the backward pass still runs (Li et al., 2020, "PyTorch
// Distributed: Experiences on Accelerating Data Parallel Training").
//
// The gradients of several parameters share a bucket: one flat tensor, which is summed in one
// operation. Parameters are put into buckets in reverse order of registration, because a backward
// pass computes their gradients in about that order. A hook on each parameter counts the gradients
// that arrive for it. The sum of a bucket over the processes is started as soon as the bucket and
// all buckets before it are complete, so the order is the same in every process. In double
// backpropagation, the inner backward pass differentiates with respect to the image only, and calls
// no hook.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <mutex>
#include <vector>

#include "cdm/distributed/process_group.h"

namespace cdm {

class GradientBuckets {
 public:
  static constexpr std::int64_t kBucketBytes = std::int64_t{25} << 20;  // 25 MiB, as in PyTorch

  /// Puts a hook on each of `parameters`, which are on one device and of one type. The destructor
  /// removes the hooks. The group must outlive this object. `terms` is the number of scalars (terms
  /// of the loss) that finish() sums together with the gradients. A bucket is closed when it has
  /// `bucket_bytes` bytes or more.
  GradientBuckets(const ProcessGroup& group, std::vector<at::Tensor> parameters, std::int64_t terms,
                  std::int64_t bucket_bytes = kBucketBytes);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  /// Begins a step that consists of `pieces` backward passes, each a call of autograd::grad with
  /// respect to all parameters. `workers` workers make these calls at the same time.
  void begin(std::int64_t pieces, std::int64_t workers);

  /// While an object of this class exists, gradients that its CPU thread computes count as those of
  /// `worker`; otherwise as those of worker 0. The sums of the workers are added in the workers'
  /// order, so that the result does not depend on which thread is faster.
  class AsWorker {
   public:
    explicit AsWorker(std::int64_t worker);
    ~AsWorker();
  };

  /// Ends the step and waits for the sums. Returns the gradients in the parameters' order, summed
  /// over pieces and processes; they are views of the buckets, valid until the next step. Replaces
  /// each of `terms` (scalars, already summed over the pieces of this process) by its sum over the
  /// processes.
  std::vector<at::Tensor> finish(const std::vector<at::Tensor>& terms);

  /// The number of buckets whose sum was started before finish(), in the last step.
  std::int64_t begun_early() const { return begun_early_; }
  /// The number of buckets.
  std::int64_t size() const { return static_cast<std::int64_t>(buckets_.size()); }

 private:
  struct Bucket {
    std::vector<std::size_t> parameters;
    at::Tensor flat;           // its gradients one after the other, then the terms in the last one
    std::int64_t missing = 0;  // parameters whose gradient is not complete yet
    ProcessGroup::Wait wait;
  };
  struct Entry {
    std::size_t bucket;
    at::Tensor gradient;           // a view of the bucket
    std::vector<at::Tensor> sums;  // the sum of each worker's gradients
    std::int64_t missing = 0;      // pieces whose gradient has not arrived yet
    unsigned hook = 0;
  };

  void add(std::size_t parameter, const at::Tensor& gradient);
  void begin_full_buckets();

  const ProcessGroup& group_;
  std::vector<at::Tensor> parameters_;
  std::int64_t terms_;
  std::vector<Entry> entries_;
  std::vector<Bucket> buckets_;
  std::mutex mutex_;
  std::size_t begun_ = 0;  // buckets whose sum was started
  std::int64_t begun_early_ = 0;
};

}  // namespace cdm
