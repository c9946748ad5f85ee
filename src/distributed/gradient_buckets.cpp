// SPDX-License-Identifier: MIT
#include "cdm/distributed/gradient_buckets.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <utility>

namespace cdm {
namespace {

thread_local std::int64_t current_worker = 0;

}  // namespace

GradientBuckets::AsWorker::AsWorker(std::int64_t worker) { current_worker = worker; }
GradientBuckets::AsWorker::~AsWorker() { current_worker = 0; }

GradientBuckets::GradientBuckets(const ProcessGroup& group, std::vector<at::Tensor> parameters,
                                 std::int64_t terms, std::int64_t bucket_bytes)
    : group_(group),
      parameters_(std::move(parameters)),
      terms_(terms),
      entries_(parameters_.size()) {
  std::int64_t bytes = bucket_bytes;  // in the bucket that is being filled
  for (std::size_t i = parameters_.size(); i-- > 0;) {
    if (bytes >= bucket_bytes) {
      buckets_.emplace_back();
      bytes = 0;
    }
    buckets_.back().parameters.push_back(i);
    entries_[i].bucket = buckets_.size() - 1;
    bytes += static_cast<std::int64_t>(parameters_[i].nbytes());
  }
  for (Bucket& bucket : buckets_) {
    std::int64_t size = &bucket == &buckets_.back() ? terms_ : 0;
    for (const std::size_t i : bucket.parameters) size += parameters_[i].numel();
    bucket.flat = at::zeros({size}, parameters_.front().options().requires_grad(false));
    std::int64_t offset = 0;
    for (const std::size_t i : bucket.parameters) {
      entries_[i].gradient =
          bucket.flat.narrow(0, offset, parameters_[i].numel()).view(parameters_[i].sizes());
      offset += parameters_[i].numel();
    }
  }
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    entries_[i].hook =
        parameters_[i].register_hook([this, i](const at::Tensor& gradient) { add(i, gradient); });
  }
}

GradientBuckets::~GradientBuckets() {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    parameters_[i].remove_hook(entries_[i].hook);
  }
}

void GradientBuckets::begin(std::int64_t pieces, std::int64_t workers) {
  begun_ = 0;
  begun_early_ = 0;
  for (Entry& entry : entries_) {
    entry.missing = pieces;
    entry.sums.assign(static_cast<std::size_t>(workers), at::Tensor());
  }
  for (Bucket& bucket : buckets_) {
    bucket.missing = static_cast<std::int64_t>(bucket.parameters.size());
  }
}

void GradientBuckets::add(std::size_t parameter, const at::Tensor& gradient) {
  Entry& entry = entries_[parameter];
  // No lock is needed here: only the worker's own thread uses its sum.
  at::Tensor& sum = entry.sums[static_cast<std::size_t>(current_worker)];
  if (sum.defined()) {
    sum.add_(gradient);
  } else {
    sum = gradient;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (--entry.missing > 0) return;
  entry.gradient.copy_(entry.sums.front());
  for (std::size_t worker = 1; worker < entry.sums.size(); ++worker) {
    entry.gradient.add_(entry.sums[worker]);
  }
  entry.sums.clear();
  --buckets_[entry.bucket].missing;
  begin_full_buckets();
}

void GradientBuckets::begin_full_buckets() {
  // Not the last bucket: it is started by finish(), with the terms.
  for (; begun_ + 1 < buckets_.size() && buckets_[begun_].missing == 0; ++begun_) {
    buckets_[begun_].wait = group_.start_sum(buckets_[begun_].flat);
    ++begun_early_;
  }
}

std::vector<at::Tensor> GradientBuckets::finish(const std::vector<at::Tensor>& terms) {
  Bucket& last = buckets_.back();
  TORCH_CHECK(last.missing == 0 && begun_ + 1 == buckets_.size(),
              "finish() before every parameter had its gradient");
  TORCH_CHECK(static_cast<std::int64_t>(terms.size()) == terms_, "not as many terms as announced");
  const at::Tensor tail = last.flat.narrow(0, last.flat.size(0) - terms_, terms_);
  for (std::size_t i = 0; i < terms.size(); ++i) {
    tail[static_cast<std::int64_t>(i)].copy_(terms[i]);
  }
  last.wait = group_.start_sum(last.flat);
  for (Bucket& bucket : buckets_) bucket.wait();
  for (std::size_t i = 0; i < terms.size(); ++i) {
    terms[i].copy_(tail[static_cast<std::int64_t>(i)]);
  }
  std::vector<at::Tensor> gradients;
  for (const Entry& entry : entries_) gradients.push_back(entry.gradient);
  return gradients;
}

}  // namespace cdm
