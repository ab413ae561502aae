# SPDX-License-Identifier: MIT
"""Parsing of IMAP commands for the scripted server: plain, and strict enough for tests."""

import datetime
import functools
import re

ITEM = re.compile(rb"BODY(?:\.PEEK)?\[[^\]]*\](?:<\d+(?:\.\d+)?>)?|[A-Z0-9][A-Z0-9.\-]*", re.I)
SECTION = re.compile(rb"BODY(?:\.PEEK)?\[([^\]]*)\](?:<(\d+)(?:\.(\d+))?>)?", re.I)


def arguments(line):
    """Atoms, quoted strings and literals as bytes, parentheses as lists."""
    stack = [[]]
    at = 0
    while at < len(line):
        char = line[at : at + 1]
        if char in b" \r\n":
            at += 1
        elif char == b"(":
            stack.append([])
            at += 1
        elif char == b")":
            if len(stack) > 1:
                done = stack.pop()
                stack[-1].append(done)
            at += 1
        elif char == b'"':
            value, at = quoted(line, at + 1)
            stack[-1].append(value)
        else:
            found = re.match(rb"~?\{(\d+)\+?\}\r\n", line[at:])
            if found:
                at += found.end()
                stack[-1].append(line[at : at + int(found.group(1))])
                at += int(found.group(1))
            else:
                found = re.match(rb"(?:BODY[A-Z.]*\[[^\]]*\][^ )]*|[^ ()\r\n]+)", line[at:], re.I)
                stack[-1].append(found.group(0))
                at += found.end()
    return stack[0]


def quoted(line, at):
    out = b""
    while at < len(line) and line[at : at + 1] != b'"':
        if line[at : at + 1] == b"\\":
            at += 1
        out += line[at : at + 1]
        at += 1
    return out, at + 1


def date(text):
    """INTERNALDATE as seconds since 1970."""
    day = datetime.datetime.strptime(text.decode().strip(), "%d-%b-%Y %H:%M:%S %z")
    return int(day.timestamp())


def number_set(text, largest):
    """"1:3,7,*" as a function that tells whether a number is in it."""
    ranges = []
    for part in text.split(b","):
        first, _, last = part.partition(b":")
        low = largest if first == b"*" else int(first)
        high = low if not last else largest if last == b"*" else int(last)
        ranges.append((min(low, high), max(low, high)))
    return lambda number: any(low <= number <= high for low, high in ranges)


def expand(text, largest, known):
    """The members of known (any order kept) that are in the set."""
    inside = number_set(text, largest)
    return [number for number in known if inside(number)]


@functools.lru_cache(maxsize=100)
def list_pattern(reference, pattern, delimiter):
    """LIST's * and % as a compiled expression over raw names."""
    out = b""
    for char in reference + pattern:
        char = bytes([char])
        if char == b"*":
            out += b".*"
        elif char == b"%":
            out += b"[^" + re.escape(delimiter.encode()) + b"]*" if delimiter else b".*"
        else:
            out += re.escape(char)
    return re.compile(out + rb"\Z", re.S)




def quote(raw):
    """Bytes as a quoted string, or as a literal if they cannot be quoted."""
    if any(char in raw for char in b"\r\n\0"):
        return b"{%d}\r\n%s" % (len(raw), raw)
    return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def compress_set(numbers):
    """Sorted numbers as "1:3,7"."""
    parts, numbers = [], sorted(numbers)
    at = 0
    while at < len(numbers):
        end = at
        while end + 1 < len(numbers) and numbers[end + 1] == numbers[end] + 1:
            end += 1
        parts.append("%d" % numbers[at] if end == at else "%d:%d" % (numbers[at], numbers[end]))
        at = end + 1
    return ",".join(parts)
