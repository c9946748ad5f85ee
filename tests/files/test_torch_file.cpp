// SPDX-License-Identifier: MIT
// PyTorch's files: what real ones hold (tests/python/make_torch_fixtures.py wrote them), round
// trips through our writer, and files that are damaged or ask for too much.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>

#include <array>
#include <limits>
#include <optional>

#include "cdm/core/error.h"
#include "cdm/core/file.h"
#include "cdm/core/text.h"
#include "cdm/io/torch_file.h"
#include "files.h"
#include "io/pickle.h"
#include "io/zip.h"

namespace cdm {
namespace {

using testing::HasSubstr;
using namespace std::string_view_literals;

const std::filesystem::path kData = std::filesystem::path(CDM_TEST_DATA) / "data";
const std::filesystem::path kKinds = kData / "torch_kinds.pth";

class TorchFile : public test::FilesTest {};
class DamagedTorchFile : public test::FilesTest {};
class Zip : public test::FilesTest {};

/// The part of a value at that key; fails the test and gives None where there is none.
TorchValue part(const TorchValue& value, const TorchKey& key) {
  const auto* const dict = value.get<TorchDict>();
  const TorchValue* const found = dict != nullptr ? dict->find(key) : nullptr;
  EXPECT_NE(found, nullptr);
  return found != nullptr ? *found : TorchValue();
}

std::vector<TorchValue> items(const TorchValue& value) {
  const auto* const list = value.get<TorchList>();
  EXPECT_NE(list, nullptr);
  return list != nullptr ? list->items : std::vector<TorchValue>();
}

template <class T>
T value_as(const TorchValue& value) {
  const T* const found = value.get<T>();
  EXPECT_NE(found, nullptr);
  return found != nullptr ? *found : T();
}

void expect_tensor(const TorchValue& value, const at::Tensor& expected, const std::string& what) {
  const auto actual = value_as<at::Tensor>(value);
  ASSERT_TRUE(actual.defined()) << what;
  EXPECT_EQ(actual.scalar_type(), expected.scalar_type()) << what;
  EXPECT_TRUE(at::equal(actual, expected)) << what << ": " << actual;
}

/// The contents of torch_kinds.pth, as its script says.
void expect_kinds(const TorchValue& file) {
  EXPECT_TRUE(part(file, "none").is_none());
  EXPECT_TRUE(value_as<bool>(part(file, "true")));
  EXPECT_FALSE(value_as<bool>(part(file, "false")));
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  std::vector<std::int64_t> integers;
  for (const TorchValue& value : items(part(file, "integers"))) {
    integers.push_back(value_as<std::int64_t>(value));
  }
  EXPECT_THAT(integers, testing::ElementsAre(0, 255, 256, 65535, 65536, -1, 2147483647,
                                             -2147483648LL, 1LL << 40, -(1LL << 40), kMost));
  EXPECT_EQ(value_as<std::int64_t>(part(file, "smallest")), -kMost - 1);
  EXPECT_EQ(value_as<double>(part(file, "float")), 0.1);
  EXPECT_EQ(value_as<double>(part(file, "infinity")), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(value_as<std::string>(part(file, "text")), "gr\xc3\xbcn");

  const std::vector<TorchValue> empty = items(part(file, "empty"));
  ASSERT_EQ(empty.size(), 5U);
  EXPECT_TRUE(items(empty[0]).empty());
  EXPECT_FALSE(value_as<TorchList>(empty[0]).is_tuple);
  EXPECT_TRUE(value_as<TorchList>(empty[1]).is_tuple);
  EXPECT_TRUE(value_as<TorchDict>(empty[2]).items.empty());
  EXPECT_EQ(value_as<std::string>(empty[3]), "");
  expect_tensor(empty[4], at::zeros({0, 3}), "empty");
  const std::vector<TorchValue> tuples = items(part(file, "tuples"));
  ASSERT_EQ(tuples.size(), 4U);
  for (std::size_t size = 1; size <= 4; ++size) {
    const std::vector<TorchValue> tuple = items(tuples[size - 1]);
    ASSERT_EQ(tuple.size(), size);
    EXPECT_EQ(value_as<std::int64_t>(tuple.back()), static_cast<std::int64_t>(size));
  }
  EXPECT_EQ(value_as<std::int64_t>(items(part(file, "size"))[1]), 3);
  const std::vector<TorchValue> same = items(part(file, "same"));
  ASSERT_EQ(same.size(), 2U);
  EXPECT_EQ(value_as<std::string>(items(same[1])[1]), "b");
  EXPECT_EQ(value_as<std::string>(part(part(file, "numbered"), 7)), "seven");

  const TorchValue state = part(file, "state");
  EXPECT_TRUE(value_as<TorchDict>(state).is_ordered);
  expect_tensor(part(state, "0.weight"), at::tensor({0.25F, -0.5F}).view({1, 2}), "0.weight");
  expect_tensor(part(state, "0.bias"), at::tensor({1.5F}), "0.bias");

  const at::Tensor base = at::arange(12, at::kFloat);
  const at::Tensor shared = at::arange(6, at::kDouble).view({2, 3});
  expect_tensor(part(file, "float64"), shared, "float64");
  expect_tensor(part(file, "float32"), base, "float32");
  expect_tensor(part(file, "float16"), at::tensor({1.5F, -2.0F}).to(at::kHalf), "float16");
  expect_tensor(part(file, "bfloat16"), at::tensor({1.5F, -2.0F}).to(at::kBFloat16), "bfloat16");
  expect_tensor(part(file, "int64"), at::tensor({std::int64_t{1} << 40, std::int64_t{-1}}),
                "int64");
  expect_tensor(part(file, "int32"), at::tensor({7, -7}, at::kInt), "int32");
  expect_tensor(part(file, "int16"), at::tensor({7, -7}, at::kShort), "int16");
  expect_tensor(part(file, "int8"), at::tensor({7, -7}, at::kChar), "int8");
  expect_tensor(part(file, "uint8"), at::tensor({0, 255}, at::kByte), "uint8");
  expect_tensor(part(file, "bool"), at::tensor({1, 0, 1}).to(at::kBool), "bool");
  expect_tensor(part(file, "scalar"), at::tensor({3.0F}).squeeze(0), "scalar");
  expect_tensor(part(file, "transposed"), shared.t(), "transposed");
  expect_tensor(part(file, "strided"), at::tensor({1.0F, 4.0F, 7.0F, 10.0F}), "strided");
  expect_tensor(part(file, "channels_last"), at::arange(16, at::kFloat).view({1, 2, 2, 4}),
                "channels_last");
  expect_tensor(part(file, "parameter"), at::tensor({2.0F, 3.0F}), "parameter");
}

TEST_F(TorchFile, ReadsWhatPyTorchWrites) {
  const TorchValue file = read_torch(kKinds);
  expect_kinds(file);
  EXPECT_EQ(value_as<at::Tensor>(part(file, "float64")).const_data_ptr(),
            value_as<at::Tensor>(part(file, "transposed")).const_data_ptr());
}

TEST_F(TorchFile, ReadsWhatItWrites) {
  const std::filesystem::path path = folder_ / "round_trip.pth";
  write_torch(path, read_torch(kKinds));
  expect_kinds(read_torch(path));
  const ZipReader archive(read_file(path), path.string());
  for (const ZipReader::Member& member : archive.members()) {
    const std::string bytes = read_file(path);
    const auto start = bytes.find(member.name, member.header_offset) + member.name.size();
    const std::size_t extra = static_cast<std::uint8_t>(bytes[member.header_offset + 28]);
    EXPECT_EQ((start + extra) % 64, 0U) << member.name;
  }
}

std::string refusal(const std::filesystem::path& path) {
  try {
    read_torch(path);
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr(path.string()));
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos);
    return error.what();
  }
  ADD_FAILURE() << path << " was read";
  return "";
}

TEST_F(TorchFile, RefusesWhatIsNotOnTheList) {
  const auto of = [](const std::string& name) {
    return refusal(kData / ("torch_refused_" + name + ".pth"));
  };
  EXPECT_THAT(of("function"),
              testing::AnyOf(HasSubstr("'posix.system'"), HasSubstr("'nt.system'")));
  EXPECT_THAT(of("module"), HasSubstr("'torch.nn.modules.linear.Linear'"));
  EXPECT_THAT(of("loop"), HasSubstr("contains itself"));
  EXPECT_THAT(of("expanded"), HasSubstr("repeats elements"));
  EXPECT_THAT(of("complex"), HasSubstr("'torch.ComplexFloatStorage'"));
  EXPECT_THAT(of("long"), HasSubstr("64 bits"));
  EXPECT_THAT(of("legacy"), HasSubstr("old format"));
  EXPECT_THAT(refusal(kData / "missing.pth"), HasSubstr("cannot be read"));
  EXPECT_THAT(refusal(kData), HasSubstr("directory"));
}

// Pickles by hand: `storage` has eight floats, all that there is.
constexpr std::string_view kStorage =
    "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"
    "0X\3\0\0\0cpuK\x8tQ"sv;

TorchValue parse(std::string_view instructions) {
  const StorageReader storages = [](const std::string& key, at::ScalarType type,
                                    std::int64_t count) {
    if (key != "0" || type != at::kFloat || count != 8) throw UserError("source: no such storage");
    return at::ones({8});
  };
  return parse_pickle(concat("\x80\x02", instructions, "."), storages, "source");
}

std::string parse_refusal(std::string_view instructions) {
  try {
    parse(instructions);
  } catch (const UserError& error) {
    return error.what();
  }
  ADD_FAILURE() << "was read";
  return "";
}

/// Instructions for a tensor over the storage of eight.
std::string tensor(std::string_view offset, std::string_view sizes, std::string_view strides) {
  return concat("ctorch._utils\n_rebuild_tensor_v2\n(", kStorage, offset, "(", sizes, "t(", strides,
                "t\x89}tR");
}

TEST(Pickle, TensorsStayWithinTheirStorage) {
  expect_tensor(parse(tensor("K\2", "K\3K\2", "K\2K\1")), at::ones({3, 2}), "within");
  expect_tensor(parse(tensor("K\7", "K\1K\1", "K\xffK\xff")), at::ones({1, 1}), "last element");
  expect_tensor(parse(tensor("K\0"sv, "K\0K\2"sv, "K\1K\1")), at::ones({0, 2}), "empty");
  const std::string_view huge = "\x8a\x8\0\0\0\0\0\0\0\x40"sv;  // 2^62
  const std::string three_huge = concat(huge, huge, huge);
  const std::string two_huge = concat(huge, huge, "K\0"sv);
  for (const auto& [offset, sizes, strides] :
       std::vector<std::array<std::string_view, 3>>{{"K\x8", "K\1", "K\1"},
                                                    {"K\1", "K\x8", "K\1"},
                                                    {"K\0"sv, "K\5", "K\2"},
                                                    {"J\xff\xff\xff\xff", "K\1", "K\1"},
                                                    {"K\1", "K\2", "J\xff\xff\xff\xff"},
                                                    {"K\0"sv, "J\xff\xff\xff\xff", "K\1"},
                                                    {"K\0"sv, huge, "K\1"},
                                                    {"K\0"sv, "K\2", huge},
                                                    {"K\0"sv, "K\3K\3K\3", three_huge},
                                                    {"K\0"sv, two_huge, "K\1K\1K\1"},
                                                    {"K\0"sv, "K\3K\3", "K\0K\0"sv}}) {
    const std::string message = parse_refusal(tensor(offset, sizes, strides));
    EXPECT_TRUE(message.find("beyond") != std::string::npos ||
                message.find("repeats") != std::string::npos)
        << message;
  }
  EXPECT_THAT(parse_refusal(tensor("K\1", "K\1", "K\1K\1")), HasSubstr("fit each other"));
}

TEST(Pickle, RefusesNonsense) {
  EXPECT_THAT(parse_refusal(""), HasSubstr("missing"));
  EXPECT_THAT(parse_refusal("NN"), HasSubstr("left over"));
  EXPECT_THAT(parse_refusal("(N"), HasSubstr("left over"));
  EXPECT_THAT(parse_refusal("N(\x85"), HasSubstr("missing"));
  EXPECT_THAT(parse_refusal("N("), HasSubstr("missing"));
  EXPECT_THAT(parse_refusal("t"), HasSubstr("mark"));
  EXPECT_THAT(parse_refusal("h\5"), HasSubstr("not there"));
  EXPECT_THAT(parse_refusal("}(Nu"), HasSubstr("no value"));
  EXPECT_THAT(parse_refusal("}(NNu"), HasSubstr("a key"));
  EXPECT_THAT(parse_refusal("}(K\1NK\1Nu"), HasSubstr("twice"));
  EXPECT_THAT(parse_refusal(")Na"), HasSubstr("tuple is changed"));
  EXPECT_THAT(parse_refusal("NN\x86Na"), HasSubstr("tuple is changed"));
  EXPECT_THAT(parse_refusal("ccollections\nOrderedDict\n"), HasSubstr("by itself"));
  EXPECT_THAT(parse_refusal(kStorage), HasSubstr("by itself"));
  EXPECT_THAT(parse_refusal("cos\nsystem\n"), HasSubstr("'os.system'"));
  EXPECT_THAT(parse_refusal("c\x1b[31m\n\xff\n"), HasSubstr("'?[31m.?'"));
  EXPECT_THAT(parse_refusal("X\xff\xff\xff\x7f"), HasSubstr("too early"));
  EXPECT_THAT(parse_refusal("i"), HasSubstr("instruction 105"));
}

TEST(Pickle, RefusesValuesThatGrow) {
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += ']';
  EXPECT_THAT(parse_refusal(deep + std::string(99, 'a')), HasSubstr("deeply"));
  // Built from within, so that each step looks shallow: memo 0 is a list of the last memo 0.
  std::string steps(")q\0"sv);
  for (int i = 0; i < 100; ++i) steps += "h\0\x85q\0"sv;
  EXPECT_THAT(parse_refusal("(" + steps + "t"), HasSubstr("deeply"));
  // Doubled sixty times, a list is shared, not copied.
  std::string doubled = "]q\1";
  for (int i = 0; i < 60; ++i) doubled += "h\1\x86q\1";
  EXPECT_NO_THROW(parse(doubled));
  // A long text named again and again is refused before it fills memory.
  std::string repeated = concat("(X\0\0\x10\0"sv, std::string(1 << 20, 'a'), "q\1");
  for (int i = 0; i < 100; ++i) repeated += "h\1";
  EXPECT_THAT(parse_refusal(repeated + "t"), HasSubstr("too much text"));
}

/// Looks at every element of every tensor.
void touch(const TorchValue& value, int depth = 0) {
  if (depth > 8) return;
  if (const auto* tensor = value.get<at::Tensor>()) {
    EXPECT_LE(tensor->numel(), 1000);
    static_cast<void>(tensor->to(at::kDouble).sum().item<double>());
  } else if (const auto* list = value.get<TorchList>()) {
    for (const TorchValue& item : list->items) touch(item, depth + 1);
  } else if (const auto* dict = value.get<TorchDict>()) {
    for (const auto& [key, item] : dict->items) touch(item, depth + 1);
  }
}

TEST_F(DamagedTorchFile, IsReadOrRefused) {
  const std::string whole = read_file(kKinds);
  std::size_t refused = 0;
  const auto try_bytes = [&](std::string bytes) {
    try {
      touch(parse_torch(std::move(bytes), "damaged.pth"));
    } catch (const UserError&) {
      ++refused;
    }
  };
  for (std::size_t size = 0; size < whole.size(); ++size) {
    try_bytes(whole.substr(0, size));
  }
  EXPECT_EQ(refused, whole.size());
  refused = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const int mask : {0x01, 0x80, 0xff}) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ mask);
      try_bytes(std::move(bytes));
    }
  }
  EXPECT_GT(refused, whole.size());
}

/// The members of a fixture, to be changed and put together again with the right checksums.
std::vector<std::pair<std::string, std::string>> members_of(const std::filesystem::path& path) {
  const ZipReader archive(read_file(path), path.string());
  std::vector<std::pair<std::string, std::string>> members;
  for (const ZipReader::Member& member : archive.members()) {
    members.emplace_back(member.name, archive.read(member));
  }
  return members;
}

void write_members(const std::filesystem::path& path,
                   const std::vector<std::pair<std::string, std::string>>& members) {
  ZipWriter zip(path);
  for (const auto& [name, contents] : members) zip.write(name, contents);
  zip.close();
}

TEST(DamagedPickle, IsReadOrRefused) {
  auto members = members_of(kKinds);
  ASSERT_TRUE(members[0].first.ends_with("data.pkl"));
  const std::string whole = members[0].second;
  const std::string root = members[0].first.substr(0, members[0].first.size() - 8);
  const StorageReader storages = [&](const std::string& key, at::ScalarType type,
                                     std::int64_t count) {
    for (const auto& [name, contents] : members) {
      if (name == root + "data/" + key &&
          contents.size() == c10::elementSize(type) * static_cast<std::size_t>(count)) {
        return at::zeros({count}, type);
      }
    }
    throw UserError("no such storage");
  };
  std::size_t refused = 0;
  const auto try_pickle = [&](std::string_view bytes) {
    try {
      touch(parse_pickle(bytes, storages, "source"));
    } catch (const UserError&) {
      ++refused;
    }
  };
  for (std::size_t size = 0; size < whole.size(); ++size) {
    try_pickle(std::string_view(whole).substr(0, size));
  }
  EXPECT_EQ(refused, whole.size());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    // Every single bit, and some instructions in its place, others for each byte.
    constexpr std::string_view kCodes = "N\x88\x89KMJ\x8aGX()\x85\x86\x87t]ae}suqrhjcQRb.";
    for (std::size_t code = 0; code < 8; ++code) {
      std::string bytes = whole;
      bytes[i] = kCodes[(8 * i + code) % kCodes.size()];
      try_pickle(bytes);
    }
    for (int bit = 0; bit < 8; ++bit) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ (1 << bit));
      try_pickle(bytes);
    }
  }
  EXPECT_GT(refused, 5 * whole.size());
}

TEST_F(DamagedTorchFile, WithRightChecksums) {
  const auto whole = members_of(kKinds);
  const std::filesystem::path path = folder_ / "changed.pth";
  const auto with = [&](std::string_view ending, const std::optional<std::string>& contents) {
    auto members = whole;
    for (auto member = members.begin(); member != members.end(); ++member) {
      if (!member->first.ends_with(ending)) continue;
      if (contents.has_value()) {
        member->second = *contents;
      } else {
        members.erase(member);
      }
      write_members(path, members);
      return refusal(path);
    }
    ADD_FAILURE() << "no member " << ending;
    return std::string();
  };
  EXPECT_THAT(with("/byteorder", "big"), HasSubstr("little-endian"));
  EXPECT_THAT(with("/data.pkl", std::nullopt), HasSubstr("no data.pkl"));
  EXPECT_THAT(with("/data.pkl", std::string(17 << 20, 'N')), HasSubstr("larger than 16.0 MiB"));
  EXPECT_THAT(with("/data/1", std::nullopt), HasSubstr("lacks a storage"));
  EXPECT_THAT(with("/data/1", "abc"), HasSubstr("size"));
  EXPECT_THAT(with("/data/1", ""), HasSubstr("size"));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if (whole[i].second == "\1\0\1"sv) {
      auto members = whole;
      members[i].second[0] = 2;
      write_members(path, members);
      EXPECT_THAT(refusal(path), HasSubstr("truth values"));
    }
  }
}

TEST_F(TorchFile, AClaimOfManyElementsCostsNothing) {
  const std::filesystem::path path = folder_ / "claim.pth";
  const std::string_view trillion = "\x8a\x6\0\x10\xa5\xd4\xe8\0"sv;  // 10^12
  std::string pickle(kStorage.substr(0, kStorage.size() - "K\x8tQ"sv.size()));
  pickle = concat("\x80\x02", "ctorch._utils\n_rebuild_tensor_v2\n(", pickle, trillion, "tQK\0("sv,
                  trillion, "t(K\1t\x89}tR.");
  write_members(path, {{"a/data.pkl", pickle}, {"a/data/0", std::string(4, '\0')}});
  EXPECT_THAT(refusal(path), HasSubstr("not of the size that data.pkl says"));
}

TEST_F(Zip, MembersMayNotShareTheirBytes) {
  const std::filesystem::path path = folder_ / "bomb.zip";
  write_members(path, {{"a", std::string(3000, 'a')}, {"b", std::string(3000, 'b')}});
  std::string bytes = read_file(path);
  EXPECT_NO_THROW(ZipReader(bytes, "zip"));
  // The second directory entry, and an end that claims twice as many of it.
  const std::size_t second = bytes.rfind(std::string("PK\1\2", 4));
  const std::size_t end = bytes.rfind(std::string("PK\5\6", 4));
  bytes.insert(end, bytes.substr(second, end - second));
  const std::size_t new_end = bytes.rfind(std::string("PK\5\6", 4));
  bytes[new_end + 10] = 3;
  EXPECT_THROW(ZipReader(bytes, "zip"), UserError);
}

TEST_F(Zip, ShortFilesDoNotHoldA64BitEnd) {
  // A locator that points far beyond an archive too short to hold what it points at.
  std::string bytes("PK\6\7", 4);
  bytes.resize(20, '\xf0');
  bytes += std::string("PK\5\6", 4);
  bytes.resize(42, '\0');
  EXPECT_THROW(ZipReader(bytes, "zip"), UserError);
}

}  // namespace
}  // namespace cdm
