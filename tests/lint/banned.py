#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Calls that are never right, and calls that the pure layers may not make."""

import re

import common

# A call: not a method of something (x->read), not the end of a longer name.
CALL = r"(?<![\w.>])(%s)\s*\("

NEVER = re.compile(CALL % "|".join((
    "strcpy", "strcat", "sprintf", "vsprintf", "strtok", "atoi", "atol", "atoll", "gets", "system",
    "alloca", "g_alloca", "g_newa", "strncpy", "strncat", "localtime")))

# wire and model: no log, no clock, no file or socket, no output.
PURE = ("wire", "model")
IMPURE = re.compile(CALL % "|".join((
    r"log_\w+", r"clock_\w+", "g_log", "g_message", "g_warning", "g_debug", "g_info", "g_critical",
    "printf", "fprintf", "vprintf", "vfprintf", "perror", "g_print", "g_printerr",
    "time", "gettimeofday", "g_get_monotonic_time", "g_get_real_time", r"g_date_time_new_now\w*",
    "open", "openat", "creat", "close", "read", "write", "pread", "pwrite", "readv", "writev",
    "fopen", "fdopen", "socket", "connect", "accept", "recv", "send", "poll", "select", "dup",
    "dup2", "pipe", "pipe2", "fsync", "unlink", "rename", "stat", "fstat", "lstat", "mmap", "ioctl",
    "sleep", "usleep", "nanosleep")))
IMPURE_HEADERS = re.compile(
    r'^\s*#\s*include\s*(["<](?:base/log\.h|base/clock\.h|unistd\.h|fcntl\.h|sys/socket\.h'
    r'|sys/stat\.h|poll\.h|sys/mman\.h)[">])', re.M)


def check(root):
    every = common.c_files(root, "src", "include", "tests/unit", "tests/fuzz")
    complaints = common.search(root, every, NEVER, lambda found: "banned: %s()" % found.group(1))
    for layer in PURE:
        paths = common.c_files(root, "src/" + layer)
        complaints += common.search(root, paths, IMPURE, lambda found: "%s() is not for %s"
                                    % (found.group(1), layer))
        for path in paths:
            text = common.read("%s/%s" % (root, path))
            complaints += ["%s:%d: %s is not for %s" % (path, text.count("\n", 0, found.start(1)) + 1,
                                                        found.group(1), layer)
                           for found in IMPURE_HEADERS.finditer(text)]
    return complaints


EXAMPLES = [
    ({"src/fs/a.c": "/* strcpy(a, b) */ my_strcpy(a, b); g_strlcpy(a, b, c); x->system(1);\n"}, None),
    ({"src/fs/a.c": "\nstrcpy(a, b);\n"}, "a.c:2: banned: strcpy()"),
    ({"tests/unit/a.c": "n = atoi (s);\n"}, "banned: atoi()"),
    ({"src/cli/a.c": "return system(x);\n"}, "banned: system()"),
    ({"src/cli/a.c": "t = localtime_r(&x, &y);\n"}, None),
    ({"src/wire/a.c": "log_warn(\"x\");\n"}, "log_warn() is not for wire"),
    ({"src/model/a.c": "now = clock_now_us();\n"}, "clock_now_us() is not for model"),
    ({"src/wire/a.c": "fd = open(path, 0);\n"}, "open() is not for wire"),
    ({"src/wire/a.c": "reader->close(reader); box.read(x); imap_open(y);\n"}, None),
    ({"src/net/a.c": "log_warn(\"x\"); fd = open(path, 0);\n"}, None),
    ({"src/wire/a.c": "#include <glib.h>\n#include <unistd.h>\n"}, "a.c:2: <unistd.h>"),
    ({"src/model/a.h": "#include \"base/clock.h\"\n"}, "not for model"),
]

if __name__ == "__main__":
    common.main(check, EXAMPLES)
