#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sums up the tests that ctest has run in a build folder: how many, which failed, and which were
skipped for what reason.

usage: test_summary.py BUILD

Each process of gtest tests leaves a report of its own (GTEST_OUTPUT, set in tests/CMakeLists.txt).
A process that crashes leaves none, which is told.
"""
import collections
import json
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree


def reports_of(build):
    """The name of each of ctest's tests, and where its report belongs; None where it makes none."""
    listed = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"], check=True,
                            stdout=subprocess.PIPE).stdout
    for test in json.loads(listed)["tests"]:
        report = None
        for entry in test.get("properties", []):
            if entry["name"] != "ENVIRONMENT":
                continue
            for variable in entry["value"]:
                name, _, value = variable.partition("=")
                if name == "GTEST_OUTPUT":
                    report = pathlib.Path(value.removeprefix("xml:"))
        yield test["name"], report


def reason_of(skipped):
    """The text after GTEST_SKIP() <<, whose first line is the place in the source."""
    return " ".join(skipped.get("message", "").split("\n")[1:]).strip() or "no reason given"


def summary(build):
    """The lines to print."""
    ran, others = 0, 0
    failed, incomplete = [], []
    skipped = collections.Counter()
    for name, report in reports_of(build):
        if report is None:
            others += 1
            continue
        try:
            cases = list(ElementTree.parse(report).iter("testcase"))
        except (OSError, ElementTree.ParseError):
            incomplete.append(name)
            continue
        for case in cases:
            if case.find("failure") is not None:
                failed.append(f"{case.get('classname')}.{case.get('name')} ({name})")
            if case.find("skipped") is not None:
                skipped[reason_of(case.find("skipped"))] += 1
            else:
                ran += 1
    total = sum(skipped.values())
    yield (f"{ran} tests ran, {len(failed)} of them failed; {total} skipped; "
           f"{others} checks without gtest")
    for reason, count in skipped.most_common():
        yield f"  {count} skipped: {reason}"
    for test in failed:
        yield f"  failed: {test}"
    for name in incomplete:
        yield f"  {name} has no whole report: it crashed or did not run, and its tests are not counted"


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: test_summary.py BUILD")
    for line in summary(sys.argv[1]):
        print(line)


if __name__ == "__main__":
    main()
