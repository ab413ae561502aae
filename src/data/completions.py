#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes the completions of a shell from the tables in the sources, so that they cannot disagree.

    completions.py bash|zsh|fish OPTIONS_C CMDLINE_C CTL_C TEMPLATE

Reads the rows of option_table[], the letters and words of the usage text and the rows of ctl_verbs[]; writes the
template with its @WORDS@ filled in.
"""

import re
import sys

ROW = re.compile(r'\{\s*"([\w-]+)",\s*(OPTION_\w+),\s*(O|C|BOTH),\s*AT\(\w+\),\s*(NULL|"[^"]*"),\s*'
                 r'(NULL|"[^"]*"),\s*\w+,\s*[^,]+,\s*"((?:[^"\\]|\\.)*)"')
LETTER = re.compile(r'"    (-\w), (--[\w-]+)( [A-Z]+)? +(.*?)\\n"')
LONG = re.compile(r'"        (--[\w-]+) +(.*?)\\n"')
VERB = re.compile(r'\{\s*"([a-z]+)",\s*ctl_\w+,\s*("(?:[^"\\]|\\.)*"),\s*("(?:[^"\\]|\\.)*")((?:,\s*"[^"]*"(?:\s*"[^"]*")*)?)\s*\}')


def unquote(text):
    return "" if text == "NULL" else re.sub(r'"\s*"', "", text)[1:-1].replace('\\\\', '\\').replace('\\"', '"')


def options(text):
    """(name, needs a value, choices, help) of what may stand behind -o."""
    for name, kind, places, _value, choices, help_text in ROW.findall(text):
        if places == "C":
            continue
        words = unquote(choices).split("|") if choices != "NULL" else []
        if kind == "OPTION_YES_NO":
            words = ["yes", "no"]
        if name == "name":
            words = ["human", "uid"]
        yield name, kind != "OPTION_FLAG", words, help_text.replace("\\\\", "\\")


def letters(text):
    """(letter or "", word, needs a value, help)."""
    return [("", long, False, help_text) for long, help_text in LONG.findall(text)] + \
        [(short, long, bool(value), help_text) for short, long, value, help_text in LETTER.findall(text)]


def verbs(text):
    """(name, arguments, help) with the options of a verb among its arguments."""
    for name, arguments, help_text, more in VERB.findall(text):
        yield name, unquote(arguments) + " " + unquote(more.lstrip(", \n\t") or "NULL"), unquote(help_text)


def flags(arguments):
    return re.findall(r"--[a-z-]+=?|(?<![\w-])-[A-Z]\b", arguments)


def kind(arguments):
    """What a verb's words are."""
    found = re.search(r"MOUNTPOINT|ACCOUNT|SOURCE|ADDRESS", arguments)
    return found.group(0).lower() if found else "none"


def bash(opts, chars, all_verbs):
    return {
        "OPTIONS": " ".join(name + "=" * value for name, value, _words, _help in opts),
        "VALUES": "\n".join("\t\t%s) echo '%s' ;;" % (name, " ".join(words))
                            for name, _value, words, _help in opts if words),
        "LETTERS": " ".join(("%s %s" % (short, long)).strip() for short, long, _value, _help in chars),
        "VERBS": " ".join(name for name, _arguments, _help in all_verbs),
        "FLAGS": "\n".join("\t\t%s) echo '%s' ;;" % (name, " ".join(flags(arguments)))
                           for name, arguments, _help in all_verbs if flags(arguments)),
        "KINDS": "\n".join("\t\t%s) echo %s ;;" % (name, kind(arguments))
                           for name, arguments, _help in all_verbs),
    }


def zsh_text(text):
    return re.sub(r"([\[\]:\\])", r"\\\1", text).replace("'", "'\\''")


def zsh(opts, chars, all_verbs):
    def option(name, value, words, help_text):
        action = ":value:(%s)" % " ".join(words) if words else ":value:" if value else ""
        if name == "tls-ca":
            action = ":file:_files"
        return "\t\t'%s[%s]%s'" % (name, zsh_text(help_text), action)

    def letter(short, long, value, help_text):
        action = {"-o": "", "-F": ":file:_files"}.get(short, "")
        if not short:
            return "\t\t'%s[%s]'" % (long, zsh_text(help_text))
        return None if short == "-o" else "\t\t'(%s %s)'{%s,%s}'[%s]%s'" % (
            short, long, short, long, zsh_text(help_text), action)

    return {
        "OPTIONS": " \\\n".join(option(*row) for row in opts),
        "LETTERS": " \\\n".join(text for text in (letter(*row) for row in chars) if text),
        "VERBS": "\n".join("\t\t'%s:%s'" % (name, zsh_text(help_text)) for name, _a, help_text in all_verbs),
        "FLAGS": "\n".join("\t\t%s) words_of=(%s) ;;" % (name, " ".join(flags(arguments)))
                           for name, arguments, _help in all_verbs if flags(arguments)),
        "KINDS": "\n".join("\t\t%s) kind=%s ;;" % (name, kind(arguments)) for name, arguments, _h in all_verbs),
    }


def fish_text(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish(opts, chars, all_verbs):
    lines = []
    for name, value, words, help_text in opts:
        lines += ["\techo %s" % fish_text("%s=%s\t%s" % (name, word, help_text)) for word in words] or \
            ["\techo %s" % fish_text("%s%s\t%s" % (name, "=" * value, help_text))]
    verb_lines = []
    for name, arguments, help_text in all_verbs:
        verb_lines.append("complete -c mailfsctl -f -n __fish_use_subcommand -a %s -d %s" % (name, fish_text(help_text)))
        for flag in flags(arguments):
            switch = "-l " + flag[2:].rstrip("=") if flag.startswith("--") else "-s " + flag[1]
            verb_lines.append("complete -c mailfsctl -f -n '__fish_seen_subcommand_from %s' %s%s" % (
                name, switch, " -r" if flag.endswith("=") else ""))
        words = {"mountpoint": "(__mailfs_mounts)", "account": "(__mailfs_accounts)",
                 "source": "(__mailfs_accounts)"}.get(kind(arguments))
        if words:
            verb_lines.append("complete -c mailfsctl -f -n '__fish_seen_subcommand_from %s' -a '%s'" % (name, words))
    return {
        "OPTIONS": "\n".join(lines),
        "LETTERS": "\n".join("complete -c mailfs%s -l %s%s -d %s" % (
            " -s " + short[1] if short else "", long[2:], " -r -F" if value else "", fish_text(help_text))
            for short, long, value, help_text in chars),
        "VERBS": "\n".join(verb_lines),
    }


def main():
    shell, options_c, cmdline_c, ctl_c, template = sys.argv[1:]
    texts = []
    for path in (options_c, cmdline_c, ctl_c, template):
        with open(path, encoding="utf-8") as file:
            texts.append(file.read())
    rows = list(options(texts[0])), letters(texts[1]), list(verbs(texts[2]))
    assert all(rows), "a table was not found"
    words = {"bash": bash, "zsh": zsh, "fish": fish}[shell](*rows)
    sys.stdout.write(re.sub(r"@(\w+)@", lambda found: words[found.group(1)], texts[3]))


if __name__ == "__main__":
    main()
