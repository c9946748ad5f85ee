// SPDX-License-Identifier: MIT
#include "cdm/run/model_files.h"

#include <system_error>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "cdm/run/run_dir.h"

namespace cdm {

ModelFiles find_model(const std::filesystem::path& path) {
  const RunDir run(path);
  const std::vector<std::filesystem::path> all = list_checkpoints(run.checkpoints());
  if (!all.empty()) return {run.config(), all.back()};
  if (run.has_config()) throw UserError(concat(path.string(), ": this run has no checkpoint yet"));
  const std::filesystem::path folder =
      std::filesystem::absolute(path / "").lexically_normal().parent_path();
  if (std::filesystem::exists(folder / "state.json")) {
    const RunDir around(folder.parent_path().parent_path());
    std::error_code none;
    const bool is_in_run =
        std::filesystem::equivalent(folder.parent_path(), around.checkpoints(), none);
    return {is_in_run ? around.config() : folder / "config.yaml", folder};
  }
  throw UserError(concat(path.string(),
                         std::filesystem::exists(path) ? ": is not a" : ": there is no",
                         " run directory (with config.yaml) or checkpoint of one"));
}

RunConfig load_config(const ModelFiles& files, const std::vector<std::string>& overrides) {
  const RunConfig trained = read_checkpoint_config(files.checkpoint);
  if (!std::filesystem::exists(files.config)) {
    return read_checkpoint_config(files.checkpoint, overrides, Stage::after_training);
  }
  const std::vector<std::string> changes = forbidden_changes(trained, load_config(files.config));
  if (!changes.empty()) {
    throw UserError(concat(files.config.string(), ": contradicts ", files.checkpoint.string(),
                           ", which was trained with other values: ", join(changes, ", "),
                           "; set them back, or remove the file: the checkpoint knows its own"));
  }
  return load_config(files.config, overrides, Stage::after_training);
}

}  // namespace cdm
