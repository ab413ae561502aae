#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Each layer has a README.md: at most 60 lines, and it says the five things."""

import os
import re

import common

LIMIT = 60
TOPICS = {
    "purpose": r"purpose",
    "may include": r"may include",
    "owner thread": r"(owner|thread)",
    "invariants": r"invariant",
    "how to test": r"(how to test|tests?\b)",
}
NOT_LAYERS = ("data",)


def check(root):
    src = os.path.join(root, "src")
    layers = [name for name in sorted(os.listdir(src))
              if os.path.isdir(os.path.join(src, name)) and name not in NOT_LAYERS
              and common.c_files(src, name)]
    complaints = []
    for layer in layers:
        path = "src/%s/README.md" % layer
        if not os.path.exists(os.path.join(root, path)):
            complaints.append("%s: missing" % path)
            continue
        complaints += judge(path, common.read(os.path.join(root, path)))
    return complaints


def judge(path, text):
    complaints = []
    lines = text.splitlines()
    if len(lines) > LIMIT:
        complaints.append("%s: %d lines, at most %d" % (path, len(lines), LIMIT))
    if not lines or not lines[0].startswith("# "):
        complaints.append("%s: the first line is no heading" % path)
    # A topic is a heading, or a paragraph that starts in bold.
    heads = " ".join(re.findall(r"^(?:#+ |\*\*)[^\n]*", text, re.M)).lower()
    complaints += ["%s: says nothing of: %s" % (path, topic)
                   for topic, pattern in TOPICS.items() if not re.search(pattern, heads)]
    return complaints


GOOD = "# wire\n\n**Purpose.** x\n\n## May include\n\n## Owner thread\n\n## Invariants\n\n**How to test.** y\n"
EXAMPLES = [
    ({"src/wire/a.c": "", "src/wire/README.md": GOOD}, None),
    ({"src/wire/a.c": ""}, "missing"),
    ({"src/wire/a.c": "", "src/wire/README.md": GOOD + "x\n" * 60}, "lines, at most 60"),
    ({"src/wire/a.c": "", "src/wire/README.md": GOOD[2:]}, "no heading"),
    ({"src/wire/a.c": "", "src/wire/README.md": GOOD.replace("Invariants", "Else")}, "of: invariants"),
]

if __name__ == "__main__":
    common.main(check, EXAMPLES)
