// SPDX-License-Identifier: MIT
// cdm-eval: makes the tables and figures of the paper, with one subcommand each.
#include "eval/command.h"
#include "program.h"

int main(int argc, char** argv) {
  cdm::eval::Chosen chosen;
  cdm::Program program;
  program.name = "cdm-eval";
  program.description =
      "Evaluates trained models: prints a table, and writes CSV, JSON and pictures to a folder.";
  program.example = "cdm-eval levels runs/first --split test --out results";
  program.declare = [&](CLI::App& app) {
    app.require_subcommand(1);
    cdm::eval::add_levels(app, chosen);
    cdm::eval::add_denoise(app, chosen);
    cdm::eval::add_curves(app, chosen);
    cdm::eval::add_toy(app, chosen);
    cdm::eval::add_fid(app, chosen);
    cdm::eval::add_agreement(app, chosen);
    cdm::eval::add_training(app, chosen);
  };
  program.body = [&] {
    cdm::require_single_process("cdm-eval");
    chosen();
  };
  return cdm::run_program(program, argc, argv);
}
