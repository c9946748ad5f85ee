// SPDX-License-Identifier: MIT
// Batches cut into pieces: all rows once, and the same numbers with any number of threads.
#include <ATen/Parallel.h>
#include <ATen/ops/equal.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "cdm/device/parallel.h"
#include "cdm/inference/evaluators.h"
#include "cdm/ops/flops.h"
#include "cdm/train/learner.h"
#include "support.h"

namespace cdm {
namespace {

using test::expect_close;

/// Sets the number of threads, and the old one back.
class Threads {
 public:
  explicit Threads(int count) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_ = at::get_num_threads();
};

TEST(CutBatch, CoversAllRowsOnceInPiecesOfNearlyOneSize) {
  for (const int threads : {1, 2, 3, 8}) {
    const Threads set(threads);
    for (std::int64_t rows = 1; rows <= 40; ++rows) {
      for (const std::int64_t largest : {0, 1, 3, 7, 100}) {
        const std::vector<RowRange> pieces = cut_batch(rows, at::kCPU, largest);
        std::int64_t next = 0;
        std::int64_t least = rows;
        std::int64_t most = 0;
        for (const RowRange& piece : pieces) {
          ASSERT_EQ(piece.first, next);
          ASSERT_GT(piece.count, 0);
          next += piece.count;
          least = std::min(least, piece.count);
          most = std::max(most, piece.count);
        }
        ASSERT_EQ(next, rows);
        ASSERT_LE(most - least, 1);
        ASSERT_LE(most, largest > 0 ? largest : rows);
        ASSERT_EQ(worker_count(pieces, at::kCPU), rows >= threads ? threads : 1) << rows;
      }
    }
  }
}

TEST(CutBatch, NoRowsAreOneEmptyPiece) {
  const Threads set(2);
  const std::vector<RowRange> pieces = cut_batch(0, at::kCPU, 3);
  ASSERT_EQ(pieces.size(), 1U);
  EXPECT_EQ(pieces[0].count, 0);
}

TEST(CutBatch, AGpuTakesTheBatchWhole) {
  const Threads set(4);
  EXPECT_EQ(cut_batch(100, at::kCUDA).size(), 1U);
  EXPECT_EQ(cut_batch(100, at::kCUDA, 30).size(), 4U);
  EXPECT_EQ(worker_count(cut_batch(100, at::kCUDA, 30), at::kCUDA), 1);
}

TEST(ForEachPiece, WorksOnEachOnceAndEachWorkerInOrder) {
  for (const int threads : {1, 2, 4}) {
    const Threads set(threads);
    const std::vector<RowRange> pieces = cut_batch(40, at::kCPU, 3);
    const std::int64_t workers = worker_count(pieces, at::kCPU);
    std::vector<std::vector<std::int64_t>> rows_of(static_cast<std::size_t>(workers));
    std::set<std::thread::id> seen;
    std::mutex mutex;
    for_each_piece(pieces, at::kCPU, [&](std::int64_t worker, std::size_t index) {
      const RowRange& piece = pieces[index];
      EXPECT_EQ(at::in_parallel_region(), workers > 1);
      EXPECT_EQ(at::get_num_threads(), 1) << "operations would wait for threads they do not get";
      const std::lock_guard<std::mutex> lock(mutex);
      seen.insert(std::this_thread::get_id());
      for (std::int64_t i = 0; i < piece.count; ++i) {
        rows_of.at(static_cast<std::size_t>(worker)).push_back(piece.first + i);
      }
    });
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(threads));
    EXPECT_EQ(at::get_num_threads(), threads);
    std::vector<std::int64_t> all;
    for (const auto& rows : rows_of) {
      EXPECT_FALSE(rows.empty());
      EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
      all.insert(all.end(), rows.begin(), rows.end());
    }
    std::sort(all.begin(), all.end());
    ASSERT_EQ(all.size(), 40U);
    for (std::int64_t i = 0; i < 40; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)], i);
  }
}

TEST(ForEachPiece, KeepsTheCallersGradientMode) {
  const Threads set(2);
  const std::vector<RowRange> pieces = cut_batch(8, at::kCPU);
  ASSERT_EQ(pieces.size(), 2U);
  for (const bool enabled : {true, false}) {
    const c10::AutoGradMode mode(enabled);
    for_each_piece(pieces, at::kCPU, [&](std::int64_t, std::size_t) {
      EXPECT_EQ(c10::GradMode::is_enabled(), enabled);
    });
  }
}

TEST(ForEachPiece, PassesOnErrors) {
  const Threads set(2);
  const std::vector<RowRange> pieces = cut_batch(8, at::kCPU);
  EXPECT_THROW(for_each_piece(pieces, at::kCPU,
                              [](std::int64_t worker, std::size_t) {
                                if (worker == 1) throw std::runtime_error("of one thread");
                              }),
               std::runtime_error);
}

class AnyThreads : public testing::TestWithParam<std::int64_t> {};

TEST_P(AnyThreads, LossesAndGradientsAreEqualToRounding) {
  RunConfig config = test::small_config(20, GetParam());
  config.model.dropout = 0.3;
  const NoiseSchedule schedule(config.diffusion);
  const at::Tensor x0 = test::numbers(1, {5, 1, 8, 8}).tanh();
  const at::Tensor labels =
      integers({1, Purpose::noise, 2}, 5, std::max<std::int64_t>(GetParam(), 1));
  const StepInputs inputs = test::step_inputs(config, 3, x0, labels);
  Learner learner(config, {1, 8, schedule.levels()}, at::kCPU, at::kDouble);
  const auto with = [&](int threads) {
    const Threads set(threads);
    return learner.loss_gradients(inputs);
  };
  const LossGradients one = with(1);
  for (const int threads : {2, 3, 5}) {  // with pieces of different sizes, and of one row each
    const LossGradients many = with(threads);
    for (const std::string name : {"loss", "ce", "mse", "accuracy"}) {
      expect_close(many[name], one[name], name == "accuracy" ? 1e-7 : 1e-12, name);
    }
    ASSERT_EQ(many.gradients.size(), one.gradients.size());
    for (std::size_t i = 0; i < one.gradients.size(); ++i) {
      const std::string& name = learner.model().network().parameters()[i].first;
      const double scale = one.gradients[i].abs().max().item<double>();
      // The bias of attn.k has no effect: its gradient is rounding.
      if (scale < 1e-14) continue;
      expect_close(many.gradients[i], one.gradients[i], 1e-10, name);
    }
    // And the very same a second time.
    const LossGradients again = with(threads);
    EXPECT_TRUE(at::equal(again["loss"], many["loss"]));
    EXPECT_TRUE(at::equal(again.gradients[0], many.gradients[0]));
  }
}

INSTANTIATE_TEST_SUITE_P(Parallel, AnyThreads, testing::Values(0, 3));

TEST(Parallel, TrainsInSinglePrecision) {
  // oneDNN's convolutions, which double precision does not use.
  RunConfig config = test::small_config();
  config.model.channels = 32;
  const NoiseSchedule schedule(config.diffusion);
  const at::Tensor x0 = test::numbers(1, {8, 1, 16, 16}, at::kFloat).tanh();
  const StepInputs inputs = test::step_inputs(config, 3, x0);
  Learner learner(config, {1, 16, schedule.levels()}, at::kCPU);
  const auto with = [&](int threads) {
    const Threads set(threads);
    const ops::FlopCounter counter;
    const at::Tensor loss = learner.loss_gradients(inputs)["loss"];
    return std::pair(loss, counter.flop());
  };
  const auto [loss, flop] = with(1);
  EXPECT_GT(flop, 0);
  for (const int threads : {2, 4}) {
    const auto [other_loss, other_flop] = with(threads);
    expect_close(other_loss, loss, 1e-5, "loss");
    EXPECT_EQ(other_flop, flop) << "counted in " << threads << " threads";
  }
}

TEST(Parallel, ModelsGiveTheSameNumbers) {
  const Model model =
      test::small_model(test::small_config(20, 3)).with_evaluator(parallel_evaluator());
  const at::Tensor x = test::numbers(1, {7, 1, 8, 8});
  const at::Tensor t = integers({1, Purpose::level, 0}, 7, 22);
  const at::Tensor labels = integers({1, Purpose::level, 1}, 7, 3);
  const auto with = [&](int threads) {
    const Threads set(threads);
    const auto [log_prob, score] = model.density().log_prob_and_score(x, t, labels, 0.5);
    return std::vector<at::Tensor>{log_prob, score, model.predict_noise(x, t, labels, 0.5),
                                   model.density().log_prob_all_levels(x)};
  };
  const std::vector<at::Tensor> one = with(1);
  for (const int threads : {2, 4}) {
    const std::vector<at::Tensor> many = with(threads);
    for (std::size_t i = 0; i < one.size(); ++i) {
      expect_close(many[i], one[i], 1e-12, std::to_string(i));
    }
  }
}

}  // namespace
}  // namespace cdm
