// SPDX-License-Identifier: MIT
// Declarations of keys by section, each in a file of its own, and how they write legal values.
// keys.cpp makes the table of them.
//
// only() says which kinds a key applies to when it is not all of them; may_change() says that a
// resumed run may have another value; may_set_afterwards() says that programs which load a trained
// model read the key and may be told another value.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "config/conditions.h"
#include "config/keys.h"
#include "config/section.h"

namespace cdm {

constexpr double kMaxSteps = 1e12;

inline Legal range(double low, double high) { return {.low = low, .high = high}; }
inline Legal at_least(double low) { return {.low = low}; }
inline Legal anything() { return {}; }
inline Legal one_of(std::vector<std::string> choices) { return {.choices = std::move(choices)}; }

void declare_top_level(std::vector<Key>& table);
void declare_data(std::vector<Key>& table);
void declare_diffusion(std::vector<Key>& table);
void declare_model(std::vector<Key>& table);
void declare_loss(std::vector<Key>& table);
void declare_train(std::vector<Key>& table);
void declare_sample(std::vector<Key>& table);

}  // namespace cdm
