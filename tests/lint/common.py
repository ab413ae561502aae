# SPDX-License-Identifier: MIT
"""What the lint scripts share: finding files, blanking comments and strings, reporting.

Each script is run as SCRIPT [SOURCE_ROOT] and with --self-test, which feeds it tiny bad
examples: a lint that cannot fail is worth nothing.
"""

import os
import re
import sys
import tempfile

NOISE = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""", re.S | re.X)


def blank(text):
    """C text without comments and without what strings hold; lines keep their numbers."""

    def empty(found):
        token = found.group(0)
        if token[0] in "\"'":
            return token[0] * 2
        return "\n" * token.count("\n") or " "

    return NOISE.sub(empty, text)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def c_files(root, *folders):
    """Paths of .c and .h files below the folders, relative to root, sorted."""
    return [path for path in files(root, *folders) if path.endswith((".c", ".h"))]


def files(root, *folders):
    found = []
    for folder in folders:
        for where, dirs, names in os.walk(os.path.join(root, folder)):
            dirs[:] = sorted(d for d in dirs if not d.startswith((".git", "build", "__pycache__")))
            found += [os.path.relpath(os.path.join(where, name), root) for name in sorted(names)
                      if name != ".git"]
    return found


def source_lines(root, path):
    """(number, text) of a C file, comments and strings blanked."""
    return list(enumerate(blank(read(os.path.join(root, path))).split("\n"), 1))


def search(root, paths, pattern, say):
    """Complaints about every match of a pattern; say(match) makes the text."""
    found = []
    for path in paths:
        for number, line in source_lines(root, path):
            found += ["%s:%d: %s" % (path, number, say(match)) for match in pattern.finditer(line)]
    return found


def main(check, examples):
    """check(root) returns complaints. examples: [({path: text}, part of the complaint or None)]."""
    if "--self-test" in sys.argv:
        sys.exit(self_test(check, examples))
    here = os.path.dirname(os.path.abspath(__file__))
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "..", "..")
    complaints = check(root)
    for complaint in complaints:
        print(complaint)
    print("%s: %d complaints" % (os.path.basename(sys.argv[0]), len(complaints)))
    sys.exit(1 if complaints else 0)


def self_test(check, examples):
    bad = 0
    for tree, expected in examples:
        with tempfile.TemporaryDirectory() as root:
            for path, text in tree.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)) or root, exist_ok=True)
                with open(os.path.join(root, path), "w") as file:
                    file.write(text)
            got = check(root)
        good = not got if expected is None else any(expected in line for line in got)
        if not good:
            bad += 1
            print("self-test: %r: expected %r, got %r" % (sorted(tree), expected, got))
    print("self-test: %d examples, %d wrong" % (len(examples), bad))
    return 1 if bad or not any(expected for _tree, expected in examples) else 0
