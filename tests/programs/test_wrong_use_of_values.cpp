// SPDX-License-Identifier: MIT
// Wrong calls that any option can be part of: empty values, which come from unset variables of a
// shell, numbers that are none, outputs that are one file, and names of another format.
#include <ATen/ops/full.h>

#include <limits>

#include "wrong_use.h"

namespace cdm::test {
namespace {

/// A call of `program` with the option set to each of `values`, refused with the option's name.
std::vector<WrongCall> with_values(std::vector<std::string> start, const std::string& option,
                                   const std::vector<std::string>& values) {
  std::vector<WrongCall> calls;
  for (const std::string& value : values) {
    calls.push_back({start, {option}});
    calls.back().arguments.insert(calls.back().arguments.end(), {option, value});
    calls.push_back({start, {option}});
    calls.back().arguments.push_back(option + "=" + value);
  }
  return calls;
}

TEST_F(WrongUse, OfEmptyValues) {
  const std::vector<std::string> empty = {"", " "};
  for (const char* const option : {"--config", "--run-dir", "--set", "--device", "--replay-step"}) {
    expect_refused("cdm-train", with_values({"tiny.yaml"}, option, empty));
  }
  for (const char* const option :
       {"--device",  "--precision",   "--weights", "--set",        "--count",
        "--grid",    "--zoom",        "--raw",     "--trajectory", "--sampler",
        "--spacing", "--steps",       "--eta",     "--guidance",   "--class",
        "--seed",    "--first-image", "--batch",   "--init-noise", "--step-noise"}) {
    expect_refused("cdm-sample", with_values({"run", "--out", "a.npz"}, option, empty));
  }
  expect_refused("cdm-sample", with_values({"run"}, "--out", empty));
  for (const char* const option : {"--data", "--split", "--limit", "--out", "--level",
                                   "--dequantize", "--draws", "--seed", "--batch", "--set"}) {
    expect_refused("cdm-nll", with_values({"run"}, option, empty));
  }
  for (const char* const option : {"--out", "--data", "--noise-levels", "--seed", "--weights"}) {
    expect_refused("cdm-eval", with_values({"curves", "run"}, option, empty));
  }
  for (const char* const option : {"--samples", "--features", "--class", "--feature-resize"}) {
    expect_refused("cdm-eval", with_values({"fid", "run"}, option, empty));
  }
  for (const char* const option : {"--what", "--batch", "--channels", "--set"}) {
    expect_refused("cdm-bench", with_values({"tiny.yaml"}, option, empty));
  }
  for (const char* const option : {"--out", "--config", "--weights"}) {
    expect_refused("cdm-convert", with_values({"run"}, option, empty));
  }
  for (const char* const program : {"cdm-sample", "cdm-nll"}) {
    expect_refused(program, {{{"", "--out", "a"}, {"RUN_OR_CHECKPOINT", "empty"}}});
  }
  expect_refused("cdm-eval", {{{"levels", "run", ""}, {"RUN_OR_CHECKPOINT", "empty"}}});
  expect_refused("cdm-eval", {{{"levels", "--data=", "run", "free"}, {"--data", "empty"}}});
}

TEST_F(WrongUse, OfListsWithEmptyElements) {
  const std::vector<std::string> holes = {"1,,0", ",1", "1,", ","};
  expect_refused("cdm-sample", with_values({"run", "--out", "a.npz"}, "--class", holes));
  expect_refused("cdm-eval", with_values({"curves", "run"}, "--noise-levels", holes));
  expect_refused("cdm-bench", with_values({"tiny.yaml"}, "--what", {"train,,nll", "train,"}));
}

TEST_F(WrongUse, OfNumbersThatAreNone) {
  const std::vector<std::string> strange = {"1.5", "1e3", "0x10", "1_000", "5 ", " 5", "5a", "-"};
  for (const char* const option : {"--count", "--seed", "--steps", "--first-image", "--batch"}) {
    expect_refused("cdm-sample", with_values({"run", "--out", "a.npz"}, option, strange));
  }
  expect_refused("cdm-sample", {{{"run", "--out", "a.npz", "-n", "1e3"}, {"--count", "1e3"}},
                                {{"run", "--out", "a.npz", "-n", "-4"}, {"--count", "-4"}},
                                {{"run", "--out", "a.npz", "-n", "0"}, {"--count", "0"}}});
  for (const char* const option : {"--level", "--limit"}) {
    expect_refused("cdm-nll", with_values({"run"}, option, strange));
  }
  expect_refused("cdm-sample", with_values({"run", "--out", "a.npz", "--sampler", "ddim"}, "--eta",
                                           {"0.5x", " 0.5", "half", "0,5"}));
  // The largest seed is the same for a run and on the command line.
  const std::string seed = "9007199254740992";  // 2^53
  expect_refused("cdm-sample", {{{"run", "--out", "a.npz", "--seed", seed}, {"--seed", seed}}});
  expect_refused("cdm-train", {{{"tiny.yaml", "--dry-run", "--set", "seed=" + seed}, {"seed"}}});
}

TEST_F(WrongUse, NamesWhatIsNotKnownInItsOrder) {
  expect_refused("cdm-train", {{{"tiny.yaml", "--one", "--two"}, {"'--one', '--two'"}}});
  expect_refused("cdm-eval",
                 {{{"bogus"}, {"'bogus'", "levels, denoise, curves, toy, fid, agreement"}},
                  {{"--bogus"}, {"'--bogus'", "levels"}},
                  {{"levels", "run", "--bogus"}, {"'--bogus'", "cdm-eval levels --help"}}});
}

TEST_F(WrongUse, OfOutputsThatAreOneFile) {
  namespace fs = std::filesystem;
  if (!fs::exists(tiny_ / "same")) {
    fs::create_directory_symlink(".", tiny_ / "same");
    fs::create_symlink("a.npz", tiny_ / "link.npz");
    fs::create_symlink("loop.npz", tiny_ / "loop.npz");
  }
  expect_refused(
      "cdm-sample",
      {{{"run", "--out", "a.npz", "--trajectory", "./a.npz"}, {"--out a.npz", "--trajectory ./a"}},
       {{"run", "--out", "a.npz", "--trajectory", "same/a.npz"}, {"--out a.npz", "same/a.npz"}},
       {{"run", "--out", "a.npz", "--trajectory", "link.npz"}, {"--out a.npz", "link.npz"}},
       {{"run", "--out", "a", "--raw", "a"}, {"--out a", "--raw a"}},
       {{"run", "--out", "a", "--raw", "run/../a"}, {"--out a", "--raw run/../a"}},
       {{"run", "--raw", "./two.npy", "--init-noise", "two.npy"}, {"--raw ./two", "--init-noise"}},
       {{"run", "--out", "loop.npz"}, {"loop.npz", "loop of links"}},
       {{"run", "--out", "/dev/fd/77"}, {"/dev/fd/77", "not open"}}});
  expect_refused("cdm-nll", {{{"run", "--data", "test.npz", "--out", "same/test.npz"}, {".csv"}}});
  expect_refused("cdm-convert", {{{"run", "--out", "run/checkpoints/step-00000001/ema.safetensors"},
                                  {"ema.safetensors", "checkpoint"}}});
}

TEST_F(WrongUse, OfASuffixOfAnotherFormat) {
  expect_refused("cdm-sample",
                 {{{"run", "--out", "a.png"}, {"--out a.png", ".npz"}},
                  {{"run", "--out", "a.NPY"}, {"--out a.NPY", ".npz"}},
                  {{"run", "--raw", "a.npz"}, {"--raw a.npz", ".npy"}},
                  {{"run", "--grid", "a.npy"}, {"--grid a.npy", ".png"}},
                  {{"run", "--trajectory", "a.npy"}, {"--trajectory a.npy", ".npz"}},
                  {{"run", "--out", "run/config.yaml"}, {"--out run/config.yaml", ".npz"}}});
  expect_refused("cdm-nll", {{{"run", "--out", "a.npz"}, {"--out a.npz", ".csv"}}});
}

TEST_F(WrongUse, OfNoiseThatIsNotFinite) {
  const std::string wrong = tiny_ / "wrong.npy";
  at::Tensor noise = numbers(1, {2, 1, 8, 8});
  noise[1][0][3][4] = std::numeric_limits<float>::quiet_NaN();
  noise[1][0][7][7] = std::numeric_limits<float>::infinity();
  write_npy(wrong, noise);
  expect_refused("cdm-sample", {{{"run", "--out", "a.npz", "-n", "2", "--init-noise", "wrong.npy"},
                                 {"wrong.npy", "NaN or infinite", "2 of 128", "[1, 0, 3, 4]"}},
                                {{"run", "--out", "a.npz", "-n", "2", "--steps", "1", "--sampler",
                                  "ddpm", "--step-noise", "wrong.npy"},
                                 {"wrong.npy"}}});
}

}  // namespace
}  // namespace cdm::test
