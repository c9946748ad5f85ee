// SPDX-License-Identifier: MIT
// The classes of a model and of a data set. A class has a number, which the network knows, and
// often a name, which people and folders know. Data sets that name their classes may number them in
// another way than the data that a model was trained on, for example because one class is missing.
// Labels therefore follow the names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cdm/config/config.h"
#include "cdm/data/dataset.h"

namespace cdm {

/// `dataset` with labels that are positions in `names`, the classes of a model, and with these
/// class names. A data set without labels, or one that does not name its classes, keeps its labels.
/// With `names` empty, `dataset` is returned as it is. Throws UserError, naming the classes, when
/// images have a class that is not among `names`.
Dataset with_classes(Dataset dataset, const std::vector<std::string>& names);

/// load_dataset(config.data, split), with the labels that config.model.class_names gives. Throws
/// what load_dataset() throws, and UserError, naming the classes, when images have a class that is
/// not among those names.
Dataset load_classes(const RunConfig& config, Split split);

/// Throws UserError, naming the classes, when the classes that `dataset` names are not those of
/// `names`, in any order. `of_whom` says for the message whose classes `names` are.
void require_same_classes(const Dataset& dataset, const std::vector<std::string>& names,
                          const std::string& of_whom);

/// The numbers below `classes` that are not among the labels of `dataset`, ascending.
std::vector<std::int64_t> classes_without_images(const Dataset& dataset, std::int64_t classes);

/// The words of a list of classes: the parts between commas. A name may hold commas itself ("tench,
/// Tinca tinca"): when the whole list, with or without "name:", is one of `names`, it is one word.
/// Throws UserError when it could be read in both ways.
std::vector<std::string> class_words(const std::string& list,
                                     const std::vector<std::string>& names);

/// The number of the class that `word` stands for: a name, or a number below `classes`.
/// "number:3" and "name:3" say which of the two is meant. Throws UserError, naming the classes,
/// when there is no such class, and when a plain number is also the name of another class. Messages
/// begin with `option` and the word.
std::int64_t class_number(const std::string& option, const std::string& word, std::int64_t classes,
                          const std::vector<std::string>& names);

/// The first ten classes as text, "0 cat, 1 dog", and how many more there are.
std::string list_classes(const std::vector<std::string>& names);

}  // namespace cdm
