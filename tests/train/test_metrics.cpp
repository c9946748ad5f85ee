// SPDX-License-Identifier: MIT
// The numbers of a run: means over steps, metrics.jsonl, and TensorBoard's files, which are read
// back here by a reader of their format that shares nothing with the writer.
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "cdm/core/file.h"
#include "cdm/run/metrics.h"
#include "files.h"

namespace cdm {
namespace {

namespace fs = std::filesystem;
using test::overwrite;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using namespace std::string_literals;

StepReport report(double loss, double norm = 1.0) {
  const auto scalar = [](double value) { return at::full({}, value); };
  StepReport made;
  made.terms = {{"loss", scalar(loss)}, {"anything", scalar(loss + 1)}};
  made.gradient_norm = scalar(norm);
  made.skipped = scalar(std::isfinite(loss + norm) ? 0.0 : 1.0);
  return made;
}

TEST(RunningMeansTest, AverageSinceTheLastCall) {
  RunningMeans means;
  EXPECT_TRUE(means.take().empty());
  means.add(report(1.0, 2.0), 0);
  means.add(report(4.0, 6.0), 1);
  EXPECT_EQ(means.take(), (Metrics{{"loss", 2.5}, {"anything", 3.5}, {"gradient_norm", 4.0}}));
  EXPECT_TRUE(means.take().empty());
  means.add(report(8.0), 2);
  EXPECT_EQ(means.take()[0].second, 8.0);
  EXPECT_TRUE(means.take_skipped().empty());
}

TEST(RunningMeansTest, LeaveOutSkippedStepsAndNameThem) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  RunningMeans means;
  means.add(report(1.0), 10);
  means.add(report(1.0, kInfinity), 11);
  means.add(report(3.0), 12);
  means.add(report(kNan), 13);
  EXPECT_EQ(means.take()[0].second, 2.0);
  const std::vector<SkippedStep> skipped = means.take_skipped();
  ASSERT_EQ(skipped.size(), 2U);
  EXPECT_EQ(skipped[0].step, 11);
  EXPECT_EQ(skipped[0].values.back(), (std::pair<std::string, double>("gradient_norm", kInfinity)));
  EXPECT_EQ(skipped[0].values.front(), (std::pair<std::string, double>("loss", 1.0)));
  EXPECT_EQ(skipped[1].step, 13);
  EXPECT_TRUE(std::isnan(skipped[1].values.front().second));
  EXPECT_TRUE(means.take_skipped().empty()) << "told twice";
  EXPECT_TRUE(means.take().empty());
}

TEST(RunningMeansTest, ManyStepsAreAveragedThoughNobodyAsks) {
  RunningMeans means;
  for (std::int64_t k = 0; k < 2500; ++k) means.add(report(static_cast<double>(k)), k);
  EXPECT_DOUBLE_EQ(means.take()[0].second, 1249.5);
}

class MetricsFiles : public test::FilesTest {
 protected:
  std::vector<std::string> lines() const {
    std::vector<std::string> found;
    std::istringstream text(read_file(run_.metrics()));
    for (std::string line; std::getline(text, line);) found.push_back(line);
    return found;
  }

  RunDir run_{folder_};
};

TEST_F(MetricsFiles, EachLineIsJsonWithTheStepFirst) {
  MetricsWriter writer(run_, 0);
  writer.write(10, {{"loss", 0.1}, {"a \"name\"\n", -3e-300}});
  EXPECT_EQ(lines().size(), 1U) << "not written at once";
  writer.write(20, {{"loss", std::numeric_limits<double>::infinity()}, {"ce", 2.0}});
  const std::vector<std::string> written = lines();
  ASSERT_EQ(written.size(), 2U);
  EXPECT_THAT(written[0], StartsWith("{\"step\":10,\"loss\":0.1,"));
  const nlohmann::json first = nlohmann::json::parse(written[0]);
  EXPECT_EQ(first.at("step"), 10);
  EXPECT_EQ(first.at("loss"), 0.1);
  EXPECT_EQ(first.at("a \"name\"\n"), -3e-300);
  const nlohmann::json second = nlohmann::json::parse(written[1]);
  EXPECT_TRUE(second.at("loss").is_null()) << "JSON has no infinity";
  EXPECT_EQ(second.at("ce"), 2.0);
}

TEST_F(MetricsFiles, AResumedRunDropsLaterAndTornLines) {
  {
    MetricsWriter writer(run_, 0);
    for (const std::int64_t step : {10, 20, 20, 30}) writer.write(step, {{"loss", 1.0}});
  }
  const std::string whole = read_file(run_.metrics());
  overwrite(run_.metrics(), whole + "no JSON\n[1]\n{\"loss\":1}\n{\"step\":\"1\"}\n\n{\"step\":1");
  MetricsWriter writer(run_, 20);
  writer.write(21, {{"loss", 2.0}});
  EXPECT_THAT(lines(), ElementsAre("{\"step\":10,\"loss\":1.0}", "{\"step\":20,\"loss\":1.0}",
                                   "{\"step\":20,\"loss\":1.0}", "{\"step\":21,\"loss\":2.0}"));
}

// ---- TensorBoard ----

/// CRC-32C by polynomial division, bit by bit.
std::uint32_t slow_crc32c(std::string_view bytes) {
  std::uint32_t remainder = 0xffffffff;
  for (const char c : bytes) {
    for (int bit = 0; bit < 8; ++bit) {
      const std::uint32_t feedback = (remainder ^ (static_cast<std::uint8_t>(c) >> bit)) & 1U;
      remainder >>= 1;
      if (feedback != 0) remainder ^= 0x82f63b78;
    }
  }
  return remainder ^ 0xffffffff;
}

template <class Number>
Number take(std::string_view& bytes) {
  Number number = {};
  if (bytes.size() < sizeof(Number)) throw std::runtime_error("too short");
  std::memcpy(&number, bytes.data(), sizeof(Number));
  bytes.remove_prefix(sizeof(Number));
  return number;
}

/// The records of a TFRecord file, whose checksums must be right.
std::vector<std::string> records_of(const fs::path& file) {
  const std::string contents = read_file(file);
  std::string_view rest = contents;
  std::vector<std::string> records;
  const auto check = [&](std::string_view bytes) {
    const std::uint32_t crc = slow_crc32c(bytes);
    const std::uint32_t masked = ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
    EXPECT_EQ(take<std::uint32_t>(rest), masked);
  };
  while (!rest.empty()) {
    const std::string_view length_bytes = rest.substr(0, 8);
    const auto length = take<std::uint64_t>(rest);
    check(length_bytes);
    const std::string_view data = rest.substr(0, length);
    EXPECT_EQ(data.size(), length);
    rest.remove_prefix(data.size());
    check(data);
    records.emplace_back(data);
  }
  return records;
}

/// A protocol buffer: what is in each field, without a schema.
using Value = std::variant<std::uint64_t, double, float, std::string>;
using Fields = std::vector<std::pair<std::uint64_t, Value>>;

std::uint64_t take_varint(std::string_view& bytes) {
  std::uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = take<std::uint8_t>(bytes);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
}

Fields parse(std::string_view bytes) {
  Fields fields;
  while (!bytes.empty()) {
    const std::uint64_t key = take_varint(bytes);
    Value value;
    if ((key & 7) == 0) {
      value = take_varint(bytes);
    } else if ((key & 7) == 1) {
      value = take<double>(bytes);
    } else if ((key & 7) == 5) {
      value = take<float>(bytes);
    } else {
      EXPECT_EQ(key & 7, 2U);
      const std::uint64_t size = take_varint(bytes);
      EXPECT_LE(size, bytes.size());
      value = std::string(bytes.substr(0, size));
      bytes.remove_prefix(std::min<std::uint64_t>(size, bytes.size()));
    }
    fields.emplace_back(key >> 3, std::move(value));
  }
  return fields;
}

/// The one value of that field, as a T.
template <class T>
T value_as(const Fields& fields, std::uint64_t number) {
  std::optional<T> found;
  for (const auto& [field, value] : fields) {
    if (field != number) continue;
    EXPECT_FALSE(found.has_value()) << "field " << number << " comes twice";
    found = std::get<T>(value);
  }
  EXPECT_TRUE(found.has_value()) << "no field " << number;
  return found.value_or(T());
}

Fields message(const Fields& fields, std::uint64_t number) {
  return parse(value_as<std::string>(fields, number));
}

// Numbers of the fields in event.proto and summary.proto.
constexpr std::uint64_t kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;

std::vector<Fields> events_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  EXPECT_EQ(files.size(), 1U);
  // TensorBoard looks for this in a name, and sorts by the time after it.
  EXPECT_THAT(files[0].filename().string(), StartsWith("events.out.tfevents."));
  std::vector<Fields> events;
  for (const std::string& record : records_of(files[0])) events.push_back(parse(record));
  return events;
}

TEST(Crc32c, HasItsKnownAnswers) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(""), 0U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43U);
  EXPECT_EQ(slow_crc32c("123456789"), 0xE3069283U);
}

TEST_F(MetricsFiles, TensorBoardReadsScalarsAndImages) {
  const std::string png = "\x89PNG not looked at \0 here"s;
  overwrite(folder_ / "a.png", png);
  const auto now = [] {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  };
  const double before = now();
  {
    MetricsWriter writer(run_, 300);
    writer.write(301, {{"loss", 0.1}, {"memory", 1e10}});
    writer.image(std::int64_t{1} << 40, "samples", folder_ / "a.png", {3, 130, 200});
  }
  const std::vector<Fields> events = events_in(run_.tensorboard());
  ASSERT_EQ(events.size(), 5U);
  for (const Fields& event : events) {
    EXPECT_GE(value_as<double>(event, kWallTime), before);
    EXPECT_LE(value_as<double>(event, kWallTime), now());
  }
  EXPECT_EQ(value_as<std::string>(events[0], kFileVersion), "brain.Event:2");
  // A session that starts at step 300 hides points of earlier files from there on.
  EXPECT_EQ(value_as<std::uint64_t>(events[1], kStep), 300U);
  EXPECT_EQ(value_as<std::uint64_t>(message(events[1], kSessionLog), 1), 1U);

  const Fields loss = message(message(events[2], kSummary), 1);
  EXPECT_EQ(value_as<std::uint64_t>(events[2], kStep), 301U);
  EXPECT_EQ(value_as<std::string>(loss, 1), "loss");
  EXPECT_EQ(value_as<float>(loss, 2), 0.1F);
  const Fields memory = message(message(events[3], kSummary), 1);
  EXPECT_EQ(value_as<std::string>(memory, 1), "memory");
  EXPECT_EQ(value_as<float>(memory, 2), 1e10F);

  EXPECT_EQ(value_as<std::uint64_t>(events[4], kStep), std::uint64_t{1} << 40);
  const Fields samples = message(message(events[4], kSummary), 1);
  EXPECT_EQ(value_as<std::string>(samples, 1), "samples");
  const Fields image = message(samples, 4);
  EXPECT_EQ(value_as<std::uint64_t>(image, 1), 130U) << "height";
  EXPECT_EQ(value_as<std::uint64_t>(image, 2), 200U) << "width";
  EXPECT_EQ(value_as<std::uint64_t>(image, 3), 3U) << "colour";
  EXPECT_EQ(value_as<std::string>(image, 4), png);
}

TEST_F(MetricsFiles, TensorBoardsFilesAreWrittenAtOnce) {
  MetricsWriter writer(run_, 0);
  EXPECT_EQ(events_in(run_.tensorboard()).size(), 2U);
  writer.write(1, {{"loss", 0.1}});
  EXPECT_EQ(events_in(run_.tensorboard()).size(), 3U);
}

TEST_F(MetricsFiles, WritersOfTheSameSecondHaveFilesOfTheirOwn) {
  for (int i = 0; i < 3; ++i) MetricsWriter(run_, 7).write(8, {{"loss", 0.1}});
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(run_.tensorboard())) ++files;
  EXPECT_EQ(files, 3U);
}

TEST_F(MetricsFiles, AFolderThatCannotBeWrittenIsNamed) {
  overwrite(run_.tensorboard(), "a file");
  try {
    MetricsWriter writer(run_, 0);
    FAIL() << "no error";
  } catch (const std::exception& error) {
    EXPECT_THAT(error.what(), HasSubstr(run_.tensorboard().string()));
  }
}

}  // namespace
}  // namespace cdm
