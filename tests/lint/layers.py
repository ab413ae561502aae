#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Includes look down only. The table is the one of the architecture page."""

import os
import re

import common

# Layer: which other layers it may include, and which headers of include/mailfs.
# types.h and error.h may be included anywhere.
LAYERS = {
    "cli": ("fs view engine backend store model net wire base", "backend.h view.h xattr.h"),
    "fs": ("view engine model base", "view.h xattr.h"),
    "view": ("model base", "view.h"),
    "engine": ("store model base", "backend.h"),
    "backend": ("net wire base", "backend.h"),
    "store": ("model base", ""),
    "model": ("base", ""),
    "net": ("base", ""),
    "wire": ("base", ""),
    "base": ("", ""),
    "include": ("", ""),
}
EVERYWHERE = ("types.h", "error.h")

# System headers that belong to some layers alone.
OWNED = (
    (re.compile(r"fuse\w*(\.h|/)"), ("fs",)),
    (re.compile(r"sqlite3\.h"), ("store",)),
    (re.compile(r"openssl/"), ("net", "wire", "cli")),
)

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.M)


def check(root):
    complaints = []
    for path in common.c_files(root, "src", "include"):
        parts = path.split(os.sep)
        layer = "include" if parts[0] == "include" else parts[1]
        if layer not in LAYERS:
            complaints.append("%s: no such layer: %s" % (path, layer))
            continue
        text = strip_comments(common.read(os.path.join(root, path)))
        for found in INCLUDE.finditer(text):
            number = text.count("\n", 0, found.start()) + 1
            complaint = judge(layer, found.group(1) == "<", found.group(2))
            if complaint:
                complaints.append("%s:%d: %s" % (path, number, complaint))
    return complaints


def strip_comments(text):
    return re.sub(r"/\*.*?\*/", lambda found: "\n" * found.group(0).count("\n"), text, flags=re.S)


def judge(layer, is_system, header):
    """What is wrong with an include, or None."""
    below, contracts = (set(part.split()) for part in LAYERS[layer])
    if is_system:
        for pattern, owners in OWNED:
            if pattern.match(header) and layer not in owners:
                return "<%s> belongs to %s, not to %s" % (header, ", ".join(owners), layer)
        if header.startswith("mailfs/"):
            return "write \"%s\", not <%s>" % (header, header)
        return None
    target, _, name = header.partition("/")
    if not name:
        return '"%s": includes are written "layer/file.h"' % header
    if target == "mailfs":
        # A contract may build on other contracts.
        allowed = layer == "include" or name in EVERYWHERE or name in contracts
        return None if allowed else '"%s" is not for %s' % (header, layer)
    if target == layer or target in below:
        return None
    if target not in LAYERS:
        return '"%s": no such layer' % header
    return '"%s" is not below %s' % (header, layer)


def one(path, line):
    return {path: "/* c */\n%s\n" % line}


EXAMPLES = [
    (one("src/wire/a.c", '#include "base/log.h"'), None),
    (one("src/wire/a.c", '#include "wire/b.h"\n#include <glib.h>'), None),
    (one("src/fs/ops/a.c", '#include "view/b.h"\n#include <fuse_lowlevel.h>'), None),
    (one("src/engine/a.c", '#include "mailfs/backend.h"\n/* #include "fs/x.h" */'), None),
    (one("src/wire/a.c", '#include "net/stream.h"'), 'a.c:2: "net/stream.h" is not below wire'),
    (one("src/model/a.h", '#include "engine/engine.h"'), "not below model"),
    (one("src/engine/a.c", '#include "backend/imap/imap.h"'), "not below engine"),
    (one("src/fs/a.c", '# include "store/store.h"'), "not below fs"),
    (one("src/engine/a.c", "#include <fuse3/fuse_lowlevel.h>"), "belongs to fs"),
    (one("src/engine/a.c", "#include <sqlite3.h>"), "belongs to store"),
    (one("src/store/a.c", "#include <openssl/ssl.h>"), "belongs to net"),
    (one("src/view/a.c", '#include "mailfs/backend.h"'), "not for view"),
    (one("src/engine/a.c", '#include "mailfs/xattr.h"'), "not for engine"),
    (one("src/net/a.c", '#include "mailfs/error.h"'), None),
    (one("src/net/a.c", '#include "stream.h"'), 'written "layer/file.h"'),
    (one("src/extra/a.c", ""), "no such layer"),
    (one("include/mailfs/a.h", '#include "base/log.h"'), "not below include"),
]

if __name__ == "__main__":
    common.main(check, EXAMPLES)
