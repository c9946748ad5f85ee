// SPDX-License-Identifier: MIT
// Makes each sampler of this folder. make_sampler() chooses among them.
#pragma once

#include <memory>

#include "cdm/sample/sampler.h"

namespace cdm {

std::unique_ptr<Sampler> make_ddpm_sampler();
std::unique_ptr<Sampler> make_ddim_sampler(double eta);  // with eta = 0, euler as well
std::unique_ptr<Sampler> make_heun_sampler();
std::unique_ptr<Sampler> make_dpm_solver_2_sampler();
std::unique_ptr<Sampler> make_dpm_solver_pp_2m_sampler();

}  // namespace cdm
