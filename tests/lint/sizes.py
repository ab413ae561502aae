#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Tells which functions and files have grown long. A report: it never fails."""

import os
import re
import sys

import common

FUNCTION_LIMIT = 60
FILE_LIMIT = 500
NAME = re.compile(r"(\w+)\s*\(")


def check(root):
    found = []
    for path in common.c_files(root, "src", "include", "tests"):
        text = common.blank(common.read(os.path.join(root, path)))
        lines = text.split("\n")
        if len(lines) - 1 > FILE_LIMIT:
            found.append("%s: %d lines" % (path, len(lines) - 1))
        found += ["%s:%d: %s() has %d lines" % (path, start, name, length)
                  for name, start, length in functions(lines) if length > FUNCTION_LIMIT]
    return found


def functions(lines):
    """(name, line, length) of each function: a body that opens and ends in column one."""
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            yield name_before(lines, start), start, number - start + 1
            start = None


def name_before(lines, start):
    head = " ".join(lines[max(0, start - 8) : start - 1])
    names = NAME.findall(re.split(r"[;}]", head)[-1])
    return names[0] if names else "?"


LONG = "int f(int a)\n{\n" + "\tx;\n" * 70 + "}\n"
EXAMPLES = [
    ({"src/a/a.c": "int f(void)\n{\n\treturn 1;\n}\n"}, None),
    ({"src/a/a.c": LONG}, "f() has 72 lines"),
    ({"src/a/a.c": "int x;\n" * 501}, "a.c: 501 lines"),
]

if __name__ == "__main__":
    if "--self-test" in sys.argv:
        common.main(check, EXAMPLES)
    for complaint in check(sys.argv[1] if len(sys.argv) > 1 else "."):
        print(complaint)
