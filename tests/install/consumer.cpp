// SPDX-License-Identifier: MIT
// Reads a configuration, makes its network and prints the number of parameters and the version.
#include <cdm/config/config.h>
#include <cdm/core/log.h>
#include <cdm/core/version.h>
#include <cdm/train/learner.h>
#include <cdm/train/make_model.h>

#include <iostream>

int main(int, char** argv) {
  const cdm::RunConfig config = cdm::load_config(argv[1]);
  const auto network = cdm::make_network(config.model, cdm::network_shape(config), 0);
  cdm::log_info("made by the installed library");
  std::cout << network->parameter_count() << " parameters\n" << cdm::version_text() << "\n";
}
