// SPDX-License-Identifier: MIT
// Files that a download put in the place of data: what the readers say of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "arrays.h"
#include "cdm/io/image.h"
#include "cdm/io/npz.h"
#include "cdm/io/torch_file.h"
#include "data/sources.h"
#include "files.h"
#include "io/what_it_is.h"

namespace cdm {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

const std::string kPointer =
    "version https://git-lfs.github.com/spec/v1\noid "
    "sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1"
    "258daaa5e2ca24d17e2393\nsize 12345\n";

TEST(WhatItIsInstead, KnowsPointersAndPages) {
  EXPECT_THAT(what_it_is_instead(kPointer), HasSubstr("Git LFS pointer"));
  EXPECT_THAT(what_it_is_instead(kPointer), HasSubstr("git lfs pull"));
  for (const char* const page :
       {"<!DOCTYPE html><html>", "\n  <html lang=en>", "\xef\xbb\xbf<HTML>", "<!-- a page -->"}) {
    EXPECT_THAT(what_it_is_instead(page), HasSubstr("an HTML page")) << page;
  }
  EXPECT_THAT(what_it_is_instead("<?xml version=\"1.0\"?><Error>"), HasSubstr("an XML text"));
}

TEST(WhatItIsInstead, SaysNothingOfOtherBytes) {
  for (const char* const bytes :
       {"", "  ", "PK\3\4", "version 2", "<", "\x93NUMPY", "{\"a\": 1}"}) {
    EXPECT_THAT(what_it_is_instead(bytes), IsEmpty()) << bytes;
  }
}

class FilesThatAreSomethingElse : public test::FilesTest {};

TEST_F(FilesThatAreSomethingElse, AreNamedByEveryReader) {
  for (const auto& [bytes, what] :
       {std::pair<std::string, const char*>{kPointer, "Git LFS pointer"},
        {"<!doctype html><p>404</p>", "HTML page"}}) {
    const std::filesystem::path file = folder_ / "file";
    test::overwrite(file, bytes);
    EXPECT_THAT(test::user_error([&] { read_npz(file, "arr_0"); }), test::error_in(file, what));
    EXPECT_THAT(test::user_error([&] { read_image(file, 3); }), test::error_in(file, what));
    EXPECT_THAT(test::user_error([&] { read_idx(file, 3); }), test::error_in(file, what));
    EXPECT_THAT(test::user_error([&] { check_data_file(file); }), test::error_in(file, what));
    EXPECT_THAT(test::user_error([&] { read_torch(file); }), test::error_in(file, what));
    EXPECT_THAT(test::user_error([&] { test::read_safetensors(file); }),
                test::error_in(file, what));
  }
}

}  // namespace
}  // namespace cdm
