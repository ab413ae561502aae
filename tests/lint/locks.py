#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""No locks of our own: state has one owner thread, and to reach it one posts."""

import re

import common

LOCKS = re.compile(
    r"\b(pthread_(?:mutex|rwlock|spin|cond|barrier)\w*|sem_(?:init|wait|post|open)|mtx_\w+|cnd_\w+"
    r"|GMutex|GRecMutex|GRWLock|GCond|GStaticMutex|G_LOCK\w*|G_UNLOCK\w*|G_TRYLOCK"
    r"|g_(?:rec_)?mutex_\w+|g_rw_lock_\w+|g_cond_\w+|g_bit_lock\w*|g_pointer_bit_lock\w*"
    r"|PTHREAD_MUTEX\w*|g_static_\w*mutex\w*)\b")


def check(root):
    paths = common.c_files(root, "src", "include")
    return common.search(root, paths, LOCKS, lambda found: "a lock: " + found.group(1))


EXAMPLES = [
    ({"src/a/a.c": "/* GMutex */ int GMutexes; const char *s = \"GMutex\";\n"}, None),
    ({"src/a/a.c": "int x;\nstatic GMutex lock;\n"}, "a.c:2: a lock: GMutex"),
    ({"src/a/a.c": "pthread_mutex_t m;\n"}, "pthread_mutex_t"),
    ({"src/a/a.c": "G_LOCK_DEFINE(x);\n"}, "G_LOCK_DEFINE"),
    ({"include/mailfs/a.h": "GRWLock l;\n"}, "GRWLock"),
    ({"src/a/a.c": "g_cond_wait(&c, &m);\n"}, "g_cond_wait"),
]

if __name__ == "__main__":
    common.main(check, EXAMPLES)
