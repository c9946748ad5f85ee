// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <string>

#include "cdm/core/text.h"

namespace cdm {
namespace {

TEST(Text, ConcatPrintsItsParts) {
  EXPECT_EQ(concat("step ", 3, " of ", std::int64_t{10}, ' ', 0.5), "step 3 of 10 0.5");
}

TEST(Text, FixedRoundsToItsDigits) {
  EXPECT_EQ(fixed(2.0, 0), "2");
  EXPECT_EQ(fixed(2.125, 2), "2.12");
  EXPECT_EQ(fixed(-0.0004, 3), "-0.000");
  EXPECT_EQ(fixed(1e15, 1), "1000000000000000.0");
}

TEST(Text, DurationsHaveTwoUnits) {
  EXPECT_EQ(format_duration(0), "0 s");
  EXPECT_EQ(format_duration(48.4), "48 s");
  EXPECT_EQ(format_duration(59.6), "1 min 00 s");
  EXPECT_EQ(format_duration(185), "3 min 05 s");
  EXPECT_EQ(format_duration(3599), "59 min 59 s");
  EXPECT_EQ(format_duration(2 * 3600 + 7 * 60 + 59), "2 h 07 min");
  EXPECT_EQ(format_duration(47 * 3600 + 59 * 60), "47 h 59 min");
  EXPECT_EQ(format_duration(3 * 86400 + 4 * 3600), "3 d 04 h");
  EXPECT_EQ(format_duration(-5), "0 s");
  EXPECT_EQ(format_duration(std::numeric_limits<double>::infinity()), "unknown");
  EXPECT_EQ(format_duration(std::numeric_limits<double>::quiet_NaN()), "unknown");
  EXPECT_EQ(format_duration(1e300), "unknown") << "more than a clock can count";
}

TEST(Text, BytesAreInPowersOf1024) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes(3565158), "3.4 MiB");
  EXPECT_EQ(format_bytes(std::int64_t{5} << 30), "5.0 GiB");
  EXPECT_EQ(format_bytes(std::int64_t{3} << 50), "3072.0 TiB");
}

TEST(Text, KnowsUtf8) {
  for (const char* const text :
       {"", "abc", "\xc3\xbc", "\xe7\x8a\xac", "\xf0\x9f\x90\x95", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(text)) << text;
  }
  // A byte alone, cut short, overlong, a surrogate, beyond U+10FFFF.
  for (const char* const text : {"caf\xe9", "\xc3", "\xe7\x8a", "\xc0\x80", "\xe0\x80\x80",
                                 "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80"}) {
    EXPECT_FALSE(is_utf8(text)) << text;
  }
}

TEST(Text, PrintableIsShortPlainAndOnOneLine) {
  EXPECT_EQ(printable("plain ~!"), "plain ~!");
  EXPECT_EQ(printable("a\nb\tc\x7f\x1b gr\xc3\xbcn"), "a?b?c?? gr\xc3\xbcn");
  EXPECT_EQ(printable("\xe7\x8a\xac \xf0\x9f\x90\x95"), "\xe7\x8a\xac \xf0\x9f\x90\x95");
  EXPECT_EQ(printable("caf\xe9 \xc3"), "caf? ?");
  EXPECT_EQ(printable("\xc2\x85\xed\xa0\x80\xc0\x80"), "??????");
  EXPECT_EQ(printable(std::string(80, 'x')), std::string(80, 'x'));
  EXPECT_EQ(printable(std::string(81, 'x')), std::string(80, 'x') + "...");
}

TEST(Text, InQuotesIsPrintable) {
  EXPECT_EQ(in_quotes("cat"), "'cat'");
  EXPECT_EQ(in_quotes("a\nb"), "'a?b'");
  EXPECT_EQ(in_quotes(""), "''");
}

TEST(Text, LowerCaseChangesAsciiLettersOnly) {
  EXPECT_EQ(lower_case("AbZ.PNG @[`{"), "abz.png @[`{");
  EXPECT_EQ(lower_case("\xc3\x9c"), "\xc3\x9c") << "a capital letter of UTF-8";
}

TEST(Text, AWholeNumberIsAllOfItsText) {
  EXPECT_EQ(whole_number("12"), 12);
  EXPECT_EQ(whole_number("-3"), -3);
  EXPECT_EQ(whole_number("007"), 7);
  EXPECT_EQ(whole_number("fF", 16), 255);
  EXPECT_EQ(whole_number("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
  for (const char* const text :
       {"", "-", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "cat", "3cats", "9223372036854775808"}) {
    EXPECT_EQ(whole_number(text), std::nullopt) << text;
  }
}

TEST(Text, FirstLineEndsBeforeTheLineEnd) {
  EXPECT_EQ(first_line("reason\nframe 0\nframe 1"), "reason");
  EXPECT_EQ(first_line("reason"), "reason");
  EXPECT_EQ(first_line(""), "");
}

TEST(Text, JoinPutsSeparatorsBetween) {
  EXPECT_EQ(join({}, ", "), "");
  EXPECT_EQ(join({"a"}, ", "), "a");
  EXPECT_EQ(join({"a", "", "c"}, ", "), "a, , c");
}

TEST(Text, ListSomeCountsWhatItLeavesOut) {
  EXPECT_EQ(list_some({}, 2), "");
  EXPECT_EQ(list_some({"a", "b"}, 2), "a, b");
  EXPECT_EQ(list_some({"a", "b", "c"}, 2), "a, b, and 1 more");
  EXPECT_EQ(list_some({"a", "b", "c", "d"}, 1), "a, and 3 more");
}

TEST(Text, NearestHasTheFewestEdits) {
  EXPECT_EQ(nearest("batch_sise", {"steps", "batch_size", "batch"}), "batch_size");
  EXPECT_EQ(nearest("kitten", {"sitting", "mitten", "kit"}), "mitten");
  EXPECT_EQ(nearest("ab", {"ba", "abcd", "b"}), "b") << "insertions and deletions count one";
  EXPECT_EQ(nearest("x", {"first", "other"}), "first") << "the first of equals";
  EXPECT_EQ(nearest("", {"abc", "ab"}), "ab");
  EXPECT_EQ(nearest("abc", {""}), "");
  EXPECT_EQ(nearest("abc", {}), "");
}

}  // namespace
}  // namespace cdm
