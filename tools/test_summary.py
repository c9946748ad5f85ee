#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints a summary of the tests that ctest has run in a build folder: how many ran, which failed,
and how many were skipped: for want of a GPU, and for which reasons.

usage: test_summary.py BUILD

Each process of gtest tests writes its own report (GTEST_OUTPUT, set in tests/CMakeLists.txt). A
process that crashes writes none; the summary names it.
"""
import collections
import json
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree


def reports_of(build):
    """Yields the name of each of ctest's tests and the path of its report, or None without one."""
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
    """The text given to GTEST_SKIP(). The first line of the message is the place in the source."""
    return " ".join(skipped.get("message", "").split("\n")[1:]).strip() or "no reason given"


def needs_gpu(reason):
    """Whether a test was skipped because there is no GPU: all such tests say so in these words."""
    return "no CUDA device" in reason


def summary(build):
    """Yields the lines to print."""
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
    without_gpu = sum(count for reason, count in skipped.items() if needs_gpu(reason))
    yield (f"{ran} tests ran, {len(failed)} of them failed; {total} skipped, {without_gpu} of them "
           f"for want of a GPU; {others} checks without gtest")
    for reason, count in skipped.most_common():
        yield f"  {count} skipped: {reason}"
    for test in failed:
        yield f"  failed: {test}"
    for name in incomplete:
        yield f"  {name} has no report: it crashed or did not run; its tests are not counted"


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: test_summary.py BUILD")
    for line in summary(sys.argv[1]):
        print(line)


if __name__ == "__main__":
    main()
