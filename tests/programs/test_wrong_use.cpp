// SPDX-License-Identifier: MIT
// Wrong calls of the programs that start from a configuration or from foreign weights.
#include "cdm/core/text.h"
#include "messages.h"
#include "wrong_use.h"

namespace cdm::test {
namespace {

TEST_F(WrongUse, OfCdmTrain) {
  expect_refused(
      "cdm-train",
      {{{}, {"CONFIG.yaml", "cdm-train --help"}},
       {{"--colour"}, {"--colour", "cdm-train --help"}},
       {{"none.yaml"}, {"none.yaml", "No such file"}},
       {{"tiny.yaml", "plain.yaml"}, {"plain.yaml"}},
       {{"tiny.yaml", "--config", "tiny.yaml"}, {"one configuration"}},
       {{"broken.yaml"}, {"broken.yaml:2", "not YAML"}},
       {{"unknown.yaml"}, {"unknown.yaml:2", "model.chanels", "model.channels"}},
       {{"typed.yaml"}, {"typed.yaml:3", "train.iterations", "many", "integer"}},
       {{"ranged.yaml"}, {"ranged.yaml:1", "diffusion.steps", "-1", "0..100000"}},
       {{"twice.yaml"}, {"twice.yaml:2", "seed", "twice"}},
       {{"nodata.yaml"}, {"nodata.yaml:1", "data.path = ", "none.npz", "not found"}},
       {{"run"}, {"run", "is a directory"}},
       {{"tiny.yaml", "--set"}, {"--set"}},
       {{"tiny.yaml", "--set", "seed"}, {"--set seed", "section.key=value"}},
       {{"tiny.yaml", "--set", "model.chanels=3"}, {"model.chanels", "model.channels"}},
       {{"tiny.yaml", "--set", "model.kind=cnn"}, {"model.kind", "cnn", "unet", "mlp"}},
       {{"unet.yaml", "--set", "model.fourier_features=4"},
        {"model.fourier_features", "4", "unet"}},
       {{"tiny.yaml", "--set", "train.ema_decay=2"}, {"train.ema_decay", "2", "0..1"}},
       {{"tiny.yaml", "--set", "diffusion.beta_start=0.5"}, {"diffusion.beta_start", "0.5"}},
       {{"tiny.yaml", "--set", "data.path=torn.npz"}, {"torn.npz"}},
       {{"tiny.yaml", "--set", "data.test_path="}, {"--set data.test_path=", "no value"}},
       {{"tiny.yaml", "--set", "data.test_path=null"}, {"data.test_path is empty"}},
       {{"two.yaml"}, {"two.yaml:2", "document"}},
       {{"merge.yaml"}, {"merge.yaml:1", "train.batch_sise", "train.batch_size"}},
       {{"tiny.yaml", "--set", "model=mlp"}, {"--set model=mlp", "section"}},
       {{"tiny.yaml", "--set", "model.kind="}, {"--set model.kind=", "unet, mlp"}},
       {{"tiny.yaml", "--set", "data.path=$CDM_NOT_SET/x"},
        {"data.path", "CDM_NOT_SET is not set"}},
       {{"tiny.yaml", "--set", "data.kind=mnist", "--set", "data.path=null"},
        {"--set data.kind=mnist", "data.path is empty"}},
       {{"tiny.yaml", "--set", "train.max_minutes=1:30"}, {"train.max_minutes", "1:30", "base 60"}},
       {{"tiny.yaml", "--set", "train.warmup=010"}, {"train.warmup", "010", "leading zero"}},
       {{"tiny.yaml", "--set", "loss.kind=nce"}, {"diffusion.steps = 20", "nce"}},
       {{"plain.yaml", "--set", "sample.guidance=1"}, {"sample.guidance = 1", "num_classes"}},
       {{"tiny.yaml", "--set", "sample.guidance=1", "--set", "loss.label_dropout=0"},
        {"sample.guidance = 1", "loss.label_dropout = 0"}},
       {{"unet.yaml", "--set", "model.channel_mult=[1, 1, 1, 1, 1]"}, {"model.channel_mult"}},
       {{"tiny.yaml", "--set", "data.image_size=9"}, {"data.image_size", "9", "8"}},
       {{"tiny.yaml", "--set", "model.num_classes=2"}, {"model.num_classes", "2", "3"}},
       {{"tiny.yaml", "--set", "data.path=plain.npz"}, {"model.num_classes", "no labels"}},
       {{"tiny.yaml", "--set", "precision=bf16"}, {"precision bf16", "mlp"}},
       {{"tiny.yaml", "--device", "gpu"}, {"device", "gpu", "auto"}},
       {{"tiny.yaml", "--device", "cuda:99"}, {"cuda:99"}},
       {{"tiny.yaml", "--from-scratch", "--replay-step", "1"}, {"--from-scratch", "--replay-step"}},
       {{"tiny.yaml", "--run-dir", "run", "--set", "model.channels=17"},
        {"run/checkpoints/step-00000001", "model.channels: 16 -> 17"}},
       {{"tiny.yaml", "--run-dir", "tiny.yaml"}, {"tiny.yaml"}, 1},
       {{"tiny.yaml", "--dry-run", "--set", "train.warmup=-1"}, {"train.warmup", "-1"}},
       {{""}, {"CONFIG", "empty"}},
       {{"lines.yaml"}, {"lines.yaml:1", "a?b"}},
       {{"binary.yaml"}, {"binary.yaml"}},
       {{"tiny.yaml/tiny.yaml"}, {"tiny.yaml/tiny.yaml", "Not a directory"}},
       {{"/proc/self/mem"}, {"/proc/self/mem", "cannot be read"}},
       {{"tiny.yaml", "--set", "data.path=empty.npz"}, {"empty.npz", "no images"}},
       {{"tiny.yaml", "--set", "data.test_path=empty.npz"}, {"empty.npz", "no images"}},
       {{"tiny.yaml", "--set", "data.path=long.npz"}, {"long.npz", "8 x 10", "square"}},
       {{"tiny.yaml", "--set", "data.path=four.npz"}, {"four.npz", "4 channels"}},
       {{"tiny.yaml", "--set", "data.path=real.npz"}, {"real.npz", "arr_0", "uint8"}},
       {{"tiny.yaml", "--set", "data.path=few.npz"}, {"few.npz", "3 labels for 4 images"}},
       {{"tiny.yaml", "--set", "data.path=two.npy"}, {"two.npy", "zip"}},
       {{"tiny.yaml", "--set", "data.path=hollow"}, {"hollow", "is a folder"}},
       {{"tiny.yaml", "--set", "loss.label_dropout=1"}, {"loss.label_dropout", "below 1"}},
       {{"plain.yaml", "--set", "train.ema_more_decays=[0.1, 0.2, 0.3, 0.4]"},
        {"train.ema_more_decays = [0.1, 0.2, 0.3, 0.4]", "at most 3"}},
       {{"plain.yaml", "--set", "train.ema_kind=power", "--set", "train.ema_sigma_rel=[]"},
        {"train.ema_sigma_rel = []", "1 to 4"}},
       {{"plain.yaml", "--set", "train.ema_kind=power", "--set", "train.ema_sigma_rel=[0.3]"},
        {"train.ema_sigma_rel", "0.001..0.28"}},
       {{"tiny.yaml", "--set", "model.untrained_classes=[1]"}, {"model.untrained_classes"}},
       {{"tiny.yaml", "--set", "data.test_path=large.npz"}, {"large.npz", "16"}},
       {{"tiny.yaml", "--set", "data.test_path=colour.npz"}, {"colour.npz", "3"}},
       {{"tiny.yaml", "--set", "data.kind=cifar10", "--set", "data.path=hollow"},
        {"hollow", "data_batch_1.bin"}},
       {{"tiny.yaml", "--set", "data.kind=mnist", "--set", "data.path=hollow"},
        {"hollow", "train-images-idx3-ubyte"}},
       {{"tiny.yaml", "--set", "data.kind=celeba", "--set", "data.path=hollow"}, {"hollow"}},
       {{"tiny.yaml", "--set", "data.kind=emnist", "--set", "data.path=hollow"},
        {"hollow", "emnist-letters-train-images-idx3-ubyte"}},
       {{"tiny.yaml", "--set", "data.kind=cifar100", "--set", "data.path=hollow"},
        {"hollow", "train.bin", "cifar-100-python"}},
       {{"tiny.yaml", "--set", "data.kind=image_archive", "--set", "data.path=hollow"},
        {"hollow", "no archives", ".tar"}},
       {{"tiny.yaml", "--set", "data.kind=image_archive", "--set", "data.path=junk.zip"},
        {"junk.zip", "zip or tar"}},
       {{"tiny.yaml", "--set", "data.kind=image_archive", "--set", "data.path=s-{0..3}.tar"},
        {"s-0.tar", "not found"}},
       {{"tiny.yaml", "--set", "data.path=fifo"}, {"fifo", "FIFO"}},
       {{"tiny.yaml", "--set", "data.path=/dev/zero"}, {"/dev/zero", "device"}},
       {{"tiny.yaml", "--set", "data.kind=image_folder", "--set", "data.path=hollow"},
        {"hollow", "no pictures"}},
       {{"tiny.yaml", "--set", "data.kind=image_folder", "--set", "data.path=pipes"},
        {"pipes/a.png", "FIFO"}},
       {{"tiny.yaml", "--set", "data.kind=image_folder", "--set", "data.path=dead"},
        {"dead/cat", "link to /nowhere"}},
       {{"tiny.yaml", "--set", "data.kind=image_folder", "--set", "data.path=junk"},
        {"junk", "2 of 2 pictures", "1.png", "2.png"}},
       {{"tiny.yaml", "--set", "data.skip_unreadable=1"}, {"data.skip_unreadable", "image_folder"}},
       {{"tiny.yaml", "--set", "data.kind=image_folder", "--set", "data.skip_unreadable=-1"},
        {"data.skip_unreadable", "-1", "0..100000000"}},
       {{"tiny.yaml", "--set", "data.kind=image_folder", "--set", "data.path=tiny.yaml"},
        {"tiny.yaml", "Not a directory"}},
       {{"tiny.yaml", "--set", "train.batch_size=0"}, {"train.batch_size", "0"}},
       {{"tiny.yaml", "--set", "train.learning_rate=nan"}, {"train.learning_rate", "nan"}},
       {{"tiny.yaml", "--set", "seed=1.5"}, {"seed", "1.5", "integer"}},
       {{"unet.yaml", "--set", "model.channel_mult=[0]"}, {"model.channel_mult", "[0]", "1..1024"}},
       {{"tiny.yaml", "--set", "data.horizontal_flip=often"}, {"data.horizontal_flip", "often"}},
       {{"tiny.yaml", "--set", "data.shift=8"}, {"data.shift = 8", "below 8"}},
       {{"tiny.yaml", "--set", "data.augment=0.6"}, {"data.augment", "0.6", "0..0.5"}},
       {{"tiny.yaml", "--set", "sample.steps=21"}, {"steps", "21", "1..20"}},
       {{"tiny.yaml", "--set", "data.kind=toy", "--set", "data.dequantize=uniform"},
        {"data.dequantize", "toy"}},
       {{"unet.yaml", "--set", "model.predicts=noise", "--set", "loss.kind=nce"},
        {"loss.kind", "nce", "denoising", "model.predicts"}},
       {{"tiny.yaml", "--set", "diffusion.schedule=flow_matching", "--set", "diffusion.steps=0"},
        {"diffusion.steps", "flow_matching"}},
       {{"tiny.yaml", "--markdown"}, {"--markdown", "--help-config"}},
       {{"tiny.yaml", "--device", "cuda:"}, {"device", "cuda:"}},
       {{"tiny.yaml", "--run-dir", "tiny.yaml/run"}, {"tiny.yaml/run"}, 1},
       {{"tiny.yaml", "--run-dir", "/proc/cdm"}, {"/proc/cdm"}, 1}});
}

TEST_F(WrongUse, OfCdmBench) {
  expect_refused("cdm-bench", {{{}, {"CONFIG", "cdm-bench --help"}},
                               {{"none.yaml"}, {"none.yaml"}},
                               {{"tiny.yaml", "--what", "train,eat"}, {"--what", "eat", "nll"}},
                               {{"tiny.yaml", "--batch", "0"}, {"--batch", "0"}},
                               {{"tiny.yaml", "--repeats", "0"}, {"--repeats", "0"}},
                               {{"tiny.yaml", "--channels", "4"}, {"--channels", "4"}},
                               {{"tiny.yaml", "--image-size", "0"}, {"--image-size", "0"}},
                               {{"unet.yaml", "--image-size", "9"}, {"image", "9"}},
                               {{"tiny.yaml", "--device", "npu"}, {"device", "npu"}},
                               {{"tiny.yaml", "--set", "loss.kind=x"}, {"loss.kind", "x"}},
                               {{"run"}, {"run", "is a directory"}},
                               {{"tiny.yaml", "--batch", "1048577"}, {"--batch", "1048577"}},
                               {{"tiny.yaml", "--repeats", "often"}, {"--repeats", "often"}},
                               {{"tiny.yaml", "--channels", "2"}, {"channels", "2"}},
                               {{"tiny.yaml", "--what", ""}, {"--what"}},
                               {{"unet.yaml", "--set", "model.predicts=noise", "--set",
                                 "loss.kind=denoising", "--what", "nll"},
                                {"model.predicts = noise", "no density"}},
                               {{"tiny.yaml", "--device", "cuda:99"}, {"cuda:99"}}});
}

TEST_F(WrongUse, OfCdmConvert) {
  expect_refused(
      "cdm-convert",
      {{{}, {"INPUT", "cdm-convert --help"}},
       {{"run"}, {"--out", "cdm-convert --help"}},
       {{"run", "--out", "a.bin"}, {"a.bin", ".safetensors"}},
       {{"none.pth", "--out", "new"}, {"--config"}},
       {{"nowhere", "--out", "a.pth"}, {"nowhere"}},
       {{"run", "--out", "none/a.pth"}, {"none/a.pth"}},
       {{"run", "--out", "a.safetensors", "--weights", "best"}, {"--weights", "best"}},
       {{"official.pth", "--out", "new"}, {"--config", "official.pth"}},
       {{"none.pth", "--out", "new", "--config", "tiny.yaml"}, {"none.pth"}},
       {{"hollow", "--out", "a.pth"}, {"hollow"}},
       {{"junk.pth", "--out", "new", "--config", "tiny.yaml"}, {"junk.pth", "zip"}},
       {{"torn.pth", "--out", "new", "--config", "tiny.yaml"}, {"torn.pth"}},
       {{"official.pth", "--out", "new", "--config", "none.yaml"}, {"none.yaml"}},
       {{"official.pth", "--out", "new", "--config", "tiny.yaml"}, {"official.pth"}},
       {{"official.pth", "--out", "run", "--config", "tiny.yaml"}, {"run", "is a run already"}},
       {{"official.pth", "--out", "tiny.yaml", "--config", "tiny.yaml"}, {"official.pth"}},
       {{"run", "--out", "a.pth", "--weights", "model"}, {"--weights", "both"}},
       {{"run", "--out", "a.pth", "--set", "seed=1"}, {"--set"}},
       {{"run", "--out", "a", "--sigma-rel", "0.1"}, {"train.ema_kind = exponential"}},
       {{"run", "--out", "a", "--sigma-rel", "0.3"}, {"--sigma-rel"}},
       {{"official.pth", "--out", "a", "--sigma-rel", "0.1"}, {"--sigma-rel"}},
       {{"run", "--out", "a.safetensors", "--config", "tiny.yaml"}, {"--config"}},
       {{"torn", "--out", "a.safetensors"}, {"ema.safetensors"}},
       {{"torn", "--out", "a.pth"}, {"ema.safetensors"}},
       {{"bare", "--out", "a.pth"}, {"bare", "no checkpoint"}},
       {{"run", "--out", "/proc/a.pth"}, {"/proc/a.pth"}, 1},
       {{"run", "--out", "tiny.yaml/a.pth"}, {"tiny.yaml/a.pth"}}});
}

TEST_F(WrongUse, OfADeviceThatIsNotThereInTraining) {
  expect_refused("cdm-train", without_cuda({"tiny.yaml"}));
  expect_refused("cdm-bench", without_cuda({"tiny.yaml"}));
}

TEST_F(WrongUse, OfMoreMemoryThanThereIs) {
  if (!resolve_device("auto").is_cpu()) GTEST_SKIP() << "CUDA takes all addresses";
  const auto run_in_2_gb = [&](const std::string& call) {
    const std::string limited = concat("ulimit -v 2000000; exec '", CDM_BIN_DIR, "'/", call);
    return tiny_.run("/bin/sh", {"-c", limited});
  };
  const std::string settings =
      "--set data.kind=toy --set data.image_size=2 --set data.channels=1 --set model.channels=512 "
      "--set train.nll_every=0 --set data.toy_images=1000000 ";

  const Finished trained =
      run_in_2_gb(concat("cdm-train plain.yaml ", settings, "--set train.batch_size=1000000"));
  EXPECT_EQ(trained.exit_code, 1);
  EXPECT_EQ(trained.out, "");
  EXPECT_THAT(trained.err,
              mentions("\nerror: out of memory", "train.micro_batch_size = 1000000", "about "));
  EXPECT_FALSE(std::filesystem::exists(tiny_ / "runs/plain/checkpoints"));

  const Finished small = run_in_2_gb(
      concat("cdm-train plain.yaml ", settings, "--run-dir small --set train.iterations=1"));
  ASSERT_EQ(small.exit_code, 0) << small.err;
  const Finished scored = run_in_2_gb("cdm-eval toy small --images 1000000 --batch 1000000");
  EXPECT_EQ(scored.exit_code, 1);
  EXPECT_EQ(scored.out, "");
  EXPECT_THAT(scored.err, mentions("error: out of memory", "--batch = 1000000", "about "));
  EXPECT_FALSE(std::filesystem::exists(tiny_ / "small/eval"));
}

}  // namespace
}  // namespace cdm::test
