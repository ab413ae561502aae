#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A scripted POP3 server for hostile and odd cases, in threads of the test process.

Below: a small, well-behaved server over a list of messages. Above it: the hooks of scripted.py, by
which a test replaces, delays, cuts or garbles any answer, and faults for what is common:

    with Pop3Server() as server:                       # user demo, password secret
        server.add(b"Subject: x\\r\\n\\r\\nbody\\r\\n", uidl="abc", size=100)

        server.faults.add("top-nothing")
        server.on("RETR", reply("+OK", "body", RST), times=1)

        @server.on("UIDL")
        def cut(c, tag, line):                         # tag: empty, POP3 has none
            answer = c.capture()
            c.send(answer[:10]); c.rst()

        server.uidls()                                 # what is in the maildrop

A session sees the maildrop as it was at its login; what it deleted is gone after its QUIT.
"""

import base64
import re

from scripted import (FIN, HANG, RST, ScriptedConnection, ScriptedServer,  # noqa: F401
                      pause, reply)

CAPABILITIES = ["TOP", "UIDL", "USER", "SASL PLAIN", "PIPELINING", "RESP-CODES",
                "IMPLEMENTATION scripted"]

FAULTS = {
    "capa-no": "CAPA is refused",
    "capa-hangs": "CAPA is never answered",
    "capa-drops": "CAPA ends the connection",
    "uidl-no": "UIDL is refused",
    "uidl-ok-lines": "+OK stands in each line of UIDL and LIST",
    "top-no": "TOP is refused",
    "top-whole": "TOP gives all of the message",
    "top-nothing": "TOP gives not one octet",
    "top-cut": "TOP ends in the middle of the header",
    "dele-no": "DELE is refused",
    "dele-keeps": "DELE and QUIT say +OK, and nothing is removed",
    "quit-no": "QUIT is refused, and nothing is removed",
    "quit-half": "QUIT is refused, and half is removed",
    "quit-lost": "QUIT removes, but the connection ends before the answer",
    "quit-dropped": "the connection ends at QUIT, and nothing is removed",
    "newest-first": "the numbers go from the newest to the oldest",
    "no-codes": "refusals have no code and no text",
    "forgets": "a message that was read is not in later sessions",
    "exclusive": "one session at a time; others get [IN-USE]",
}


class Message:
    """size: what LIST claims. uidl: bytes, or None = this line of UIDL holds the number alone."""

    def __init__(self, raw, uidl, size):
        self.raw = raw
        self.uidl = uidl
        self.size = size

    def stuffed(self, lines=None):
        """As it goes over the line, without the lone dot at the end."""
        raw = self.raw
        if lines is not None:
            head, blank, body = raw.partition(b"\r\n\r\n")
            raw = head + blank + b"".join(part + b"\r\n" for part in body.split(b"\r\n")[:lines])
        raw = re.sub(rb"(\A|\r\n)\.", rb"\1..", raw)
        return raw if raw.endswith(b"\r\n") or not raw else raw + b"\r\n"

    def delivered(self):
        """What a client gets."""
        return self.raw if self.raw.endswith(b"\r\n") or not self.raw else self.raw + b"\r\n"


class Pop3Server(ScriptedServer):
    """One listening server; what scripted.py says, and:

    capabilities  lines of CAPA; changed at any time
    drop_box      the messages, oldest first
    faults        names of FAULTS: what goes wrong
    """

    protocol = "pop3"

    def __init__(self, **more):
        super().__init__(**more)
        self.capabilities = list(CAPABILITIES)
        self.drop_box = []
        self.added = 0

    def add(self, raw, uidl=True, size=None):
        """uidl: text or bytes; True = one that no other has; None = none."""
        self.added += 1
        uidl = "uid-%06d" % self.added if uidl is True else uidl
        message = Message(raw, uidl.encode() if isinstance(uidl, str) else uidl,
                          len(raw) if size is None else size)
        self.drop_box.append(message)
        return message

    def uidls(self):
        return [message.uidl and message.uidl.decode("latin-1") for message in list(self.drop_box)]

    def bodies(self):
        return sorted(message.delivered() for message in list(self.drop_box))


class Connection(ScriptedConnection):
    """One client: POP3."""

    def __init__(self, server, sock, number):
        super().__init__(server, sock, number)
        self.name = None     # of USER
        self.view = []       # messages by number
        self.deleted = set()
        self.was_read = set()

    def ok(self, text="done"):
        self.line("+OK " + text)

    def err(self, text="no"):
        self.line("-ERR" if "no-codes" in self.server.faults else "-ERR " + text)

    def lines(self, lines, text="here it comes"):
        self.send(b"+OK %s\r\n" % text.encode() + b"".join(line + b"\r\n" for line in lines) + b".\r\n")

    # The frame's.

    def greet(self):
        self.line("+OK ready <1896.697170952@example.org>")

    def read_command(self):
        return self.read_line()

    def serve(self, line):
        name = line.split(None, 1)[0].upper().decode("ascii", "replace") if line.strip() else "?"
        self.answer_or_hook(b"", name, line)

    BEFORE_LOGIN = ("CAPA", "USER", "PASS", "AUTH", "STLS", "UTF8", "QUIT")

    def answer(self, _tag, name, line):
        if self.server.latency:
            self.sleep(self.server.latency)
        method = getattr(self, "do_" + name.lower(), None)
        words = line.decode("utf-8", "replace").split()[1:]
        if not method:
            self.err("unknown command")
        elif name not in self.BEFORE_LOGIN and self.user is None:
            self.err("log in first")
        elif name == "PASS":
            self.do_pass(line[5:].rstrip(b"\r\n").decode("utf-8", "replace"))
        else:
            method(*words)

    def has(self, fault):
        return fault in self.server.faults

    # Before the login.

    def do_capa(self):
        if self.has("capa-hangs"):
            self.hang()
        if self.has("capa-drops"):
            self.fin()
        if self.has("capa-no"):
            self.err("what?")
            return
        words = list(self.server.capabilities)
        if self.server.tls == "starttls" and not self.is_tls:
            words = [word for word in words if word != "USER" and not word.startswith("SASL")] + ["STLS"]
        self.lines([word.encode() for word in words])

    def do_stls(self):
        if self.server.tls != "starttls" or self.is_tls:
            self.err()
            return
        self.ok("go")
        self.inbuf = b""
        self.start_tls()

    def do_utf8(self):
        self.ok() if "UTF8" in self.server.capabilities else self.err()

    def do_user(self, name=""):
        self.name = name
        self.ok()

    def do_pass(self, password):
        self.finish_login(self.name, password)

    def do_auth(self, mechanism="", data=None):
        if mechanism.upper() != "PLAIN":
            self.err("unknown mechanism")
            return
        if data is None:
            self.line("+ ")
            data = self.read_line().decode("ascii", "replace")
        _authz, user, password = base64.b64decode(data).decode("utf-8", "replace").split("\0")
        self.finish_login(user, password)

    def finish_login(self, user, password):
        server = self.server
        good = user is not None and server.users.get(user) == password
        server.logins.append((user, password, good, self.is_tls))
        if not good:
            self.err("[AUTH] no")
            return
        with server.lock:
            if self.has("exclusive") and any(one.user for one in server.open_connections()):
                self.err("[IN-USE] somebody else is here")
                return
            self.user = user
            self.view = list(server.drop_box)
        if self.has("newest-first"):
            self.view.reverse()
        self.ok("%d messages" % len(self.view))

    # The maildrop.

    def entries(self):
        return [(number, message) for number, message in enumerate(self.view, 1)
                if number not in self.deleted]

    def message(self, number):
        """None: refused already."""
        number = int(number) if number.isdigit() else 0
        if 0 < number <= len(self.view) and number not in self.deleted:
            return self.view[number - 1]
        self.err("there is no such message")
        return None

    def do_stat(self):
        self.ok("%d %d" % (len(self.entries()), sum(message.size for _number, message in self.entries())))

    def listing(self, text_of, number):
        """All lines, or the one of a message."""
        prefix = b"+OK " if self.has("uidl-ok-lines") else b""
        if number is None:
            self.lines([prefix + b"%d %s" % (at, text_of(message)) for at, message in self.entries()])
            return
        message = self.message(number)
        if message:
            self.line(b"+OK %d %s" % (int(number), text_of(message)))

    def do_list(self, number=None):
        self.listing(lambda message: b"%d" % message.size, number)

    def do_uidl(self, number=None):
        if self.has("uidl-no"):
            self.err("what?")
        else:
            self.listing(lambda message: message.uidl or b"", number)

    def do_top(self, number="", count="0"):
        message = None if self.has("top-no") else self.message(number)
        if self.has("top-no"):
            self.err("what?")
        if not message:
            return
        text = message.stuffed(int(count))
        if self.has("top-whole"):
            text = message.stuffed()
        elif self.has("top-nothing"):
            text = b""
        elif self.has("top-cut"):
            text = text[: len(text) // 2] + b"\r\n"
        self.send(b"+OK\r\n" + text + b".\r\n")

    def do_retr(self, number=""):
        message = self.message(number)
        if message:
            self.was_read.add(message)
            self.send(b"+OK %d octets\r\n" % message.size + message.stuffed() + b".\r\n")

    def do_dele(self, number=""):
        if self.has("dele-no"):
            self.err()
        elif self.message(number):
            self.deleted.add(int(number))
            self.ok()

    def do_noop(self):
        self.ok()

    def do_rset(self):
        self.deleted.clear()
        self.ok()

    def do_quit(self):
        gone = [self.view[number - 1] for number in sorted(self.deleted)]
        if self.has("dele-keeps") or self.has("quit-no") or self.has("quit-dropped"):
            gone = []
        elif self.has("quit-half"):
            gone = gone[: len(gone) // 2]
        if self.has("forgets"):
            gone += self.was_read
        with self.server.lock:
            self.server.drop_box = [one for one in self.server.drop_box if one not in gone]
        if (self.has("quit-lost") or self.has("quit-dropped")) and self.deleted:
            self.rst()
        if (self.has("quit-no") or self.has("quit-half")) and self.deleted:
            self.err("some messages were not removed")
        else:
            self.ok("bye")
        self.user = None
        if self.held is None:
            self.fin()


Pop3Server.connection_type = Connection
