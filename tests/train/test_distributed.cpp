// SPDX-License-Identifier: MIT
// Processes that work together; here they are threads of one, each with a group of its own, which
// meet over the loopback network as processes do.
#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <chrono>
#include <iostream>
#include <map>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <vector>

#include "cdm/core/error.h"
#include "cdm/device/device.h"
#include "cdm/device/random.h"
#include "cdm/device/recorded.h"
#include "cdm/distributed/gradient_buckets.h"
#include "cdm/distributed/process_group.h"
#include "cdm/distributed/process_rank.h"
#include "distributed/nccl.h"
#include "group.h"
#include "messages.h"

namespace cdm {
namespace {

using test::run_group;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

ProcessRank rank_in(const std::map<std::string, std::string>& variables) {
  return rank_from_environment([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(PlaceOfAProcess, IsTheOnlyOneWithoutALauncher) {
  const ProcessRank process = rank_in({{"MASTER_ADDR", "elsewhere"}, {"SLURM_NTASKS", "8"}});
  EXPECT_EQ(process.rank, 0);
  EXPECT_EQ(process.size, 1);
}

TEST(PlaceOfAProcess, IsAsTorchrunTellsIt) {
  const ProcessRank process = rank_in({{"RANK", "5"},
                                       {"WORLD_SIZE", "8"},
                                       {"LOCAL_RANK", "1"},
                                       {"MASTER_ADDR", "node3"},
                                       {"MASTER_PORT", "1234"},
                                       {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                                       {"TORCHELASTIC_RESTART_COUNT", "2"},
                                       {"SLURM_PROCID", "0"},
                                       {"SLURM_STEP_NUM_TASKS", "2"}});
  EXPECT_EQ(process.rank, 5);
  EXPECT_EQ(process.size, 8);
  EXPECT_EQ(process.local_rank, 1);
  EXPECT_EQ(process.address, "node3");
  EXPECT_EQ(process.port, 1234);
  EXPECT_FALSE(process.hosts_port);
  EXPECT_EQ(process.attempt, "2");
  EXPECT_TRUE(rank_in({{"RANK", "0"}, {"WORLD_SIZE", "2"}}).hosts_port);
}

TEST(PlaceOfAProcess, IsAsSrunTellsIt) {
  const ProcessRank process = rank_in({{"SLURM_PROCID", "9"},
                                       {"SLURM_STEP_NUM_TASKS", "16"},
                                       {"SLURM_LOCALID", "1"},
                                       {"SLURM_STEP_NODELIST", "gpu[07-08]"},
                                       {"SLURM_JOB_ID", "1234567"}});
  EXPECT_EQ(process.rank, 9);
  EXPECT_EQ(process.size, 16);
  EXPECT_EQ(process.local_rank, 1);
  EXPECT_EQ(process.address, "gpu07");
  EXPECT_EQ(process.port, 20000 + 4567);
}

TEST(PlaceOfAProcess, IsAsMpirunTellsIt) {
  std::map<std::string, std::string> variables = {{"OMPI_COMM_WORLD_RANK", "3"},
                                                  {"OMPI_COMM_WORLD_SIZE", "4"},
                                                  {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                                                  {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}};
  EXPECT_EQ(rank_in(variables).address, "127.0.0.1");
  EXPECT_EQ(rank_in(variables).rank, 3);
  EXPECT_EQ(rank_in(variables).local_rank, 1);
  variables["OMPI_COMM_WORLD_LOCAL_SIZE"] = "2";
  EXPECT_THAT([&] { rank_in(variables); }, ThrowsMessage<UserError>(HasSubstr("MASTER_ADDR")));
  variables["MASTER_ADDR"] = "node1";
  EXPECT_EQ(rank_in(variables).address, "node1");
}

TEST(PlaceOfAProcess, NamesTheVariableThatIsWrong) {
  const auto refused = [](const std::map<std::string, std::string>& variables,
                          const auto&... named) {
    EXPECT_THAT([&] { rank_in(variables); }, ThrowsMessage<UserError>(test::mentions(named...)));
  };
  refused({{"RANK", "0"}}, "WORLD_SIZE", "not set");
  refused({{"WORLD_SIZE", "2"}}, "RANK", "not set");
  refused({{"RANK", "2"}, {"WORLD_SIZE", "2"}}, "RANK = 2", "0..1");
  refused({{"RANK", "0"}, {"WORLD_SIZE", "two"}}, "WORLD_SIZE = two");
  refused({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_PORT", "70000"}}, "MASTER_PORT = 70000");
}

TEST(PlaceOfAProcess, FindsTheFirstHostOfAList) {
  EXPECT_EQ(first_host("gpu[007-012,020],login1"), "gpu007");
  EXPECT_EQ(first_host("gpu[3,5]"), "gpu3");
  EXPECT_EQ(first_host("a1,a2"), "a1");
  EXPECT_EQ(first_host("host"), "host");
}

TEST(Shares, FollowOneAnotherAndCoverAllRows) {
  for (const std::int64_t rows : {1, 7, 8, 64}) {
    for (const int size : {1, 2, 3, 8}) {
      std::int64_t next = 0;
      for (int rank = 0; rank < size; ++rank) {
        const RowRange share = rows_of_rank(rows, rank, size);
        EXPECT_EQ(share.first, next);
        EXPECT_LE(share.count, rows / size + 1);
        EXPECT_GE(share.count, rows / size);
        next += share.count;
      }
      EXPECT_EQ(next, rows);
    }
  }
}

TEST(ProcessGroups, SumBroadcastAndAsk) {
  run_group(3, [](const ProcessGroup& group) {
    const at::Tensor mine = at::full({5}, static_cast<double>(1 << group.rank()), at::kDouble);
    group.sum(mine);
    EXPECT_TRUE(at::equal(mine, at::full({5}, 7.0, at::kDouble)));
    const at::Tensor told = at::full({2, 2}, group.rank() + 4, at::kLong);
    group.broadcast(told.t());
    EXPECT_TRUE(at::equal(told, at::full({2, 2}, 4, at::kLong)));
    EXPECT_EQ(group.any_of(std::int64_t{1} << group.rank()), 7);
    EXPECT_EQ(group.any_of(0), 0);
    const at::Tensor passed = at::full({3}, group.rank(), at::kFloat);
    if (group.is_first()) {
      group.receive(passed, 2);
      EXPECT_TRUE(at::equal(passed, at::full({3}, 2, at::kFloat)));
    } else if (group.rank() == 2) {
      group.send(passed, 0);
    }
  });
}

TEST(ProcessGroups, OfOneNeedNoNetwork) {
  const ProcessGroup& group = ProcessGroup::alone();
  const at::Tensor mine = at::ones({2});
  group.sum(mine);
  group.broadcast(mine);
  EXPECT_TRUE(at::equal(mine, at::ones({2})));
  EXPECT_EQ(group.any_of(5), 5);
  group.require_equal("a", "b");
}

TEST(ProcessGroups, RefuseWhatDiffers) {
  run_group(2, [](const ProcessGroup& group) {
    group.require_equal("same", "the configuration");
    EXPECT_THAT([&] { group.require_equal(std::to_string(group.rank()), "the configuration"); },
                ThrowsMessage<UserError>(test::mentions("the configuration", "differs")));
  });
}

TEST(ProcessGroups, NoticeALostProcess) {
  run_group(2, [](const ProcessGroup& group) {
    if (!group.is_first()) return;  // its connections close
    EXPECT_THAT(
        [&] { group.sum(at::ones({4})); },
        ThrowsMessage<std::runtime_error>(HasSubstr("rank 0 of 2: another process is gone")));
  });
}

/// A small network in which the bias is used twice, so that its gradient comes in two parts.
at::Tensor loss_of(const std::vector<at::Tensor>& p, const at::Tensor& x) {
  return (((x.matmul(p[0]) + p[1]).tanh().matmul(p[2]) + p[1].sum()).sin()).sum();
}

std::vector<at::Tensor> parameters() {
  std::vector<at::Tensor> made;
  const std::vector<std::vector<std::int64_t>> shapes = {{6, 5}, {5}, {5, 3}};
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    made.push_back(
        normal({7, Purpose::parameters, i}, shapes[i], at::TensorOptions().dtype(at::kDouble))
            .requires_grad_(true));
  }
  return made;
}

TEST(Buckets, HoldTheSumOverPiecesWorkersAndProcesses) {
  const at::Tensor x =
      normal({8, Purpose::noise, 0}, {8, 6}, at::TensorOptions().dtype(at::kDouble));
  const std::vector<at::Tensor> whole = parameters();
  const std::vector<at::Tensor> expected = torch::autograd::grad({loss_of(whole, x)}, whole);

  run_group(2, [&](const ProcessGroup& group) {
    const std::vector<at::Tensor> mine = parameters();
    GradientBuckets buckets(group, mine, /*terms=*/1, /*bucket_bytes=*/1);
    EXPECT_EQ(buckets.size(), 3);
    for (int step = 0; step < 2; ++step) {
      buckets.begin(4, 2);
      for (std::int64_t piece = 0; piece < 4; ++piece) {
        const GradientBuckets::AsWorker as_worker(piece % 2);
        const at::Tensor loss = loss_of(mine, x.narrow(0, group.rank() * 4 + piece, 1));
        torch::autograd::grad({loss}, mine);
        // All but the last piece leave nothing to begin with.
        EXPECT_EQ(buckets.begun_early(), piece < 3 ? 0 : 2);
      }
      const at::Tensor term = at::full({}, group.rank() + 1.0, at::kDouble);
      const std::vector<at::Tensor> found = buckets.finish({term});
      ASSERT_EQ(found.size(), expected.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        EXPECT_TRUE(at::allclose(found[i], expected[i], 1e-12, 1e-12)) << i;
      }
      EXPECT_EQ(term.item<double>(), 3.0);
    }
  });
}

/// An NCCL group of this process alone.
NcclGroup nccl_alone() {
  NcclGroup made;
  make_nccl_group(c10::make_intrusive<c10d::HashStore>(), 0, 1, std::chrono::minutes(1), made);
  return made;
}

TEST(Nccl, SaysWhyItIsNotThere) {
  if (resolve_device("auto").is_cuda()) GTEST_SKIP() << "there is a CUDA device";
  const NcclGroup made = nccl_alone();
  EXPECT_EQ(made.backend, nullptr);
  EXPECT_NE(made.error, "");
}

TEST(Nccl, SumsOnOneGpu) {
  const at::Device device = resolve_device("auto");
  if (!device.is_cuda()) GTEST_SKIP() << "no CUDA device";
  const NcclGroup made = nccl_alone();
  ASSERT_NE(made.backend, nullptr) << made.error;
  std::vector<at::Tensor> tensors = {at::ones({5}, device)};
  made.backend->allreduce(tensors)->wait();
  made.backend->broadcast(tensors)->wait();
  EXPECT_EQ(tensors[0].sum().item<double>(), 5.0);
  made.backend->shutdown();
}

// Steps of several processes are not recorded (Learner). This shows whether they could be: a sum by
// NCCL within a recording gives the right numbers, replayed or not.
TEST(Nccl, SumsWithinARecordingOnOneGpu) {
  const at::Device device = resolve_device("auto");
  if (!device.is_cuda()) GTEST_SKIP() << "no CUDA device";
  const NcclGroup made = nccl_alone();
  ASSERT_NE(made.backend, nullptr) << made.error;
  const auto twice_the_sum = [&](const Recorded::Tensors& in) -> Recorded::Tensors {
    std::vector<at::Tensor> tensors = {in[0].clone()};
    made.backend->allreduce(tensors)->wait();
    return {tensors[0] * 2.0};
  };
  Recorded recorded(twice_the_sum, cuda_graphs(device));
  for (int call = 1; call <= 8; ++call) {
    const at::Tensor result = recorded({at::full({5}, call, device)})[0];
    EXPECT_EQ(result.sum().item<double>(), 10.0 * call);
  }
  std::cout << "a sum by NCCL is " << (recorded.replayed() ? "" : "not ") << "replayed\n";
  made.backend->shutdown();
}

TEST(Nccl, ItsAbsenceIsToldOnce) {
  if (resolve_device("auto").is_cuda()) GTEST_SKIP() << "there is a CUDA device";
  testing::internal::CaptureStderr();
  run_group(3, [](const ProcessGroup& group) {
    // Not on the CPU, hence a tensor for NCCL; it has no values to send in another way.
    const at::Tensor elsewhere = at::ones({2}, at::Device(at::kMeta));
    EXPECT_ANY_THROW(group.start_sum(elsewhere));
  });
  const std::string told = testing::internal::GetCapturedStderr();
  const std::string what = "NCCL is not used";
  const std::size_t first = told.find(what);
  EXPECT_NE(first, std::string::npos) << told;
  EXPECT_EQ(told.find(what, first + 1), std::string::npos) << told;
}

TEST(Buckets, AreBegunWhileTheBackwardPassRuns) {
  run_group(2, [](const ProcessGroup& group) {
    const std::vector<at::Tensor> mine = parameters();
    // Called before the hook of the buckets: the bias's own bucket is not full yet.
    std::int64_t begun_at_the_bias = -1;
    const GradientBuckets* made = nullptr;
    const unsigned bias_hook =
        mine[1].register_hook([&](const at::Tensor&) { begun_at_the_bias = made->begun_early(); });
    GradientBuckets buckets(group, mine, /*terms=*/0, /*bucket_bytes=*/1);
    made = &buckets;
    std::int64_t begun_at_the_first_layer = -1;
    const unsigned hook = mine[0].register_hook(
        [&](const at::Tensor&) { begun_at_the_first_layer = buckets.begun_early(); });
    buckets.begin(1, 1);
    torch::autograd::grad({loss_of(mine, at::ones({2, 6}, at::kDouble))}, mine);
    buckets.finish({});
    mine[0].remove_hook(hook);
    mine[1].remove_hook(bias_hook);
    EXPECT_EQ(begun_at_the_bias, 1);
    EXPECT_GE(begun_at_the_first_layer, 1);
  });
}

TEST(Buckets, DoNotSeeAnInnerInputGradient) {
  run_group(2, [](const ProcessGroup& group) {
    const std::vector<at::Tensor> mine = parameters();
    GradientBuckets buckets(group, mine, /*terms=*/0, /*bucket_bytes=*/1);
    const at::Tensor x = at::ones({2, 6}, at::kDouble).requires_grad_(true);
    buckets.begin(1, 1);
    const at::Tensor inner = torch::autograd::grad({loss_of(mine, x)}, {x}, {}, true, true)[0];
    EXPECT_EQ(buckets.begun_early(), 0);
    torch::autograd::grad({inner.square().sum()}, mine);
    EXPECT_EQ(buckets.begun_early(), 2);
    buckets.finish({});
  });
}

}  // namespace
}  // namespace cdm
