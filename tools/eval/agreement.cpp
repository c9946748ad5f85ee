// SPDX-License-Identifier: MIT
// cdm-eval agreement: how often an image drawn for a class looks like one, to a judge that owes
// nothing to the model: the nearest training images, pixel by pixel.
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>

#include "cdm/data/batches.h"
#include "cdm/error.h"
#include "cdm/eval/neighbours.h"
#include "cdm/text.h"
#include "command.h"

namespace cdm::eval {
namespace {

struct Options {
  std::vector<std::string> samples;
  std::string data, out = "eval";
  std::int64_t neighbours = 5, judged = 1000;
};

Dataset labelled(const DataConfig& config, Split split) {
  Dataset dataset = load_dataset(config, split);
  if (!dataset.labels.defined()) {
    throw UserError(concat(dataset.description, ": has no labels to agree with"));
  }
  return dataset;
}

at::Tensor rows(const Dataset& dataset) {
  return to_unit_range(dataset.images, at::kFloat).flatten(1);
}

void run(const Options& options) {
  const DataConfig data = detect_dataset(options.data);
  const Dataset train = labelled(data, Split::train);
  const at::Tensor known = rows(train);
  const std::int64_t k = std::min(options.neighbours, train.size());
  Table table({"images", "count", "share_agreeing", "standard_error"});
  const auto judge = [&](const std::string& name, const Dataset& dataset) {
    if (dataset.image_size() != train.image_size() || dataset.channels() != train.channels()) {
      throw UserError(concat(name, ": its images are ", dataset.channels(), " x ",
                             dataset.image_size(), " x ", dataset.image_size(), ", those of ",
                             train.description, " ", train.channels(), " x ", train.image_size(),
                             " x ", train.image_size()));
    }
    const at::Tensor right =
        nearest_class(rows(dataset), known, train.labels, k).eq(dataset.labels).to(at::kDouble);
    const double share = right.mean().item<double>();
    const auto count = static_cast<double>(dataset.size());
    table.add({name, dataset.size(), share, std::sqrt(share * (1.0 - share) / count)});
  };
  for (const std::string& file : options.samples) {
    DataConfig config = RunConfig().data;
    config.kind = "npz";
    config.path = file;
    judge(file, labelled(config, Split::train));
  }
  // How good the judge is.
  Dataset test = labelled(data, Split::test);
  const std::int64_t judged = std::min(options.judged, test.size());
  test.images = test.images.narrow(0, 0, judged);
  test.labels = test.labels.narrow(0, 0, judged);
  judge("real test images", test);
  report(table, make_folder(options.out) / "agreement");
}

}  // namespace

void add_agreement(CLI::App& app, Chosen& chosen) {
  add_command<Options>(
      app, chosen, "agreement",
      "How often images drawn for a class look like one, by their nearest training images.",
      [](CLI::App& command, Options& options) {
        command
            .add_option("SAMPLES", options.samples,
                        "FILE.npz of cdm-sample --class ...: arr_0 and the classes, arr_1")
            ->required();
        command.add_option("--data", options.data, "data set directory of the classes")->required();
        command.add_option("--out", options.out, "folder for results");
        command.add_option("--neighbours", options.neighbours, "nearest training images that vote")
            ->check(CLI::Range(1, 1000));
        command
            .add_option("--judged", options.judged,
                        "real test images that the judge is itself judged by")
            ->check(CLI::Range(1, 10000000));
      },
      run);
}

}  // namespace cdm::eval
