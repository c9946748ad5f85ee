// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cdm/core/file.h"
#include "cdm/eval/table.h"
#include "files.h"

namespace cdm {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

class TableTest : public test::FilesTest {
 protected:
  void SetUp() override {
    table_.add({std::string("both, of course"), std::int64_t{12}, 0.1});
    table_.add({std::string("a \"plain\" one"), std::int64_t{3}, kNone});
  }
  Table table_{{"run", "images", "mse"}};
};

TEST_F(TableTest, IsPrintedInColumns) {
  std::ostringstream out;
  table_.print(out);
  EXPECT_EQ(out.str(),
            "run              images  mse\n"
            "both, of course      12  0.1\n"
            "a \"plain\" one         3    -\n");
}

TEST(Table, IsPrintedToFiveDigitsWithoutSpacesAtTheEnd) {
  Table table({"value", "text"});
  table.add({0.123456789, std::string("a long one")});
  table.add({12345.6, std::string("short")});
  std::ostringstream out;
  table.print(out);
  EXPECT_EQ(out.str(),
            "  value  text\n"
            "0.12346  a long one\n"
            "  12346  short\n");
}

TEST_F(TableTest, HasSourcesBelowInPrintAndLastInFiles) {
  Table table({"run", "mse"}, {"checkpoint", "weights", "sampler"});
  table.add({std::string("a"), 1.0}, {std::string("step-1"), std::string("ema"), std::string()});
  table.add({std::string("a"), 2.0}, {std::string("step-1"), std::string("ema"), std::string()});
  std::ostringstream one;
  table.print(one);
  EXPECT_EQ(one.str(), "run  mse\na      1\na      2\ncheckpoint step-1, weights ema\n");
  table.add({std::string("b"), 3.0}, {std::string("step-2"), std::string("ema"), std::string()});
  std::ostringstream two;
  table.print(two);
  EXPECT_TRUE(two.str().ends_with(
      "\na: checkpoint step-1, weights ema\nb: checkpoint step-2, weights ema\n"))
      << two.str();
  table.write_csv(folder_ / "a.csv");
  EXPECT_TRUE(read_file(folder_ / "a.csv").ends_with("\nb,3,step-2,ema,\n"));
  table.write_json(folder_ / "a.json");
  const auto json = nlohmann::json::parse(read_file(folder_ / "a.json"));
  EXPECT_EQ(json[2].at("checkpoint"), "step-2");
  EXPECT_TRUE(json[2].at("sampler").is_null());
}

TEST(Table, PrintsEmptyTextAsNothing) {
  Table table({"sampler", "value"});
  table.add({std::string(), 1.0});
  std::ostringstream out;
  table.print(out);
  EXPECT_EQ(out.str(), "sampler  value\n-            1\n");
}

TEST_F(TableTest, WritesANameThatIsNotUtf8) {
  table_.add({std::string("\xff"), std::int64_t{1}, 1.0});
  table_.write_json(folder_ / "a.json");
  EXPECT_TRUE(nlohmann::json::accept(read_file(folder_ / "a.json")));
}

TEST(CsvField, IsInQuotesWhereItMustBe) {
  EXPECT_EQ(csv_field("a b'c"), "a b'c");
  EXPECT_EQ(csv_field("a,b"), "\"a,b\"");
  EXPECT_EQ(csv_field("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(csv_field("a\nb"), "\"a\nb\"");
  EXPECT_EQ(csv_field("a\rb"), "\"a\rb\"");
}

TEST_F(TableTest, QuotesLinesInCsv) {
  table_.add({std::string("two\nlines"), std::int64_t{1}, 1.0});
  table_.write_csv(folder_ / "a.csv");
  EXPECT_TRUE(read_file(folder_ / "a.csv").ends_with("\"two\nlines\",1,1\n"));
}

TEST_F(TableTest, IsWrittenAsCsv) {
  table_.write_csv(folder_ / "a.csv");
  EXPECT_EQ(read_file(folder_ / "a.csv"),
            "run,images,mse\n"
            "\"both, of course\",12,0.10000000000000001\n"
            "\"a \"\"plain\"\" one\",3,\n");
}

TEST_F(TableTest, IsWrittenAsJson) {
  table_.write_json(folder_ / "a.json");
  const auto json = nlohmann::json::parse(read_file(folder_ / "a.json"));
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[0].at("run"), "both, of course");
  EXPECT_EQ(json[0].at("images"), 12);
  EXPECT_EQ(json[0].at("mse"), 0.1);
  EXPECT_TRUE(json[1].at("mse").is_null());
}

TEST_F(TableTest, RefusesARowOfAnotherLength) {
  EXPECT_ANY_THROW(table_.add({std::string("short")}));
}

}  // namespace
}  // namespace cdm
