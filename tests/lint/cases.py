#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every required case has a test that carries its id: SZ-1 in a test path, SZ_1 in a name.

A case is a way in which servers, kernels or attackers are known to misbehave. The ids are those
of tests/CASES.md: SZ sizes, ID identity, AS asynchronous data, NM names,
FL flags, CN connections, PX parsing, KC kernel, SEC security, P3 POP3.
Required is what the read path owes.

As a program it prints the table id → tests. With --all also the ids that are not required.
"""

import os
import re
import sys

import common

REQUIRED = {
    "SZ": [1, 2, 5, 6],
    "ID": [1, 3],
    "AS": [1, 2, 4, 5],
    "NM": [1, 2, 8],
    "FL": [2],
    "CN": [3, 4, 5],
    "PX": [7, 8, 9, 10, 14, 16, 17],
    "KC": [1, 2, 4],
    "SEC": [*range(1, 10), 20, 21, 23, 29, 32, *range(36, 42), 50, 52],
    "P3": [*range(1, 16)],
}
CASE = re.compile(
    r"(?<![A-Za-z0-9])(SZ|ID|AS|NM|FL|CN|PX|KC|SEC|EX|MD|PV|WR|P3)[-_](\d{1,2})(?!\d)", re.I)
# A path in whole, or what a macro of the file adds one from.
UNIT_PATH = re.compile(r'(?:\b(?:ADD|T|D)\(\s*"|"(?=/[a-z0-9_]+/))((?:\\.|[^"\\])*)"')
PYTHON_TEST = re.compile(r"^(?:async )?def (test_\w+)", re.M)


def tests_of(root):
    """(id, where) of every test that carries an id."""
    found = []
    for path in common.files(root, "tests/unit"):
        if path.endswith(".c"):
            found += named(path, UNIT_PATH.findall(without_comments(root, path)))
    for folder in ("tests/mount", "tests/fake"):
        for path in common.files(root, folder):
            if re.fullmatch(r"test_\w+\.py", os.path.basename(path)):
                found += named(path, PYTHON_TEST.findall(common.read(os.path.join(root, path))))
    return found


def without_comments(root, path):
    """A path in a comment tests nothing."""
    text = common.read(os.path.join(root, path))
    return common.NOISE.sub(lambda at: at.group(0) if at.group(0)[0] in "\"'" else " ", text)


def named(path, names):
    return [("%s-%d" % (kind.upper(), int(number)), "%s: %s" % (path, name))
            for name in names for kind, number in set(CASE.findall(name))]


def required():
    return ["%s-%d" % (kind, number) for kind, numbers in REQUIRED.items() for number in numbers]


def table(root):
    """{id: [test]}, the required ones first and in their order."""
    cases = {case: [] for case in required()}
    for case, where in tests_of(root):
        cases.setdefault(case, []).append(where)
    return cases


def explained(root):
    """The ids in the first column of tests/CASES.md; "PX-1 … PX-20" stands for all between."""
    found = set()
    for line in common.read(os.path.join(root, "tests/CASES.md")).splitlines():
        column = line.split("|")[1] if line.startswith("|") else ""
        ids = [(kind, int(number)) for kind, number in CASE.findall(column)]
        if "…" in column:
            ids = [(ids[0][0], number) for number in range(ids[0][1], ids[-1][1] + 1)]
        found |= {"%s-%d" % pair for pair in ids}
    return found


def check(root):
    cases = table(root)
    known = explained(root)
    return (["%s: no test carries this id" % case for case, tests in cases.items() if not tests] +
            ["%s: tests/CASES.md does not tell what it is" % case for case in cases if case not in known])


def show(root):
    for case, tests in table(root).items():
        if case in required() or "--all" in sys.argv:
            print("%s\n%s" % (case, "".join("    %s\n" % test for test in tests) or "    -\n"), end="")


def examples():
    every = " ".join(required())
    all_but_kc_1 = " ".join(case for case in required() if case != "KC-1")
    function = "def test_%s(mount):\n    pass\n"
    unit = 'int main(void) { g_test_add_func("/a/b/%s x", x); }\n'
    told = "| %s | x | y |\n"
    cases = [
        ({"tests/unit/a.c": unit % every}, None),
        ({"tests/mount/test_a.py": function % every.replace("-", "_").replace(" ", "_")}, None),
        ({"tests/fake/test_a.py": function % every.lower().replace("-", "_").replace(" ", "_")}, None),
        ({"tests/unit/a.c": '#define ADD(p, f) g_test_add_func("/a/" p, f)\nADD("%s", x);\n' % every}, None),
        ({}, "SZ-1: no test"),
        ({"tests/unit/a.c": unit % all_but_kc_1 + 'x = "KC-1";\n'}, "KC-1: no test"),
        ({"tests/unit/a.c": unit % all_but_kc_1}, "KC-1: no test"),
        ({"tests/unit/a.c": unit % all_but_kc_1 + '/* "/a/b/KC-1" */\n'}, "KC-1: no test"),
        ({"tests/unit/a.c": unit % (all_but_kc_1 + " KC-11 XKC-1")}, "KC-1: no test"),
        ({"tests/mount/tools.py": function % "KC_1", "tests/unit/a.c": unit % all_but_kc_1}, "KC-1"),
        ({"tests/mount/test_a.py": "# KC-1\n", "tests/unit/a.c": unit % all_but_kc_1}, "KC-1"),
        ({"tests/unit/a.c": unit % every, "tests/CASES.md": told % all_but_kc_1}, "KC-1: tests/CASES.md"),
        ({"tests/unit/a.c": unit % every + unit % "PX-3", "tests/CASES.md": told % every}, "PX-3: tests"),
        ({"tests/unit/a.c": unit % every + unit % "PX-3",
          "tests/CASES.md": told % every + told % "PX-2 … PX-4"}, None),
    ]
    return [({"tests/CASES.md": told % (every + " KC-11"), **files}, says) for files, says in cases]


def main():
    if "--self-test" not in sys.argv:
        paths = [word for word in sys.argv[1:] if not word.startswith("-")]
        here = os.path.dirname(os.path.abspath(__file__))
        show(paths[0] if paths else os.path.join(here, "..", ".."))
    common.main(check, examples())


if __name__ == "__main__":
    main()
