// SPDX-License-Identifier: MIT
// Wrong calls of the programs that look at a trained model.
#include "wrong_use.h"

namespace cdm::test {
namespace {

TEST_F(WrongUse, OfCdmSample) {
  const auto with = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"run", "--out", "a.npz"});
    return more;
  };
  expect_refused(
      "cdm-sample",
      {{{}, {"RUN_OR_CHECKPOINT", "cdm-sample --help"}},
       {{"run"}, {"--out", "--grid", "--raw"}},
       {{"nowhere", "--out", "a.npz"}, {"nowhere", "no run directory"}},
       {{"tiny.yaml", "--out", "a.npz"}, {"tiny.yaml", "run directory"}},
       {{"run", "--out", "none/a.npz"}, {"none/a.npz", "does not exist"}},
       {{"run", "--grid", "run"}, {"run", "is a folder"}},
       {with({"-n", "0"}), {"--count", "0"}},
       {with({"-n", "many"}), {"--count", "many"}},
       {with({"--sampler", "magic"}), {"--sampler", "magic", "ddim"}},
       {with({"--spacing", "odd"}), {"--spacing", "odd", "leading"}},
       {with({"--steps", "21"}), {"steps", "21", "1..20"}},
       {with({"--steps", "0"}), {"steps", "0", "1..20"}},
       {with({"--class", "3"}), {"--class 3", "0..2"}},
       {with({"--class", "cat"}), {"--class cat", "0..2"}},
       {with({"--class", "1,cat"}), {"--class cat", "0..2"}},
       {with({"--class", "number:7"}), {"--class number:7", "0..2"}},
       {with({"--guidance", "1"}), {"--guidance 1: needs --class"}},
       {with({"--set", "sample.guidance=2"}), {"sample.guidance = 2: needs --class"}},
       {with({"--class", "1", "--guidance", "-1"}), {"--guidance -1", "0..1000"}},
       {with({"--class", "1", "--guidance", "nan"}), {"--guidance nan", "0..1000"}},
       {{"free", "--out", "a.npz", "--class", "1"}, {"--class", "unconditional"}},
       {{"free", "--out", "a.npz", "--guidance", "1"}, {"--guidance", "unconditional"}},
       {with({"--seed", "-1"}), {"--seed", "-1"}},
       {with({"--first-image", "-1"}), {"--first-image", "-1"}},
       {with({"--first-image", "4294967295"}), {"--first-image 4294967295"}},
       {with({"--batch", "0"}), {"--batch", "0"}},
       {with({"--zoom", "65"}), {"--zoom", "65"}},
       {with({"--init-noise", "none.npy"}), {"none.npy"}},
       {with({"--init-noise", "junk.npz"}), {"junk.npz"}},
       {with({"-n", "3", "--init-noise", "two.npy"}), {"two.npy", "[2, 1, 8, 8]", "[3, 1, 8, 8]"}},
       {with({"-n", "2", "--step-noise", "two.npy"}), {"--step-noise", "ddim"}},
       {with({"--eta", "1.5"}), {"--eta", "1.5"}},
       {with({"--eta", "nan"}), {"--eta nan", "0..1"}},
       {with({"--sampler", "heun", "--eta", "0.5"}), {"--eta 0.5", "ddim", "heun"}},
       {with({"--set", "sample.sampler=heun", "--eta", "0"}), {"--eta 0", "ddim", "heun"}},
       {with({"--sampler", "ddpm", "--set", "sample.eta=0.5"}), {"sample.eta=0.5", "ddim", "ddpm"}},
       {{"run", "--out", "run/metrics.jsonl"}, {"run/metrics.jsonl"}},
       {{"run", "--grid", "run/checkpoints/step-00000001/a.png"}, {"a.png", "checkpoint"}},
       {with({"--steps", "5", "--set", "sample.steps=7"}), {"--steps", "--set sample.steps"}},
       // Keys that say what was trained, and keys that only training reads.
       {with({"--set", "model.dropout=0.5"}), {"model.dropout", "0.5", "after training"}},
       {with({"--set", "diffusion.schedule=cosine"}),
        {"--set diffusion.schedule=cosine", "diffusion.schedule", "after training"}},
       {with({"--set", "data.image_size=16"}), {"data.image_size = 16", "after training"}},
       {with({"--set", "data.dequantize=uniform"}), {"data.dequantize", "after training"}},
       {with({"--set", "loss.label_dropout=0"}), {"loss.label_dropout", "after training"}},
       {with({"--set", "seed=2"}), {"seed = 2", "after training"}},
       {with({"--set", "train.log_every=1"}), {"train.log_every", "cdm-train only"}},
       {with({"-n", "1000000", "--trajectory", "t.npz"}), {"--trajectory", "1000000", "-n"}},
       {with({"--trajectory", "none/t.npz"}), {"none/t.npz", "does not exist"}},
       {with({"-n", "2", "--sampler", "ddpm", "--step-noise", "two.npy"}),
        {"two.npy", "[10, 2, 1, 8, 8]"}},
       {with({"--precision", "fp16"}), {"precision", "fp16", "fp64"}},
       {with({"--weights", "best"}), {"--weights", "best", "ema"}},
       {with({"--set", "model.channels=17"}), {"model.channels = 17", "after training"}},
       {with({"--device", "tpu"}), {"device", "tpu"}},
       {{"bare", "--out", "a.npz"}, {"bare", "no checkpoint"}},
       {{"edited", "--out", "a.npz"}, {"edited/config.yaml", "seed: 0 -> 1"}},
       {{"torn", "--out", "a.npz"}, {"ema.safetensors"}},
       {{"hollow", "--out", "a.npz"}, {"hollow", "run directory"}},
       {{"run/config.yaml/run", "--out", "a.npz"}, {"run/config.yaml/run"}},
       {{"run", "--out", "tiny.yaml/a.npz"}, {"tiny.yaml/a.npz", "not a folder"}},
       {{"run", "--out", "/proc/a.npz"}, {"/proc/a.npz"}, 1},
       {{"run", "--grid", "/proc/a.png"}, {"/proc/a.png"}, 1},
       {with({"--trajectory", "a.npz"}), {"a.npz", "--out", "--trajectory"}},
       {with({"--zoom", "2"}), {"--zoom", "--grid"}},
       {with({"-n", "4294967296", "--raw", "b.npy"}), {"-n 4294967296", "room for"}},
       {with({"-n", "4294967297"}), {"--count", "4294967297"}},
       {with({"--class", "99999999999999999999"}), {"--class", "0..2"}},
       {with({"--class", "0,one"}), {"--class", "one"}},
       {with({"--seed", "1.5"}), {"--seed", "1.5"}},
       {with({"--init-noise", "whole.npy", "-n", "2"}), {"whole.npy", "float"}},
       {with({"--init-noise", "hollow"}), {"hollow", "is a directory"}},
       {with({"--device", "cuda:99"}), {"cuda:99"}},
       {with({"--set", "model.kind=unet"}), {"model.kind = unet", "after training"}}});
}

TEST_F(WrongUse, OfCdmNll) {
  expect_refused(
      "cdm-nll",
      {{{}, {"RUN_OR_CHECKPOINT", "cdm-nll --help"}},
       {{"nowhere"}, {"nowhere", "no run directory"}},
       {{"run", "more"}, {"more"}},
       {{"run", "--data", "none.npz"}, {"none.npz", "not found"}},
       {{"run", "--data", "junk.npz"}, {"junk.npz"}},
       {{"run", "--data", "torn.npz"}, {"torn.npz"}},
       {{"run", "--data", "test.npz", "--set", "data.path=plain.npz"}, {"--data", "data.path"}},
       {{"run", "--data", "junk.zip"}, {"junk.zip", "zip or tar"}},
       {{"run", "--data", "fifo"}, {"fifo", "FIFO"}},
       {{"run", "--data", "/dev/zero"}, {"/dev/zero", "device"}},
       {{"run", "--data", "tiny.yaml"}, {"tiny.yaml", ".npz"}},
       {{"run", "--data", "large.npz"}, {"large.npz", "16"}},
       {{"run", "--data", "strange.npz"}, {"strange.npz", "label 10", "0..2"}},
       {{"run", "--split", "val"}, {"--split", "val", "test"}},
       {{"run", "--level", "22"}, {"--level 22", "0..21"}},
       {{"run", "--level", "-1"}, {"--level -1", "0..21"}},
       {{"run", "--level", "low"}, {"--level", "low"}},
       {{"run", "--dequantize", "normal"}, {"--dequantize", "normal", "uniform"}},
       {{"run", "--draws", "2"}, {"--draws", "--dequantize uniform"}},
       {{"run", "--dequantize", "uniform", "--draws", "0"}, {"--draws", "0"}},
       {{"run", "--limit", "-1"}, {"--limit", "-1"}},
       {{"run", "--seed", "-1"}, {"--seed", "-1"}},
       {{"run", "--batch", "0"}, {"--batch", "0"}},
       {{"run", "--out", "none/a.csv"}, {"none/a.csv", "does not exist"}},
       {{"run", "--out", "run"}, {"run", "is a folder"}},
       {{"run", "--gaussian", "--set", "data.path=none.npz"}, {"none.npz", "not found"}},
       {{"run", "--precision", "fp8"}, {"precision", "fp8"}},
       {{"bare"}, {"bare", "no checkpoint"}},
       {{"torn"}, {"ema.safetensors"}},
       {{"run", "--data", "hollow"}, {"hollow", "no pictures"}},
       {{"run", "--data", "empty.npz"}, {"empty.npz", "no images"}},
       {{"run", "--data", "long.npz"}, {"long.npz", "8 x 10"}},
       {{"run", "--data", "four.npz"}, {"four.npz", "4"}},
       {{"run", "--data", "colour.npz"}, {"colour.npz", "3"}},
       {{"run", "--data", "real.npz"}, {"real.npz", "uint8"}},
       {{"run", "--data", "two.npy"}, {"two.npy", ".npz"}},
       {{"run", "--out", "tiny.yaml/a.csv"}, {"tiny.yaml/a.csv", "not a folder"}},
       {{"run", "--out", "/proc/a.csv"}, {"/proc/a.csv"}, 1},
       {{"run", "--device", "cuda:99"}, {"cuda:99"}},
       {{"run", "--set", "diffusion.steps=19"}, {"diffusion.steps = 19", "after training"}}});
}

TEST_F(WrongUse, OfCdmEval) {
  const auto fid = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"fid", "run", "--features"});
    return more;
  };
  expect_refused("cdm-eval",
                 {{{}, {"subcommand", "cdm-eval --help"}},
                  {{"table", "run"}, {"cdm-eval --help"}},
                  {{"levels", "nowhere"}, {"nowhere", "no run directory"}},
                  {{"levels", "bare"}, {"bare", "no checkpoint"}},
                  {{"levels", "torn"}, {"ema.safetensors"}},
                  {{"levels", "run", "--data", "empty.npz"}, {"empty.npz", "no images"}},
                  {{"levels", "run", "--data", "hollow"}, {"hollow", "no pictures"}},
                  {{"levels", "run", "--data", "torn.npz"}, {"torn.npz"}},
                  {{"levels", "run", "--data", "large.npz"}, {"large.npz", "16"}},
                  {{"levels", "run", "--out", "tiny.yaml"}, {"tiny.yaml", "is a file"}},
                  {{"levels", "run", "--out", "tiny.yaml/results"}, {"tiny.yaml/results"}, 1},
                  {{"levels", "run", "--out", "/proc/results"}, {"/proc/results"}, 1},
                  {{"levels", "run", "--split", "val"}, {"--split", "val"}},
                  {{"levels", "run", "--batch", "many"}, {"--batch", "many"}},
                  {{"denoise", "run", "--images", "65"}, {"--images", "65"}},
                  {{"curves", "run", "--noise-levels", "0,x"}, {"--noise-levels", "x"}},
                  {{"toy", "run"}, {"run", "data.kind = npz"}},
                  {{"toy", "run", "--images", "1"}, {"--images", "1"}},
                  {{"fid", "run"}, {"--features"}},
                  {fid({"none.pt"}), {"none.pt"}},
                  {fid({"junk.npz"}), {"junk.npz"}},
                  {fid({"hollow"}), {"hollow"}},
                  {fid({"junk.npz", "--samples", "test.npz"}), {"--samples"}},
                  {fid({"junk.npz", "-n", "1"}), {"--count", "1"}},
                  {{"agreement", "test.npz", "--data", "hollow"}, {"hollow"}},
                  {{"agreement", "test.npz", "--data", "none"}, {"none", "not found"}}});
}

TEST_F(WrongUse, OfADeviceThatIsNotThereForAModel) {
  expect_refused("cdm-sample", without_cuda({"run", "--out", "a.npz"}));
  expect_refused("cdm-nll", without_cuda({"run"}));
  expect_refused("cdm-eval", without_cuda({"levels", "run", "--out", "results"}));
}

}  // namespace
}  // namespace cdm::test
