// SPDX-License-Identifier: MIT
// cdm-bench: how fast a configuration trains, samples and scores on this machine.
#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "cdm/device/cuda_graphs.h"
#include "cdm/device/device.h"
#include "cdm/device/memory_advice.h"
#include "cdm/device/precision.h"
#include "cdm/device/random.h"
#include "cdm/ops/flops.h"
#include "cdm/run/start_device.h"
#include "cdm/train/anchor_statistics.h"
#include "cdm/train/learner.h"
#include "cdm/train/make_model.h"
#include "program.h"

namespace {

struct Options {
  std::string config, device;
  std::vector<std::string> set, what;  // empty `what`: all kinds of work that the model can do
  std::int64_t batch = 0, repeats = 5, image_size = 0, channels = 0;
  bool json = false;
};

using Clock = std::chrono::steady_clock;
const Clock::time_point program_start = Clock::now();

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct Timing {
  double first_s;                  // the first call
  std::optional<double> replay_s;  // from its begin to the end of the first call that was replayed
  double median_ms;
  std::optional<double> pipelined_ms;  // on a GPU: of a call among many, with one wait for all
  double images_per_s, flop_per_s;
  std::int64_t peak_memory_bytes;
};

void wait_for(at::Device device) {
  if (device.is_cpu()) return;
  c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

/// Time of `work` in milliseconds: the median of `repeats` runs after two runs of warm-up.
double median_ms(at::Device device, std::int64_t repeats, const std::function<void()>& work) {
  constexpr int kWarmUps = 2;
  for (int i = 0; i < kWarmUps; ++i) work();
  wait_for(device);
  std::vector<double> times;
  for (std::int64_t i = 0; i < repeats; ++i) {
    const auto begin = Clock::now();
    work();
    wait_for(device);
    times.push_back(1000.0 * seconds_since(begin));
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

/// Time of `work` in milliseconds when it is started `repeats` times before the host waits for the
/// device, as in training. On a CPU, which has done the work when a call returns, there is none.
std::optional<double> pipelined_ms(at::Device device, std::int64_t repeats,
                                   const std::function<void()>& work) {
  if (device.is_cpu()) return std::nullopt;
  const auto begin = Clock::now();
  for (std::int64_t i = 0; i < repeats; ++i) work();
  wait_for(device);
  return 1000.0 * seconds_since(begin) / static_cast<double>(repeats);
}

/// The number of rows of the square matrices whose product is the measure of a device: 2048 fill a
/// CPU; a GPU of today is far faster with 8192 (H200, bf16: 790 TFLOP/s instead of 420).
std::int64_t gemm_size(at::Device device) { return device.is_cpu() ? 2048 : 8192; }

/// Floating-point operations per second of a product of two such matrices of type `type`: what the
/// hardware can be expected to reach.
double gemm_flop_per_s(at::Device device, at::ScalarType type) {
  const std::int64_t size = gemm_size(device);
  const at::Tensor a = at::ones({size, size}, at::TensorOptions().dtype(type).device(device));
  at::Tensor out = at::empty_like(a);
  const double ms = median_ms(device, 5, [&] { at::mm_out(out, a, a); });
  const auto n = static_cast<double>(size);
  return 2.0 * n * n * n / (ms / 1000.0);
}

/// The configuration with the batch and image sizes that the options give. Image sizes that neither
/// the options nor the configuration give are the usual ones of data.kind.
cdm::RunConfig with_sizes(cdm::RunConfig config, const Options& options) {
  const bool grey = config.data.kind == cdm::DataKind::fashion_mnist ||
                    config.data.kind == cdm::DataKind::mnist ||
                    config.data.kind == cdm::DataKind::emnist;
  const auto choose = [](std::int64_t& value, std::int64_t given, std::int64_t usual) {
    if (given > 0) value = given;
    if (value == 0) value = usual;
  };
  choose(config.data.image_size, options.image_size, grey ? 28 : 32);
  choose(config.data.channels, options.channels, grey ? 1 : 3);
  choose(config.train.batch_size, options.batch, 0);
  return config;
}

class Bench {
 public:
  Bench(const cdm::RunConfig& config, const cdm::Computation& computation, std::int64_t repeats)
      : config_(config),
        device_(computation.device),
        body_(cdm::precision_of(computation.arithmetic).body),
        repeats_(repeats),
        batch_(config.train.batch_size),
        learner_(config, cdm::network_shape(config), device_),
        images_(cdm::normal(
            {0, cdm::Purpose::noise},
            {batch_, config.data.channels, config.data.image_size, config.data.image_size},
            at::TensorOptions().dtype(at::kFloat).device(device_))),
        levels_(at::full({batch_}, config.diffusion.steps / 2,
                         at::TensorOptions().dtype(at::kLong).device(device_))) {
    if (config.model.num_classes > 0) labels_ = at::zeros_like(levels_);
    // An anchor of these images: its values do not change the time.
    cdm::Dataset dataset;
    dataset.images = images_.to(at::kCPU);
    learner_.set_anchor(cdm::anchor_statistics(config, dataset));
    wait_for(device_);
    ready_s_ = seconds_since(program_start);
  }

  /// From the start of the program until all was ready for the first call of the first work.
  double ready_s() const { return ready_s_; }

  double gemm() {
    if (gemm_ == 0.0) gemm_ = gemm_flop_per_s(device_, body_);
    return gemm_;
  }

  Timing measure(const std::string& what) {
    for (const Work& work : kWork) {
      if (what == work.name) return (this->*work.measure)();
    }
    TORCH_CHECK(false, "no such kind of work: ", what);
  }

  /// The kinds of work that a configuration's model can do.
  static std::vector<std::string> work_of(const cdm::RunConfig& config) {
    std::vector<std::string> names;
    for (const Work& work : kWork) {
      if (config.model.predicts == cdm::Prediction::logits || !work.needs_density) {
        names.emplace_back(work.name);
      }
    }
    return names;
  }

 private:
  struct Work {
    const char* name;
    bool needs_density;
    Timing (Bench::*measure)();
  };
  static const std::array<Work, 3> kWork;

  // The first argument of timing() is the arithmetic of the work, in forward passes.
  Timing train() {
    learner_.take_inputs_from([this](const cdm::StreamIndex& step) {
      return cdm::draw_inputs(config_, learner_.objective(), learner_.model().schedule(), step,
                              images_, labels_);
    });
    return timing(learner_.objective().forward_passes(), [&] { learner_.step(); });
  }
  Timing sample() {  // with a density: a forward pass, and a backward pass for the input's gradient
    return timing(learner_.average().has_density() ? 2.0 : 1.0,
                  [&] { learner_.average().predict_noise(images_, levels_, labels_); });
  }
  Timing nll() {
    return timing(1.0, [&] { learner_.average().density().log_prob(images_, levels_, labels_); });
  }

  /// Times the start first: nothing before it may have made the libraries load or choose kernels.
  Timing timing(double forwards, const std::function<void()>& work) {
    constexpr int kMostCalls = 10;  // by then, what can be recorded is replayed
    Timing timing{};
    const std::int64_t replays = cdm::cuda_graph_replays();
    const auto begin = Clock::now();
    work();
    wait_for(device_);
    timing.first_s = seconds_since(begin);
    if (cdm::use_cuda_graphs(config_.cuda_graphs, device_)) {
      for (int i = 1; i < kMostCalls && cdm::cuda_graph_replays() == replays; ++i) work();
      wait_for(device_);
      if (cdm::cuda_graph_replays() > replays) timing.replay_s = seconds_since(begin);
    }
    timing.median_ms = median_ms(device_, repeats_, work);
    timing.pipelined_ms = pipelined_ms(device_, repeats_, work);
    timing.images_per_s = static_cast<double>(batch_) / (timing.median_ms / 1000.0);
    timing.peak_memory_bytes = cdm::peak_memory_bytes(device_);
    timing.flop_per_s = forwards * forward_flop() / (timing.median_ms / 1000.0);
    return timing;
  }

  double forward_flop() {
    if (forward_flop_ == 0.0) {
      const cdm::ops::FlopCounter counter;
      const c10::NoGradGuard no_grad;
      learner_.average().network()(images_, levels_, labels_);
      forward_flop_ = static_cast<double>(counter.flop());
    }
    return forward_flop_;
  }

  cdm::RunConfig config_;
  at::Device device_;
  at::ScalarType body_;
  std::int64_t repeats_, batch_;
  cdm::Learner learner_;
  at::Tensor images_, levels_, labels_;
  double ready_s_ = 0.0, forward_flop_ = 0.0, gemm_ = 0.0;
};

const std::array<Bench::Work, 3> Bench::kWork = {{{"train", false, &Bench::train},
                                                  {"sample", false, &Bench::sample},
                                                  {"nll", true, &Bench::nll}}};

/// The kinds of work to time. Throws UserError for one that the model cannot do.
std::vector<std::string> chosen_work(const Options& options, const cdm::RunConfig& config) {
  const std::vector<std::string> possible = Bench::work_of(config);
  if (options.what.empty()) return possible;
  for (const std::string& what : options.what) {
    if (std::find(possible.begin(), possible.end(), what) == possible.end()) {
      throw cdm::UserError(cdm::concat(
          "--what ", what, ": a model with model.predicts = ", cdm::name_of(config.model.predicts),
          " has no density; must be one of ", cdm::join(possible, ", ")));
    }
  }
  return options.what;
}

/// A number for a column; "-" when there is none.
std::string column(const std::optional<double>& value, int digits) {
  return value ? cdm::fixed(*value, digits) : "-";
}

void print_heading(const cdm::RunConfig& config, const cdm::Computation& computation,
                   Bench& bench) {
  std::cout << "batch " << config.train.batch_size << " on " << computation.device.str() << ", "
            << at::get_num_threads() << " threads, " << cdm::name_of(computation.arithmetic) << ", "
            << cdm::name_of(config.operations) << " operations, product of matrices of "
            << gemm_size(computation.device) << ": " << cdm::fixed(bench.gemm() / 1e9, 0)
            << " GFLOP/s, ready after " << cdm::fixed(bench.ready_s(), 1) << " s\n"
            << "work   first s  replay s  median ms  pipelined ms   images/s    GFLOP/s  of matrix "
               "product  peak memory\n";
}

void report(const Options& options, const std::vector<std::string>& work,
            const cdm::RunConfig& config, const cdm::Computation& computation) {
  Bench bench(config, computation, options.repeats);
  nlohmann::ordered_json json;
  for (const std::string& what : work) {
    const Timing t = bench.measure(what);
    const double share = t.flop_per_s / bench.gemm();
    json[what] = {{"ready_s", bench.ready_s()},
                  {"first_s", t.first_s},
                  {"median_ms", t.median_ms},
                  {"images_per_s", t.images_per_s},
                  {"peak_memory_bytes", t.peak_memory_bytes},
                  {"flop_per_s", t.flop_per_s},
                  {"share_of_matrix_product", share}};
    if (t.replay_s) json[what]["replay_s"] = *t.replay_s;
    if (t.pipelined_ms) json[what]["pipelined_ms"] = *t.pipelined_ms;
    if (options.json) continue;
    if (what == work.front()) print_heading(config, computation, bench);
    std::printf("%-6s %7.2f %9s %10.1f %13s %10.1f %10.1f %17.0f%% %12s\n", what.c_str(), t.first_s,
                column(t.replay_s, 2).c_str(), t.median_ms, column(t.pipelined_ms, 1).c_str(),
                t.images_per_s, t.flop_per_s / 1e9, 100.0 * share,
                cdm::format_bytes(t.peak_memory_bytes).c_str());
  }
  if (options.json) std::cout << json.dump(2) << "\n";
}

void run(const Options& options) {
  cdm::require_single_process("cdm-bench");
  cdm::RunConfig config = with_sizes(cdm::load_config(options.config, options.set), options);
  if (!options.device.empty()) config.device = options.device;
  const std::vector<std::string> work = chosen_work(options, config);
  const cdm::Computation computation = cdm::start_device(config, cdm::Work::training);
  const auto trial = [&](std::int64_t images) {
    cdm::RunConfig smaller = config;
    smaller.train.batch_size = images;
    Bench bench(smaller, computation, /*repeats=*/1);
    for (const std::string& what : work) bench.measure(what);
  };
  cdm::explain_memory(
      {"--batch", config.train.batch_size}, cdm::memory_meter(computation.device),
      [&] { report(options, work, config, computation); }, trial);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  cdm::Program program;
  program.name = "cdm-bench";
  program.description =
      "Measures the time of a training step, of a sampling step and of scoring a batch of images. "
      "The images are noise: no data set is needed.";
  program.example = "cdm-bench configs/quickstart.yaml --what train,nll --repeats 9";
  program.declare = [&](CLI::App& app) {
    app.add_option("CONFIG", options.config, "configuration file, YAML")->required();
    app.add_option("--set", options.set,
                   "section.key=value: overrides a key of the configuration; repeatable")
        ->allow_extra_args(false);
    app.add_option("--device", options.device,
                   "auto, cpu, cuda or cuda:N; default: the configuration's");
    app.add_option("--what", options.what,
                   "what to measure: train, sample, nll, or several of them (train,nll); default: "
                   "all that the model can do")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->check(CLI::IsMember({"train", "sample", "nll"}));
    app.add_option("--batch", options.batch, "images per batch; default: train.batch_size")
        ->check(CLI::Range(1, 1 << 20));
    app.add_option("--repeats", options.repeats,
                   "number of timed runs of each kind of work; their median is shown")
        ->check(CLI::Range(1, 10000));
    app.add_option("--image-size", options.image_size,
                   "width and height of the images in pixels; default: the configuration's")
        ->check(CLI::Range(1, 4096));
    app.add_option("--channels", options.channels,
                   "channels of the images, 1 or 3; default: the configuration's")
        ->check(CLI::IsMember({1, 3}));
    app.add_flag("--json", options.json, "print the results as one JSON object");
  };
  program.body = [&] { run(options); };
  return cdm::run_program(program, argc, argv);
}
