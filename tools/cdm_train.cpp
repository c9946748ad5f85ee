// SPDX-License-Identifier: MIT
// cdm-train: trains a model, or resumes a training.
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/text.h"
#include "cdm/run/prepare.h"
#include "cdm/run/replay.h"
#include "cdm/run/start_device.h"
#include "cdm/run/stop_signal.h"
#include "cdm/run/trainer.h"
#include "cdm/train/make_model.h"
#include "program.h"

namespace {

struct Options {
  std::string config, config_option, run_dir, device;
  std::vector<std::string> set;
  std::int64_t replay_step = 0;
  bool dry_run = false, help_config = false, markdown = false, from_scratch = false;
};

namespace fs = std::filesystem;

/// The folder of the run: --run-dir; else the folder of the configuration if that is the
/// config.yaml of a run that has begun (RunDir::has_begun()); else runs/NAME.
fs::path run_folder(const Options& options, const fs::path& config) {
  if (!options.run_dir.empty()) return options.run_dir;
  const fs::path here = config.has_parent_path() ? config.parent_path() : fs::path(".");
  if (config.filename() == "config.yaml" && cdm::RunDir(here).has_begun()) {
    cdm::log_info(cdm::concat(config.string(), " belongs to the run ", here.string(),
                              ", which is used; --run-dir chooses another folder"));
    return here;
  }
  return "runs" / config.stem();
}

/// Does all that a training does before its first step, but for the optimizer's state, and leaves
/// nothing on disk.
void dry_run(const cdm::RunConfig& config, const cdm::RunDir& run, at::Device device,
             const cdm::ProcessGroup& group, cdm::Begin begin) {
  const cdm::PreparedTraining start = cdm::prepare_training(config, run, group, begin);
  if (group.is_first()) cdm::check_run_folder(run, start.config, begin);
  const cdm::Model model =
      cdm::make_training_model(start.config, cdm::network_shape(start.config), device, at::kFloat);
  if (!group.is_first()) return;
  std::cout << cdm::to_yaml(start.config);
  cdm::log_info(cdm::concat(start.train.description, ": ", start.train.size(), " images"));
  if (start.test) {
    cdm::log_info(cdm::concat(start.test->description, ": ", start.test->size(),
                              " images to score during training"));
  }
  cdm::log_info(cdm::concat("network of ", model.network().parameter_count(), " parameters, on ",
                            device.str()));
}

void train(const Options& options, std::optional<cdm::StopSignal>& signals) {
  if (options.markdown && !options.help_config) {
    throw cdm::UserError("--markdown: can be given only with --help-config");
  }
  if (options.help_config) {
    std::cout << (options.markdown ? cdm::config_reference_markdown() : cdm::config_help());
    return;
  }
  if (options.from_scratch && options.replay_step > 0) {
    throw cdm::UserError("--from-scratch: cannot be given with --replay-step");
  }
  const std::string& file = options.config.empty() ? options.config_option : options.config;
  if (file.empty() || (!options.config.empty() && !options.config_option.empty())) {
    throw cdm::UserError(
        "one configuration is needed: cdm-train CONFIG.yaml; see cdm-train --help");
  }
  cdm::RunConfig config = cdm::load_config(file, options.set);
  if (!options.device.empty()) config.device = options.device;
  if (options.dry_run || options.replay_step > 0) signals.reset();  // there is nothing to save
  const cdm::Begin begin = options.from_scratch ? cdm::Begin::from_scratch : cdm::Begin::resume;
  const cdm::ProcessGroup group = cdm::join_group(config.collectives);
  const at::Device device =
      cdm::start_device(config, cdm::Work::training, group.local_rank()).device;
  const fs::path folder = run_folder(options, file);
  if (options.dry_run) return dry_run(config, cdm::RunDir(folder), device, group, begin);
  if (options.replay_step > 0) {
    return cdm::replay_step(config, cdm::RunDir(folder), device, options.replay_step, std::cout);
  }
  cdm::Trainer(config, cdm::RunDir(folder), device, group, begin).run();
  if (group.is_first()) std::cout << folder.string() << "\n";
}

}  // namespace

int main(int argc, char** argv) {
  // First of all, so that a signal during start-up is served and does not end the process.
  std::optional<cdm::StopSignal> signals(std::in_place);
  Options options;
  cdm::Program program;
  program.name = "cdm-train";
  program.description =
      "Trains a classification diffusion model. The same command again resumes a stopped training.";
  program.example =
      "cdm-train configs/quickstart.yaml --run-dir runs/first --set train.batch_size=64";
  program.declare = [&](CLI::App& app) {
    app.add_option("CONFIG", options.config, "configuration file, YAML (see --help-config)");
    app.add_option("--config", options.config_option, "the configuration file, as an option");
    app.add_option("--run-dir", options.run_dir,
                   "folder of the run; default: runs/ and the configuration's name, or, for the "
                   "config.yaml of a run, the folder of that run");
    app.add_option("--set", options.set,
                   "section.key=value: overrides a key of the configuration; repeatable")
        ->allow_extra_args(false);
    app.add_option("--device", options.device,
                   "auto, cpu, cuda or cuda:N; default: the configuration's");
    app.add_option("--replay-step", options.replay_step,
                   "compute step K (counted from 1) of the run again, starting at the newest "
                   "checkpoint before it, and print its loss, gradient norm and levels; writes no "
                   "file")
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 32));
    app.add_flag("--from-scratch", options.from_scratch,
                 "begin at step 0 even if there is a run in the folder: its files are moved to a "
                 "folder before-1 (or the next free number) in it");
    app.add_flag("--dry-run", options.dry_run,
                 "make every check that training makes, print the value of every key, and stop; "
                 "writes no file");
    app.add_flag("--help-config", options.help_config,
                 "print a description of every configuration key, and stop");
    app.add_flag("--markdown", options.markdown,
                 "with --help-config: print it as a page of Markdown");
  };
  program.body = [&] { train(options, signals); };
  return cdm::run_program(program, argc, argv);
}
