// SPDX-License-Identifier: MIT
// cdm-convert: imports checkpoints of the authors' code, and exports weights as safetensors or in
// the authors' format.
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/core/error.h"
#include "cdm/core/log.h"
#include "cdm/core/output_target.h"
#include "cdm/core/text.h"
#include "cdm/io/safetensors.h"
#include "cdm/model/anchor.h"
#include "cdm/run/model_files.h"
#include "cdm/run/run_dir.h"
#include "cdm/run/run_lock.h"
#include "cdm/run/stored_averages.h"
#include "cdm/weights/import_weights.h"
#include "cdm/weights/official_checkpoint.h"
#include "output_files.h"
#include "program.h"

namespace {

namespace fs = std::filesystem;

struct Options {
  std::string input, config, out, weights;
  std::vector<std::string> set;
  double sigma_rel = 0.0;  // 0 = not given
};

bool is_torch_file(const fs::path& path) {
  return path.extension() == ".pth" || path.extension() == ".pt";
}

/// Makes a run directory from a file of the authors' code.
void import_run(const Options& options) {
  if (options.sigma_rel > 0.0) {
    throw cdm::UserError("--sigma-rel: can be given only with a run or a checkpoint of one");
  }
  if (options.config.empty()) {
    throw cdm::UserError(cdm::concat(
        "--config: is needed with ", options.input,
        ", which does not say what network, noise schedule and data its weights are for"));
  }
  if (!options.weights.empty()) {
    throw cdm::UserError("--weights: can be given only with --out FILE.safetensors");
  }
  const cdm::RunDir run(options.out);
  if (run.has_config() || !cdm::list_checkpoints(run.checkpoints()).empty()) {
    throw cdm::UserError(
        cdm::concat(options.out, ": is a run already and is not overwritten; name another folder"));
  }
  const cdm::RunConfig given = cdm::load_config(options.config, options.set);
  const cdm::OfficialCheckpoint official = cdm::read_official_checkpoint(options.input);
  const cdm::TrainingState& state = official.state;
  const cdm::RunConfig config = cdm::fit_to_weights(given, state.model, options.input);
  run.save(cdm::fit_to_network(config, state, options.input), config, 0);
  run.save_config(config);
  cdm::RunLock(run).note_checkpoint(cdm::checkpoint_name(state.step));
  cdm::log_info(
      cdm::concat("imported step ", state.step, " with ", state.model.size(), " tensors"));
  if (config.model.head_channels != given.model.head_channels) {
    cdm::log_info(cdm::concat("model.head_channels = ", config.model.head_channels,
                              ", the input width of linear_layer.weight"));
  }
  for (const std::string& warning : official.warnings) cdm::log_warning(warning);
  cdm::log_info(cdm::concat("to continue training: cdm-train ", run.config().string()));
}

/// Writes a run's checkpoint in the authors' format.
void export_torch(const cdm::ModelFiles& files, const fs::path& out) {
  const cdm::RunConfig config = cdm::load_config(files);
  if (cdm::has_anchor(config.model)) {
    throw cdm::UserError(cdm::concat(files.checkpoint.string(),
                                     ": model.anchor = ", cdm::name_of(config.model.anchor),
                                     ": the authors' format has no anchor"));
  }
  if (config.data.augment > 0.0) {
    throw cdm::UserError(cdm::concat(files.checkpoint.string(),
                                     ": data.augment = ", config.data.augment,
                                     ": the authors' format has no place for a "
                                     "network that is told how images were augmented"));
  }
  const cdm::TrainingState state = cdm::fit_to_network(
      config, cdm::read_checkpoint(files.checkpoint), files.checkpoint.string());
  cdm::write_official_checkpoint(out, state, config.train);
}

/// Makes an average of the weights of another width, as a checkpoint or as a file of weights.
void export_average(const Options& options) {
  if (!options.weights.empty()) {
    throw cdm::UserError("--weights and --sigma-rel: cannot be given together");
  }
  const fs::path out = options.out;
  const bool is_file = out.extension() == ".safetensors";
  if (is_torch_file(out)) {
    throw cdm::UserError(cdm::concat("--out ", options.out,
                                     ": must be a .safetensors file or the folder of a new "
                                     "checkpoint with --sigma-rel"));
  }
  if (is_file) cdm::require_writable_file(options.out);
  if (!is_file && fs::exists(fs::symlink_status(out))) {
    throw cdm::UserError(
        cdm::concat("--out ", options.out, ": is there already and is not overwritten"));
  }
  const cdm::MadeAverage made =
      cdm::make_average(cdm::find_model(options.input), options.sigma_rel);
  if (is_file) {
    cdm::write_safetensors(out, made.state.ema, {{"format", "pt"}});
  } else {
    cdm::write_averages(fs::absolute(out / "").lexically_normal().parent_path(), made.state,
                        made.config);
  }
  const std::string quality = cdm::concat("made of ", made.sources,
                                          " averages; its profile differs from the wanted one by ",
                                          cdm::fixed(100.0 * made.error, 2), " %");
  constexpr double kTolerable = 0.02;
  if (made.error > kTolerable) {
    cdm::log_warning(cdm::concat(quality, "; more stored averages (train.average_every) help"));
  } else {
    cdm::log_info(quality);
  }
}

void export_run(const Options& options) {
  if (!options.config.empty() || !options.set.empty()) {
    throw cdm::UserError(
        "--config and --set: can be given only with a .pth file; a run has its own configuration");
  }
  if (options.sigma_rel > 0.0) return export_average(options);
  const fs::path out = options.out;
  const bool is_torch = is_torch_file(out);
  if (!is_torch && out.extension() != ".safetensors") {
    throw cdm::UserError(cdm::concat(
        "--out ", options.out, ": must be a .safetensors or .pth file when the input is a run"));
  }
  if (is_torch && !options.weights.empty()) {
    throw cdm::UserError(
        "--weights: cannot be given with a .pth file, which holds both kinds of weights");
  }
  cdm::require_writable_file(options.out);
  const cdm::ModelFiles files = cdm::find_model(options.input);
  const fs::path folder = fs::absolute(cdm::find_output_target(out).path).parent_path();
  if (fs::equivalent(folder, files.checkpoint)) {
    throw cdm::UserError(cdm::concat("--out ", options.out, ": lies in the checkpoint ",
                                     files.checkpoint.string(), ", which is read only"));
  }
  if (is_torch) {
    export_torch(files, out);
  } else {
    cdm::write_safetensors(
        out, cdm::read_weights(files.checkpoint, options.weights.empty() ? "ema" : options.weights),
        {{"format", "pt"}});
  }
}

void convert(const Options& options) {
  cdm::require_single_process("cdm-convert");
  if (is_torch_file(options.input)) {
    import_run(options);
  } else {
    export_run(options);
  }
  std::cout << options.out << "\n";
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  cdm::Program program;
  program.name = "cdm-convert";
  program.description =
      "Makes a run from a checkpoint of the authors' code, or writes the weights of a run to a "
      "file.";
  program.example =
      "cdm-convert official.pth --config config.yaml --out runs/official\n"
      "  cdm-convert runs/first --out weights.safetensors\n"
      "  cdm-convert runs/first --out checkpoint.pth";
  program.declare = [&](CLI::App& app) {
    app.add_option("INPUT", options.input,
                   "FILE.pth, a checkpoint of the authors' code; or a run directory (its newest "
                   "checkpoint is taken); or a checkpoint folder")
        ->required();
    app.add_option("--out", options.out,
                   "for a .pth: the run directory to make, which must not be a run yet; for a run: "
                   "FILE.safetensors (weights only) or FILE.pth (the authors' format: weights, "
                   "their moving average, and the optimizer)")
        ->required();
    app.add_option(
        "--config", options.config,
        "for a .pth: the configuration that it was trained with, YAML; "
        "model.head_channels and data.channels are taken from the weights if they are 0");
    app.add_option(
           "--set", options.set,
           "for a .pth: section.key=value, overrides a key of the configuration; repeatable")
        ->allow_extra_args(false);
    app.add_option("--weights", options.weights,
                   "with --out FILE.safetensors: ema (the first moving average, default), ema2, "
                   "... (the others) or model (the weights of the last step)")
        ->check(CLI::IsMember(cdm::weights_names()));
    app.add_option(
           "--sigma-rel", options.sigma_rel,
           "for a run with train.ema_kind = power: makes the average of this width of those "
           "that the run has stored; --out is then a FILE.safetensors or the folder of a "
           "new checkpoint, which the other programs can read")
        ->check(CLI::Range(0.001, 0.28));
  };
  program.body = [&] { convert(options); };
  return cdm::run_program(program, argc, argv);
}
