// SPDX-License-Identifier: MIT
// Gradients summed over processes while the backward pass still runs (Li et al., 2020, "PyTorch
// Distributed: Experiences on Accelerating Data Parallel Training").
//
// Parameters are put into buckets in reverse order of registration, about that in which their
// gradients come out. A hook on each parameter notices its last contribution of a step; a full
// bucket is summed over the processes at once, in the order of the buckets, which is the same
// everywhere. The inner pass of double backpropagation differentiates by the image alone, so that
// it reaches no hook and stays local.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <mutex>
#include <vector>

#include "cdm/distributed/process_group.h"

namespace cdm {

class GradientBuckets {
 public:
  static constexpr std::int64_t kBucketBytes = std::int64_t{25} << 20;

  /// Puts a hook on each of `parameters`, all on one device and of one type, for as long as this
  /// object lives. The group must outlive it. `terms` scalars are summed beside the gradients.
  GradientBuckets(const ProcessGroup& group, std::vector<at::Tensor> parameters, std::int64_t terms,
                  std::int64_t bucket_bytes = kBucketBytes);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  /// Begins a step of `pieces` backward passes, each by autograd::grad with respect to all of the
  /// parameters, by `workers` workers side by side.
  void begin(std::int64_t pieces, std::int64_t workers);

  /// While one of these lives, what a CPU thread differentiates counts as the work of `worker`.
  /// Without one, as that of worker 0. Contributions are added worker by worker, so that sums do
  /// not depend on which thread is faster.
  class AsWorker {
   public:
    explicit AsWorker(std::int64_t worker);
    ~AsWorker();
  };

  /// Ends the step: sums over workers and processes of the gradients, in the parameters' order, and
  /// of `terms` (scalars), in place. Gradients are views of the buckets, good until the next step.
  std::vector<at::Tensor> finish(const std::vector<at::Tensor>& terms);

  /// Buckets whose sum was begun before finish(), in the last step, of how many.
  std::int64_t begun_early() const { return begun_early_; }
  std::int64_t size() const { return static_cast<std::int64_t>(buckets_.size()); }

 private:
  struct Bucket {
    std::vector<std::size_t> parameters;
    at::Tensor flat;           // the gradients one after the other; in the last bucket, the terms
    std::int64_t missing = 0;  // parameters whose gradient is not whole yet
    ProcessGroup::Wait wait;
  };
  struct Entry {
    std::size_t bucket;
    at::Tensor gradient;           // a view of the bucket
    std::vector<at::Tensor> sums;  // of each worker
    std::int64_t missing = 0;      // contributions
    unsigned hook = 0;
  };

  void add(std::size_t parameter, const at::Tensor& gradient);
  void begin_full_buckets();

  const ProcessGroup& group_;
  std::vector<at::Tensor> parameters_;
  std::int64_t terms_;  // room at the end of the last bucket
  std::vector<Entry> entries_;
  std::vector<Bucket> buckets_;
  std::mutex mutex_;
  std::size_t begun_ = 0;  // buckets
  std::int64_t begun_early_ = 0;
};

}  // namespace cdm
