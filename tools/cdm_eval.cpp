// SPDX-License-Identifier: MIT
// cdm-eval: the paper's tables and figures, each by one subcommand.
#include "eval/command.h"
#include "program.h"

int main(int argc, char** argv) {
  cdm::eval::Chosen chosen;
  cdm::Program program;
  program.name = "cdm-eval";
  program.description =
      "Measures trained models: a table on stdout, and CSV, JSON and pictures in a folder.";
  program.example = "cdm-eval levels runs/first --split test --out results";
  program.declare = [&](CLI::App& app) {
    app.require_subcommand(1);
    cdm::eval::add_levels(app, chosen);
    cdm::eval::add_denoise(app, chosen);
    cdm::eval::add_curves(app, chosen);
    cdm::eval::add_toy(app, chosen);
    cdm::eval::add_fid(app, chosen);
    cdm::eval::add_agreement(app, chosen);
  };
  program.body = [&] { chosen(); };
  return cdm::run_program(program, argc, argv);
}
