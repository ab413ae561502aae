#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Nothing between the backends and the command line asks which protocol it is: what is peculiar to one
is a trait, a slot or a field of include/mailfs/backend.h."""

import re

import common

ABOVE = ("src/engine", "src/store", "src/model", "src/view", "src/fs")
NAMES = re.compile(r"\b(\w*(?:imap|pop3)\w*)\b|(\w*cmp\w*\([^;]*\bbackend->name\b)", re.I)


def say(found):
    return "a protocol by name: " + (found.group(1) or found.group(2))


def check(root):
    return common.search(root, common.c_files(root, *ABOVE), NAMES, say)


EXAMPLES = [
    ({"src/engine/a.c": "/* as IMAP does */ int x; const char *s = \"pop3://\";\n"}, None),
    ({"src/cli/a.c": "account->backend = &imap_backend;\n"}, None),
    ({"src/engine/a.c": "put(\"%s\", backend->name);\n"}, None),
    ({"src/engine/a.c": "if (config->backend == &pop3_backend)\n"}, "pop3_backend"),
    ({"src/fs/a.c": "int x;\nif (source.is_imap)\n"}, "a.c:2: a protocol by name: is_imap"),
    ({"src/store/a.h": "enum { STORE_POP3 };\n"}, "STORE_POP3"),
    ({"src/engine/a.c": "if (strcmp(engine->config.backend->name, \"imap\") == 0)\n"}, "strcmp("),
]

if __name__ == "__main__":
    common.main(check, EXAMPLES)
