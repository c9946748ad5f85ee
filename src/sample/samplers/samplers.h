// SPDX-License-Identifier: MIT
// The functions that make the samplers of this folder. make_sampler() chooses among them.
#pragma once

#include <memory>

#include "cdm/sample/sampler.h"

namespace cdm {

std::unique_ptr<Sampler> make_ddpm_sampler();
std::unique_ptr<Sampler> make_ddim_sampler(double eta);  // eta = 0 also serves as euler
std::unique_ptr<Sampler> make_heun_sampler();
std::unique_ptr<Sampler> make_dpm_solver_2_sampler();
std::unique_ptr<Sampler> make_dpm_solver_pp_2m_sampler();

}  // namespace cdm
