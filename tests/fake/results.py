#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Counts test results for tests/run: prints "PASSED FAILED SKIPPED", then the failed ones.

    results.py meson BUILD_DIRECTORY    # the last `meson test` there
    results.py junit FILE               # what pytest --junitxml has written
"""

import json
import os
import sys
import xml.etree.ElementTree as tree

BAD = ("failure", "error")


def cases(path):
    """(suite, name, verdict) of every test case of a JUnit file."""
    for suite in tree.parse(path).getroot().iter("testsuite"):
        for case in suite.iter("testcase"):
            kinds = {child.tag for child in case}
            verdict = "failed" if kinds & set(BAD) else "skipped" if "skipped" in kinds else "passed"
            yield suite.get("name"), "%s %s" % (case.get("classname") or suite.get("name"),
                                                case.get("name")), verdict


def junit(path):
    return [(name, verdict) for _suite, name, verdict in cases(path)]


def meson(directory):
    """Each TAP subtest counts; a program that failed without saying in which test counts too."""
    logs = os.path.join(directory, "meson-logs")
    found = list(cases(os.path.join(logs, "testlog.junit.xml")))
    rows = [(name, verdict) for _suite, name, verdict in found]
    blamed = " ".join(name for name, verdict in rows if verdict == "failed")
    with open(os.path.join(logs, "testlog.json")) as file:
        for line in file:
            test = json.loads(line)
            name = test["name"].split(" / ")[-1]
            if test["result"] not in ("OK", "SKIP", "EXPECTEDFAIL") and name not in blamed:
                rows.append(("%s: %s" % (name, test["result"]), "failed"))
    return rows


def main():
    rows = {"meson": meson, "junit": junit}[sys.argv[1]](sys.argv[2])
    print(*(sum(verdict == wanted for _name, verdict in rows)
            for wanted in ("passed", "failed", "skipped")))
    for name, verdict in rows:
        if verdict == "failed":
            print("FAILED " + name)


if __name__ == "__main__":
    main()
