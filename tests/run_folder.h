// SPDX-License-Identifier: MIT
// A fixture with a run directory that holds small checkpoints.
#pragma once

#include <ATen/ops/full.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <set>
#include <string>

#include "cdm/core/file.h"
#include "cdm/run/run_dir.h"
#include "files.h"

namespace cdm::test {

class RunFolder : public FilesTest {
 protected:
  void save(std::int64_t step, std::int64_t keep = 0) const {
    const NamedTensors tensors = {{"w", at::full({2}, static_cast<double>(step))}};
    run_.save({step, 0, 1.0, tensors, tensors, {}, tensors, tensors}, RunConfig(), keep);
  }
  std::set<std::string> saved() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(run_.checkpoints())) {
      names.insert(entry.path().filename());
    }
    return names;
  }
  void damage(const char* checkpoint) const {
    const std::filesystem::path file = run_.checkpoints() / checkpoint / "ema.safetensors";
    overwrite(file, read_file(file).substr(1));
  }

  RunDir run_{folder_ / "run"};
};

/// Runs `work` as a user who may write nothing here, unless the process is such a user already.
inline void as_nobody(const std::function<void()>& work) {
  constexpr ::uid_t kNobody = 65534;
  const ::uid_t before = ::geteuid();
  const bool is_superuser = before == 0;
  ASSERT_EQ(::seteuid(is_superuser ? kNobody : before), 0);
  work();
  ASSERT_EQ(::seteuid(before), 0);
}

}  // namespace cdm::test
