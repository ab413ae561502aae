# SPDX-License-Identifier: MIT
"""Modified UTF-7 of mailbox names (RFC 3501 section 5.1.3), for the tests."""

import base64


def encode(name):
    """Text to the bytes that go over the wire (unquoted)."""
    out = []
    run = []

    def flush():
        if run:
            raw = "".join(run).encode("utf-16-be")
            text = base64.b64encode(raw).rstrip(b"=").replace(b"/", b",")
            out.append(b"&" + text + b"-")
            run.clear()

    for char in name:
        if " " <= char <= "~":
            flush()
            out.append(b"&-" if char == "&" else char.encode())
        else:
            run.append(char)
    flush()
    return b"".join(out)


def decode(raw):
    """Wire bytes to text; raises ValueError on what is no modified UTF-7."""
    out = []
    at = 0
    while at < len(raw):
        char = raw[at : at + 1]
        if char != b"&":
            out.append(char.decode("ascii"))
            at += 1
            continue
        end = raw.index(b"-", at)
        text = raw[at + 1 : end].replace(b",", b"/")
        if text:
            text += b"=" * (-len(text) % 4)
            out.append(base64.b64decode(text).decode("utf-16-be"))
        else:
            out.append("&")
        at = end + 1
    return "".join(out)


def quote(name):
    """Text to a quoted string in modified UTF-7."""
    raw = encode(name).replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return b'"' + raw + b'"'
