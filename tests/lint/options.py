#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The option table, the manual pages and the views of it agree: what exists is written down, and nothing else.

The table is read from src/cli/options.c, the letters from the usage text in src/cli/cmdline.c, the verbs
of mailfsctl and their options from src/cli/ctl.c. Completions are made from the same tables.
"""

import os
import re

import common

ROW = re.compile(r'\{\s*"([\w-]+)",\s*OPTION_\w+,\s*(O|C|BOTH),\s*AT\(\w+\),\s*(NULL|"[^"]*"),')
VERB = re.compile(r'\{\s*"([a-z]+)",\s*ctl_\w+,((?:\s*"(?:[^"\\\\]|\\\\.)*",?)+)\s*\}')
LONG = re.compile(r'"        (--[\w-]+) ')
LETTER = re.compile(r'"    (-\w), (--[\w-]+)')


def check(root):
    table = ROW.findall(text_of(root, "src/cli/options.c"))
    letters = LETTER.findall(text_of(root, "src/cli/cmdline.c"))
    letters += [("", long) for long in LONG.findall(text_of(root, "src/cli/cmdline.c"))]
    page = text_of(root, "src/data/mailfs.1.scd")
    file_page = text_of(root, "src/data/mailfs.conf.5.scd")
    complaints = []
    if not table:
        complaints.append("src/cli/options.c: no rows found")
    options = {name for name, places, _value in table if places in ("O", "BOTH")}
    keys = {name for name, places, _value in table if places in ("C", "BOTH")}
    complaints += compare("src/data/mailfs.1.scd", options, documented_options(page), "-o ")
    complaints += compare("src/data/mailfs.conf.5.scd", keys, documented_keys(file_page), "")
    complaints += compare("src/data/mailfs.1.scd", set(letters), documented_letters(page), "")
    verbs = {name: set(re.findall(r"--[a-z-]+", rest)) for name, rest in VERB.findall(text_of(root, "src/cli/ctl.c"))}
    if not verbs:
        complaints.append("src/cli/ctl.c: no rows found")
    complaints += compare_verbs("src/data/mailfsctl.1.scd", verbs,
                                documented_verbs(text_of(root, "src/data/mailfsctl.1.scd")))
    return complaints


def documented_verbs(page):
    """Name: options, of each paragraph of VERBS, its heads of second level included."""
    found = {}
    part = re.search(r"^# VERBS$(.*?)^# ", page + "\n# ", re.M | re.S)
    for line in part.group(1).split("\n") if part else []:
        head = re.match(r"\*([a-z]+)\*", line)
        if head:
            name = head.group(1)
            found[name] = set()
        if head or line.startswith("\t*--"):
            found[name] |= set(re.findall(r"\*(--[a-z-]+)", line))
    return found


def compare_verbs(path, real, documented):
    complaints = compare(path, set(real), set(documented), "verb ")
    for name in sorted(set(real) & set(documented)):
        complaints += compare(path, real[name], documented[name], name + " ")
    return complaints


def text_of(root, path):
    return common.read(os.path.join(root, path))


def heads(page):
    """Lines that head an indented paragraph."""
    lines = page.split("\n")
    return [line for line, after in zip(lines, lines[1:])
            if line and not line.startswith(("\t", "#")) and after.startswith("\t")]


def documented_options(page):
    return {name for line in heads(page) for name in re.findall(r"\*-o ([\w-]+)", plain(line))}


def documented_keys(page):
    return {name for line in heads(page)
            for name in re.findall(r"(?:^|, )\*([\w-]+) = ", plain(line))}


def documented_letters(page):
    return {found for line in heads(page)
            for found in re.findall(r"^(?:\*(-\w)\*, )?\*(--[\w-]+)\*", line)}


def plain(line):
    return line.replace("\\_", "_")


def compare(path, real, documented, prefix):
    def name(what):
        return prefix + (" ".join(what) if isinstance(what, tuple) else what)

    return ["%s: %s is not explained" % (path, name(what)) for what in sorted(real - documented)] + \
           ["%s: %s does not exist" % (path, name(what)) for what in sorted(documented - real)]


OPTIONS_C = '''	{ "ro", OPTION_FLAG, BOTH, AT(x), NULL, NULL },
	{ "passfd", OPTION_NUMBER, O, AT(x), "=N", NULL },
	{ "password", OPTION_TEXT, C, AT(x), "=TEXT", NULL },
'''
CMDLINE_C = '"        --all             text\\n"\n"    -f, --foreground      text\\n"\n'
CTL_C = '''	{ "add", ctl_add, "ADDRESS", "help", "--name=NAME "
		"--yes" },
	{ "cache", ctl_cache, "[--clear] ACCOUNT", "help" },
'''
PAGE_CTL = ("# VERBS\n\n*add* _ADDRESS_\n\ttext *--other* text\n\n\t*--name=*_NAME_\n\t\ttext\n\n"
            "\t*--yes*\n\t\ttext\n\n*cache* [*--clear*] _ACCOUNT_\n\ttext\n\n# OPTIONS\n")
PAGE_1 = "*--all*\n\ttext\n\n*-f*, *--foreground*\n\ttext\n\n*-o ro*\n\ttext\n\n*-o passfd=*_N_\n\ttext\n"
PAGE_5 = "*ro = yes|no*\n\ttext\n\n*password = *_TEXT_\n\ttext\n"


def tree(**changes):
    files = {"src/cli/options.c": OPTIONS_C, "src/cli/cmdline.c": CMDLINE_C,
             "src/data/mailfs.1.scd": PAGE_1, "src/data/mailfs.conf.5.scd": PAGE_5,
             "src/cli/ctl.c": CTL_C, "src/data/mailfsctl.1.scd": PAGE_CTL}
    for key, text in changes.items():
        files[{"page1": "src/data/mailfs.1.scd", "page5": "src/data/mailfs.conf.5.scd",
               "table": "src/cli/options.c", "ctl": "src/cli/ctl.c",
               "page_ctl": "src/data/mailfsctl.1.scd"}[key]] = text
    return files


EXAMPLES = [
    (tree(), None),
    (tree(page1=PAGE_1.replace("*-o ro*", "*-o rw*")), "-o ro is not explained"),
    (tree(page1=PAGE_1.replace("*-o ro*", "*-o rw*")), "-o rw does not exist"),
    (tree(page1=PAGE_1.replace("*-f*", "*-g*")), "-f --foreground is not explained"),
    (tree(page1=PAGE_1.replace("*--all*", "*--every*")), " --all is not explained"),
    (tree(page1=PAGE_1.replace("*--all*", "*--every*")), " --every does not exist"),
    (tree(page5=PAGE_5.replace("password", "pass")), "mailfs.conf.5.scd: password is not explained"),
    (tree(page5=PAGE_5 + "\n*passfd = *_N_\n\ttext\n"), "passfd does not exist"),
    (tree(table=""), "no rows"),
    (tree(ctl=""), "no rows"),
    (tree(page_ctl=PAGE_CTL.replace("*cache*", "*cash*")), "verb cache is not explained"),
    (tree(page_ctl=PAGE_CTL.replace("*cache*", "*cash*")), "verb cash does not exist"),
    (tree(page_ctl=PAGE_CTL.replace("*--clear*", "")), "cache --clear is not explained"),
    (tree(page_ctl=PAGE_CTL.replace("*--yes*", "*--no*")), "add --no does not exist"),
]

if __name__ == "__main__":
    common.main(check, EXAMPLES)
