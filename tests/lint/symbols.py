#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""No two layers define the same global symbol.

Each layer is a static library. When two define one name, the linker takes either without a word,
and a caller in one layer ends up in the other.

    symbols.py BUILD        reads BUILD/src/*/lib*.a
    symbols.py --self-test
"""

import glob
import os
import subprocess
import sys
import tempfile


def symbols(archive):
    out = subprocess.run(["nm", "--defined-only", archive], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True, check=True).stdout
    words = (line.split() for line in out.splitlines())
    # Symbols of sanitizers begin with "_".
    return {w[2] for w in words if len(w) == 3 and w[1] in "TDBR" and not w[2].startswith("_")}


def complaints(build):
    seen = {}
    archives = sorted(glob.glob(os.path.join(build, "src", "*", "lib*.a")))
    if not archives:
        yield "no libraries in %s" % build
    for archive in archives:
        for name in sorted(symbols(archive)):
            if name in seen:
                yield "%s: defined in %s and in %s" % (name, seen[name], os.path.basename(archive))
            seen.setdefault(name, os.path.basename(archive))


def self_test():
    with tempfile.TemporaryDirectory() as top:
        for layer in ("one", "two"):
            where = os.path.join(top, "src", layer)
            os.makedirs(where)
            source = os.path.join(where, "x.c")
            with open(source, "w") as file:
                file.write("int twice(void); int twice(void) { return 1; } "
                           "int only_%s(void); int only_%s(void) { return 2; }\n" % (layer, layer))
            subprocess.run(["cc", "-c", source, "-o", source + ".o"], check=True)
            subprocess.run(["ar", "rcs", os.path.join(where, "lib%s.a" % layer), source + ".o"], check=True)
        found = list(complaints(top))
        assert len(found) == 1 and found[0].startswith("twice:"), found
        assert list(complaints(os.path.join(top, "nowhere"))), "an empty build must not pass"


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    found = list(complaints(sys.argv[1]))
    for line in found:
        print(line)
    print("symbols.py: %d complaints" % len(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
