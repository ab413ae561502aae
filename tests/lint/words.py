#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Nothing in the tree depends on where it lies or names hosts that are none of its business."""

import os
import re

import common

# Written in pieces, for this file is checked too.
PLACES = ("/wo" "rk/", ".." "/shared", "/tmp/b" "-", "/tmp/br" "ief", "/ro" "ot/", "/home" "/user")
HOSTS = ("pypi" ".org", "files.python" "hosted.org", "registry.npm" "js.org", "crates" ".io",
         "proxy.go" "lang.org", "ruby" "gems.org", "repo.maven" ".apache.org", "docker" ".io",
         "ghcr" ".io", "deb.deb" "ian.org", "archive.ubu" "ntu.com")
BINARY = (".png", ".pdf", ".xz", ".gz", ".bin")

# A test may take a place from the environment and have a default for it.
DEFAULT = re.compile(r"environ|getenv|:-|:=")


def check(root):
    complaints = []
    for path in common.files(root, "."):
        path = os.path.normpath(path)
        if path.endswith(BINARY) or path.startswith("tests/fuzz/corpus"):
            continue
        for number, line in enumerate(common.read(os.path.join(root, path)).split("\n"), 1):
            complaints += ["%s:%d: %s" % (path, number, word) for word in judge(path, line)]
    return complaints


def judge(path, line):
    is_default = path.startswith("tests/") and DEFAULT.search(line)
    places = [] if is_default else [word for word in PLACES if word in line]
    return places + [word for word in HOSTS if re.search(r"(?<![\w-])" + re.escape(word), line)]


EXAMPLES = [
    ({"README.md": "see /usr/share and ../share\n", "tests/x.py":
      "os.environ.get('CORPUS', '.." "/shared/corpus')\n"}, None),
    ({"src/a/a.c": "\n/* /wo" "rk/main */\n"}, "a.c:2: /wo" "rk/"),
    ({"tests/x.py": "open('.." "/shared/corpus')\n"}, "shared"),
    ({"README.md": "https://pypi" ".org/x\n"}, "pypi"),
    ({".ci/run": "curl https://crates" ".io\n"}, "crates"),
]

if __name__ == "__main__":
    common.main(check, EXAMPLES)
