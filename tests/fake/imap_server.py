#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A scripted IMAP server for hostile and odd cases, in threads of the test process.

Below: a small, well-behaved server over an in-memory account. Above it: hooks,
by which a test replaces, delays, cuts or garbles any answer:

    with ImapServer() as server:                       # user demo, password secret
        inbox = server.account["INBOX"]
        inbox.add(b"Subject: x\\r\\n\\r\\nbody\\r\\n", uid=7, size=100)

        server.on("UID FETCH", reply("* 1 FETCH (UID 7 BODY[] NIL)", "%t OK done"))
        server.on("SELECT", lambda c, tag, line: c.rst(), times=1)

        @server.on("LIST")
        def slow_list(c, tag, line):
            answer = c.capture()                       # what the server would say
            c.send(answer[:10]); c.sleep(1); c.send(answer[10:])

        server.commands                                # everything clients have sent

What a hook may do with its connection: send, line, ok, no, bad, default, capture, sleep,
fin, rst, hang, cut_after, start_tls; and the attribute segment (bytes per TCP segment).
A hook that sends nothing leaves the command without an answer.

How writing goes wrong: names in server.faults (see FAULTS), and server.quota, append_limit,
folder.rights, folder.read_only, folder.permanent_flags.
"""

import base64
import re
import zlib

import imap_parse
from imap_account import Account
from scripted import (FIN, HANG, RST, Closed, ScriptedConnection, ScriptedServer,  # noqa: F401
                      pause, reply)

CAPABILITIES = ("IMAP4rev1 LITERAL+ SASL-IR ID ENABLE NAMESPACE IDLE UIDPLUS MOVE UNSELECT "
                "CHILDREN LIST-EXTENDED LIST-STATUS SPECIAL-USE CONDSTORE QRESYNC ESEARCH "
                "AUTH=PLAIN").split()


FAULTS = {
    "append-late": "the + comes after server.late seconds",
    "append-halfway": "NO when half of the literal has come",
    "append-no-uid": "OK without APPENDUID",
    "append-uid-0": "APPENDUID with UID 0",
    "append-other-validity": "APPENDUID with another UIDVALIDITY",
    "append-bye": "OK, then BYE and the end",
    "append-lost": "stored, but the connection ends before the answer",
    "append-dropped": "not stored, and the connection ends before the answer",
    "copyuid-none": "COPY and MOVE without COPYUID",
    "copyuid-empty": "[COPYUID 14  ]",
    "copyuid-short": "the target set is one short",
    "copyuid-descending": "the target set counts down",
    "copy-nothing": "OK, with nothing copied or moved",
    "copy-half": "half of the messages, then NO [OVERQUOTA]",
    "copy-lost": "done, but the connection ends before the answer",
    "move-keeps": "MOVE copies, and leaves the source as it is",
    "move-silent": "MOVE without EXPUNGE and VANISHED",
    "expunge-foreign": "another message is expunged before each answer",
    "expunge-keeps": "EXPUNGE says OK and removes nothing",
    "uid-expunge-bad": "UID EXPUNGE is not understood, though offered",
    "store-ignored": "STORE says OK and changes nothing",
    "store-no": "STORE is refused",
    "store-no-uid": "STORE answers with FETCH lines that have no UID",
    "store-loud": "STORE answers with FETCH lines, SILENT or not",
    "store-modified": "STORE says OK [MODIFIED n]",
    "create-hidden": "CREATE says OK, and LIST does not show the folder",
    "rename-half": "RENAME renames the folder, leaves what is inside, and says NO",
    "delete-no": "DELETE is refused",
    "unselect-bad": "UNSELECT is not understood, though offered",
}


class ImapServer(ScriptedServer):
    """One listening server; what scripted.py says, and:

    capabilities  list; changed at any time
    max_connections  more than these get a BYE
    faults        names of FAULTS: how writing goes wrong
    quota         octets that the account may hold (0 = any); append_limit likewise for a message
    """

    def __init__(self, delimiter="/", **more):
        super().__init__(**more)
        self.account = Account(delimiter)
        self.namespace = b'(("" %s)) NIL NIL' % imap_parse.quote(delimiter.encode())
        self.capabilities = list(CAPABILITIES)
        self.max_connections = 0
        self.late = 1.0
        self.quota = 0
        self.append_limit = 0

    WRITES = ("STORE", "APPEND", "COPY", "MOVE", "EXPUNGE", "CREATE", "DELETE", "RENAME",
              "SUBSCRIBE", "UNSUBSCRIBE", "SETMETADATA", "REPLACE")

    def writes(self):
        """Commands that would change something on the server."""
        return [command for command in list(self.commands)
                if command.name.removeprefix("UID ") in self.WRITES]


class Connection(ScriptedConnection):
    """One client: IMAP."""

    def __init__(self, server, sock, number):
        super().__init__(server, sock, number)
        self.folder = None
        self.read_only = False
        self.view = []      # messages by sequence number, as the client knows them
        self.known = {}     # id(message) -> flags last told
        self.enabled = set()
        self.inflate = self.deflate = None

    def ok(self, tag, text="done"):
        self.send(tag + b" OK " + text.encode() + b"\r\n")

    def no(self, tag, text="no"):
        self.send(tag + b" NO " + text.encode() + b"\r\n")

    def bad(self, tag, text="bad"):
        self.send(tag + b" BAD " + text.encode() + b"\r\n")

    def read_command(self):
        """A whole command, its literals included."""
        line = self.read_line()
        while True:
            found = re.search(rb"\{(\d+)(\+?)\}\r?\n\Z", line)
            if not found:
                return line
            if not found.group(2) and not self._invite(line):
                return b""
            line += self.read_exactly(int(found.group(1))) + self.read_line()

    def _invite(self, line):
        """The "+" before a literal, or what a LITERAL hook says; False = it was refused."""
        function = self.server.find_hook("LITERAL", line, self.number)
        if not function:
            return self._invite_politely(line)
        tag, _, rest = line.partition(b" ")
        self._record(tag, rest.split(b" ")[0].upper().decode("ascii", "replace"), line)
        return function(self, tag, line) is not False

    def _invite_politely(self, line):
        """A message that will be refused anyway is refused before it is sent, as Dovecot does."""
        found = re.match(rb"([^ ]+) +(APPEND|UID +REPLACE) .*\{(\d+)\}\r\n\Z", line, re.I | re.S)
        if not found or not self.user:
            self.line("+ go")
            return True
        tag, name, size = found.group(1), found.group(2).upper().decode(), int(found.group(3))
        args = imap_parse.arguments(line[found.start(2) :].split(b"{%d}" % size)[0])
        at = 1 if name == "APPEND" else 3
        if len(args) <= at:  # it is the name that comes as a literal
            self.line("+ go")
            return True
        why = self.append_refusal(args[at], size)
        if why:
            self._record(tag, "UID REPLACE" if name != "APPEND" else name, line)
            self.no(tag, why)
            return False
        if "append-late" in self.server.faults:
            self.sleep(self.server.late)
        self.line("+ go")
        if "append-halfway" in self.server.faults:
            self.read_exactly(size // 2)
            self._record(tag, name, line)
            self.no(tag, "[SERVERBUG] halfway")
            return False
        return True

    # The loop.

    def greet(self):
        server = self.server
        if server.max_connections and len(server.open_connections()) > server.max_connections:
            self.line("* BYE Too many connections")
            self.fin()
        else:
            self.line("* OK [CAPABILITY %s] ready" % self.capability_text())

    def pack(self, data):
        if not self.deflate:
            return data
        return self.deflate.compress(data) + self.deflate.flush(zlib.Z_SYNC_FLUSH)

    def unpack(self, data):
        return self.inflate.decompress(data) if self.inflate else data

    def serve(self, line):
        found = re.match(rb"([^ \r\n]+) +([A-Za-z0-9]+)", line)
        if not found:
            self._record(b"", "?", line)
            self.line("* BAD what?")
            return
        tag, name = found.group(1), found.group(2).upper().decode()
        if name == "UID":
            rest = line[found.end() :].split()
            name = "UID " + (rest[0].upper().decode("ascii", "replace") if rest else "?")
        self.answer_or_hook(tag, name, line)

    # The well-behaved server.

    def capability_text(self):
        words = list(self.server.capabilities)
        if self.server.tls == "starttls" and not self.is_tls:
            words = [word for word in words if not word.startswith("AUTH=")]
            words += ["STARTTLS", "LOGINDISABLED"]
        return " ".join(words)

    def answer(self, tag, name, line):
        if self.server.latency:
            self.sleep(self.server.latency)
        method = getattr(self, "do_" + name.lower().replace(" ", "_"), None)
        rest = line.split(b" ", 2 if name.startswith("UID ") else 1)[-1].split(b" ", 1)
        args = imap_parse.arguments(rest[1] if len(rest) > 1 else b"")
        if not method:
            self.bad(tag, "unknown command " + name)
        elif name not in self.BEFORE_LOGIN and not self.user:
            self.bad(tag, "log in first")
        else:
            method(tag, args)

    BEFORE_LOGIN = ("CAPABILITY", "ID", "LOGIN", "AUTHENTICATE", "STARTTLS", "NOOP", "LOGOUT",
                    "COMPRESS")

    def do_capability(self, tag, _args):
        self.line("* CAPABILITY " + self.capability_text())
        self.ok(tag)

    def do_id(self, tag, _args):
        self.line('* ID ("name" "scripted")')
        self.ok(tag)

    def do_noop(self, tag, _args):
        self.tell_changes()
        self.ok(tag)

    do_check = do_noop

    def do_logout(self, tag, _args):
        self.line("* BYE bye")
        self.ok(tag)
        if self.held is None:
            self.fin()

    def do_starttls(self, tag, _args):
        if self.server.tls != "starttls" or self.is_tls:
            self.bad(tag)
            return
        self.ok(tag, "go")
        self.inbuf = b""
        self.start_tls()

    def do_compress(self, tag, _args):
        self.ok(tag, "deflate")
        self.inflate = zlib.decompressobj(-15)
        self.deflate = zlib.compressobj(6, zlib.DEFLATED, -15)

    def do_login(self, tag, args):
        user, password = (arg.decode("utf-8", "replace") for arg in args[:2])
        self.finish_login(tag, user, password, self.server.users.get(user) == password)

    def do_authenticate(self, tag, args):
        mechanism = args[0].upper().decode()
        if mechanism == "PLAIN":
            data = self.sasl_data(args)
            _authz, user, password = (part.decode("utf-8", "replace")
                                      for part in data.split(b"\0"))
            self.finish_login(tag, user, password, self.server.users.get(user) == password)
        elif mechanism in ("XOAUTH2", "OAUTHBEARER"):
            self.oauth(tag, self.sasl_data(args))
        else:
            self.no(tag, "[CANNOT] unknown mechanism")

    def sasl_data(self, args):
        if len(args) > 1:
            return base64.b64decode(args[1]) if args[1] != b"=" else b""
        self.line("+ ")
        line = self.read_line()
        self._record(b"", "DATA", line)
        return base64.b64decode(line)

    def oauth(self, tag, data):
        token = re.search(rb"auth=Bearer ([^\x01]*)", data)
        token = token.group(1).decode() if token else ""
        user = re.search(rb"(?:user=|a=)([^\x01,]*)", data)
        user = user.group(1).decode() if user else "demo"
        good = token == self.server.token
        if not good:
            self.send(b"+ " + base64.b64encode(b'{"status":"401"}') + b"\r\n")
            self._record(b"", "DATA", self.read_line())
        self.finish_login(tag, user, token, good)

    def finish_login(self, tag, user, password, good):
        self.server.logins.append((user, password, good, self.is_tls))
        if not good:
            self.no(tag, "[AUTHENTICATIONFAILED] wrong user or password")
            return
        self.user = user
        self.ok(tag, "[CAPABILITY %s] logged in" % self.capability_text())

    def do_enable(self, tag, args):
        words = [arg.upper().decode() for arg in args]
        self.enabled.update(words)
        self.line("* ENABLED " + " ".join(words))
        self.ok(tag)

    def do_namespace(self, tag, _args):
        self.line(b"* NAMESPACE " + self.server.namespace)
        self.ok(tag)

    # Folders.

    def do_list(self, tag, args):
        select, back, status = [], [], []
        if args and isinstance(args[0], list):
            select = [arg.upper() for arg in args.pop(0)]
        if len(args) > 3 and args[2].upper() == b"RETURN":
            back, status = self.list_return(args[3])
        reference, patterns = args[0], args[1]
        patterns = patterns if isinstance(patterns, list) else [patterns]
        if patterns == [b""]:
            self.line(b'* LIST (\\Noselect) %s ""' % self.delimiter_text(self.server.account))
        parents = self.server.account.parents()
        for folder in list(self.server.account.folders.values()):
            wanted = any(imap_parse.list_pattern(reference, pattern, folder.delimiter)
                         .match(folder.wire_name) for pattern in patterns)
            if not wanted or not folder.listed or not patterns[0]:
                continue
            if b"SUBSCRIBED" in select and not folder.subscribed:
                continue
            self.list_line(b"LIST", folder, parents, b"SUBSCRIBED" in select + back)
            if status and "\\Noselect" not in folder.attributes:
                self.status_line(folder, status)
        self.ok(tag)

    def list_return(self, options):
        back, status = [], []
        for at, option in enumerate(options):
            if isinstance(option, list):
                status = [item.upper() for item in option]
            elif option.upper() != b"STATUS" or at + 1 == len(options):
                back.append(option.upper())
        return back, status

    def do_lsub(self, tag, args):
        parents = self.server.account.parents()
        for folder in list(self.server.account.folders.values()):
            pattern = imap_parse.list_pattern(args[0], args[1], folder.delimiter)
            if folder.subscribed and pattern.match(folder.wire_name):
                self.list_line(b"LSUB", folder, parents, False)
        self.ok(tag)

    def delimiter_text(self, thing):
        return imap_parse.quote(thing.delimiter.encode()) if thing.delimiter else b"NIL"

    def list_line(self, kind, folder, parents, say_subscribed):
        words = list(folder.attributes)
        if say_subscribed and folder.subscribed:
            words.append("\\Subscribed")
        if "CHILDREN" in self.server.capabilities:
            words.append("\\HasChildren" if folder.wire_name in parents else "\\HasNoChildren")
        self.line(b"* %s (%s) %s %s" % (kind, " ".join(words).encode(), self.delimiter_text(folder),
                                        imap_parse.quote(folder.wire_name)))

    def status_line(self, folder, items):
        values = {b"MESSAGES": len(folder.messages), b"UIDNEXT": folder.uidnext,
                  b"UIDVALIDITY": folder.uidvalidity, b"UNSEEN": folder.unseen(), b"RECENT": 0,
                  b"HIGHESTMODSEQ": folder.modseq,
                  b"SIZE": sum(message.said_size() for message in folder.messages)}
        text = b" ".join(b"%s %d" % (item, values[item]) for item in items if item in values)
        self.line(b"* STATUS %s (%s)" % (imap_parse.quote(folder.wire_name), text))

    def do_status(self, tag, args):
        folder = self.server.account.get(args[0])
        if not folder or "\\Noselect" in folder.attributes:
            self.no(tag, "[NONEXISTENT] no such folder")
            return
        self.status_line(folder, [item.upper() for item in args[1]])
        self.ok(tag)

    def do_select(self, tag, args):
        self.select(tag, args, False)

    def do_examine(self, tag, args):
        self.select(tag, args, True)

    def select(self, tag, args, read_only):
        folder = self.server.account.get(args[0])
        self.folder, self.view, self.known = None, [], {}
        if not folder or "\\Noselect" in folder.attributes:
            self.no(tag, "[NONEXISTENT] no such folder")
            return
        self.folder = folder
        self.read_only = read_only or folder.read_only
        self.view = list(folder.messages)
        self.known = {id(message): set(message.flags) for message in self.view}
        self.line(b"* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)")
        flags = [] if self.read_only else folder.permanent_flags
        self.line("* OK [PERMANENTFLAGS (%s)] flags" % " ".join(flags))
        self.line("* %d EXISTS" % len(self.view))
        self.line("* 0 RECENT")
        self.line("* OK [UIDVALIDITY %d] ok" % folder.uidvalidity)
        self.line("* OK [UIDNEXT %d] ok" % folder.uidnext)
        if "CONDSTORE" in self.server.capabilities:
            self.line("* OK [HIGHESTMODSEQ %d] ok" % folder.modseq)
        if len(args) > 1 and b"QRESYNC" in args[1]:
            self.qresync(folder, args[1][args[1].index(b"QRESYNC") + 1])
        self.ok(tag, "[READ-ONLY] ok" if self.read_only else "[READ-WRITE] ok")

    def qresync(self, folder, known):
        if int(known[0]) != folder.uidvalidity:
            return
        modseq = int(known[1])
        gone = [uid for when, uid in folder.vanished if when > modseq]
        if gone:
            self.line("* VANISHED (EARLIER) " + imap_parse.compress_set(gone))
        for number, message in enumerate(self.view, 1):
            if message.modseq > modseq:
                self.line(b"* %d FETCH (UID %d FLAGS (%s) MODSEQ (%d))"
                          % (number, message.uid, flag_text(message), message.modseq))

    def do_unselect(self, tag, _args):
        if "UNSELECT" not in self.server.capabilities or self.has_fault("unselect-bad"):
            self.bad(tag, "unknown command UNSELECT")
            return
        self.folder, self.view = None, []
        self.ok(tag)

    def do_close(self, tag, _args):
        if self.folder and not self.read_only:
            for message in self.folder.messages:
                if "\\Deleted" in message.flags:
                    self.folder.expunge(message.uid)
        self.folder, self.view = None, []
        self.ok(tag)

    # Changes made by the test, told to the client.

    def tell_changes(self):
        """EXPUNGE, EXISTS and FETCH FLAGS for what happened since; only where RFC 3501 allows."""
        if not self.folder:
            return
        now = self.folder.messages
        alive = {id(message) for message in now}
        for number in range(len(self.view), 0, -1):
            message = self.view[number - 1]
            if id(message) not in alive:
                self.view.pop(number - 1)
                if "QRESYNC" in self.enabled:
                    self.line("* VANISHED %d" % message.uid)
                else:
                    self.line("* %d EXPUNGE" % number)
        if len(now) > len(self.view):
            self.view = list(now)
            self.line("* %d EXISTS" % len(now))
        for number, message in enumerate(self.view, 1):
            if self.known.setdefault(id(message), set(message.flags)) != message.flags:
                self.known[id(message)] = set(message.flags)
                modseq = b" MODSEQ (%d)" % message.modseq if self.enabled & {"CONDSTORE", "QRESYNC"} else b""
                self.line(b"* %d FETCH (UID %d FLAGS (%s)%s)"
                          % (number, message.uid, flag_text(message), modseq))

    def do_idle(self, tag, _args):
        self.line("+ idling")
        while True:
            line = self.read_line(timeout=0.05)
            if line:
                self._record(b"", "DONE", line)
                break
            self.tell_changes()
        if not self._hook("DONE", tag, line):
            self.ok(tag)

    # Messages.

    def selected(self, tag):
        if not self.folder:
            self.bad(tag, "nothing selected")
        return self.folder is not None

    def chosen(self, text, by_uid):
        """(sequence number, message) pairs of a set."""
        pairs = list(enumerate(self.view, 1))
        key = (lambda pair: pair[1].uid) if by_uid else (lambda pair: pair[0])
        largest = max((key(pair) for pair in pairs), default=0)
        inside = imap_parse.number_set(text, largest)
        return [pair for pair in pairs if inside(key(pair))]

    def do_fetch(self, tag, args):
        self.fetch(tag, args, False)

    def do_uid_fetch(self, tag, args):
        self.fetch(tag, args, True)

    def fetch(self, tag, args, by_uid):
        if not self.selected(tag):
            return
        items = [item.upper() for item in flatten(args[1])]
        since, vanished = 0, False
        if len(args) > 2:
            words = [word.upper() for word in args[2]]
            if b"CHANGEDSINCE" in words:
                since = int(words[words.index(b"CHANGEDSINCE") + 1])
                items.append(b"MODSEQ")
            vanished = b"VANISHED" in words
        if by_uid and b"UID" not in items:
            items.insert(0, b"UID")
        if vanished:
            gone = [uid for when, uid in self.folder.vanished if when > since]
            if gone:
                self.line("* VANISHED (EARLIER) " + imap_parse.compress_set(gone))
        lines, size = [], 0
        for number, message in self.chosen(args[0], by_uid):
            if message.modseq > since:
                lines.append(self.fetch_line(number, message, items))
                size += len(lines[-1])
            if size > 65536:
                self.send(b"".join(lines))
                lines, size = [], 0
        self.send(b"".join(lines))
        self.ok(tag)

    def fetch_line(self, number, message, items):
        parts = [self.fetch_item(message, item) for item in items]
        return b"* %d FETCH (%s)\r\n" % (number, b" ".join(part for part in parts if part))

    def fetch_item(self, message, item):
        simple = {
            b"UID": lambda: b"UID %d" % message.uid,
            b"FLAGS": lambda: b"FLAGS (%s)" % flag_text(message),
            b"INTERNALDATE": lambda: b'INTERNALDATE "%s"' % message.said_date().encode(),
            b"RFC822.SIZE": lambda: b"RFC822.SIZE %d" % message.said_size(),
            b"MODSEQ": lambda: b"MODSEQ (%d)" % message.modseq,
            b"EMAILID": lambda: b"EMAILID (%s)" % (message.email_id or "M%d" % id(message)).encode(),
            b"X-GM-MSGID": lambda: b"X-GM-MSGID %d" % (message.gm_msgid or id(message)),
            b"RFC822": lambda: literal(b"RFC822", message.raw),
            b"RFC822.HEADER": lambda: literal(b"RFC822.HEADER", message.head()),
        }.get(item)
        if simple:
            return simple()
        found = imap_parse.SECTION.match(item)
        if not found:
            return b""
        section, offset, count = found.groups()
        data = section_data(message, section)
        if not item.startswith(b"BODY.PEEK") and not self.read_only:
            message.flags.add("\\Seen")
        name = b"BODY[" + section + b"]"
        if offset is not None:
            name += b"<" + offset + b">"
            data = data[int(offset) :][: int(count) if count else None]
        return literal(name, data)

    def do_search(self, tag, args):
        self.search(tag, args, False)

    def do_uid_search(self, tag, args):
        self.search(tag, args, True)

    def search(self, tag, args, by_uid):
        if not self.selected(tag):
            return
        back = None
        if args and args[0].upper() == b"RETURN":
            back, args = [word.upper() for word in args[1]], args[2:]
        if args and args[0].upper() == b"CHARSET":
            args = args[2:]
        found = [message.uid if by_uid else number
                 for number, message in enumerate(self.view, 1) if self.matches(number, message, args)]
        if back is None:
            self.line("* SEARCH" + "".join(" %d" % number for number in found))
        else:
            self.esearch(tag, back, found, by_uid)
        self.ok(tag)

    def esearch(self, tag, back, found, by_uid):
        text = '* ESEARCH (TAG "%s")' % tag.decode() + (" UID" if by_uid else "")
        if b"COUNT" in back:
            text += " COUNT %d" % len(found)
        if found and b"MIN" in back:
            text += " MIN %d" % min(found)
        if found and b"MAX" in back:
            text += " MAX %d" % max(found)
        if found and (b"ALL" in back or not back):
            text += " ALL " + imap_parse.compress_set(found)
        self.line(text)

    def matches(self, number, message, args):
        """ALL, sets, UID sets and flag keys; other keys match everything."""
        keys = {b"SEEN": "\\Seen", b"FLAGGED": "\\Flagged", b"ANSWERED": "\\Answered",
                b"DELETED": "\\Deleted", b"DRAFT": "\\Draft"}
        at = 0
        while at < len(args):
            word = args[at].upper() if isinstance(args[at], bytes) else b""
            at += 1
            if word == b"UID":
                largest = max((other.uid for other in self.view), default=0)
                if not imap_parse.number_set(args[at], largest)(message.uid):
                    return False
                at += 1
            elif word in (b"KEYWORD", b"UNKEYWORD"):
                if (args[at].decode() in message.flags) != (word == b"KEYWORD"):
                    return False
                at += 1
            elif word in keys and keys[word] not in message.flags:
                return False
            elif word.startswith(b"UN") and word[2:] in keys and keys[word[2:]] in message.flags:
                return False
            elif re.fullmatch(rb"[\d:*,]+", word):
                if not imap_parse.number_set(word, len(self.view))(number):
                    return False
        return True

    # Writing.

    def has_fault(self, name):
        assert name in FAULTS, name
        return name in self.server.faults

    def lose(self, name):
        """Ends the connection without an answer, if that is the fault."""
        if self.has_fault(name):
            self.fin()

    def lacks(self, tag, folder, letters):
        """Says NO when the folder's rights have not all the letters."""
        if all(letter in folder.rights for letter in letters):
            return False
        self.no(tag, "[NOPERM] permission denied")
        return True

    def writable(self, tag):
        if not self.selected(tag):
            return False
        if self.read_only:
            self.no(tag, "[READ-ONLY] mailbox is read-only")
        return not self.read_only

    def do_myrights(self, tag, args):
        folder = self.server.account.get(args[0])
        if "ACL" not in self.server.capabilities:
            self.bad(tag, "unknown command MYRIGHTS")
        elif not folder:
            self.no(tag, "[NONEXISTENT] no such folder")
        else:
            self.line(b"* MYRIGHTS %s %s" % (imap_parse.quote(folder.wire_name),
                                             folder.rights.encode() or b'""'))
            self.ok(tag)

    def do_store(self, tag, args):
        self.store(tag, args, False)

    def do_uid_store(self, tag, args):
        self.store(tag, args, True)

    def store(self, tag, args, by_uid):
        if not self.writable(tag):
            return
        if isinstance(args[1], list):  # (UNCHANGEDSINCE n)
            args.pop(1)
        what = args[1].upper()
        flags = {flag.decode() for flag in (args[2] if isinstance(args[2], list) else args[2:])}
        letters = {"\\Seen": "s", "\\Deleted": "t"}
        if self.has_fault("store-no"):
            self.no(tag, "[CANNOT] not these flags")
            return
        if self.lacks(tag, self.folder, {letters.get(flag, "w") for flag in flags}):
            return
        allowed = self.folder.permanent_flags
        if "\\*" not in allowed and not flags <= set(allowed):
            self.no(tag, "[CANNOT] no such keyword")
            return
        chosen = self.chosen(args[0], by_uid)
        with self.server.lock:
            for number, message in chosen:
                self.store_one(number, message, what, flags)
        self.ok(tag, "[MODIFIED %s] done" % imap_parse.compress_set(
            message.uid for _number, message in chosen)
            if self.has_fault("store-modified") and chosen else "done")

    def store_one(self, number, message, what, flags):
        new = (message.flags | flags if what[:1] == b"+" else
               message.flags - flags if what[:1] == b"-" else flags)
        if not self.has_fault("store-ignored"):
            self.folder.set_flags(message.uid, new)
            self.known[id(message)] = set(new)
        if self.has_fault("store-no-uid"):
            self.line(b"* %d FETCH (FLAGS (%s))" % (number, flag_text(message)))
        elif b"SILENT" not in what or self.has_fault("store-loud"):
            self.line(b"* %d FETCH (UID %d FLAGS (%s))" % (number, message.uid, flag_text(message)))

    # New messages.

    def append_refusal(self, name, size):
        """Why a message of that size cannot be stored there; None: it can."""
        folder = self.server.account.get(name)
        if not folder or "\\Noselect" in folder.attributes:
            return "[TRYCREATE] no such folder"
        if "i" not in folder.rights:
            return "[NOPERM] permission denied"
        if folder.read_only:
            return "[READ-ONLY] mailbox is read-only"
        if self.server.append_limit and size > self.server.append_limit:
            return "[TOOBIG] message is too large"
        if self.server.quota and self.server.account.octets() + size > self.server.quota:
            return "[OVERQUOTA] quota exceeded"
        return None

    def do_append(self, tag, args):
        self.append(tag, args[0], args[1:])

    def do_uid_replace(self, tag, args):
        if "REPLACE" not in self.server.capabilities:
            self.bad(tag, "unknown command REPLACE")
            return
        if not self.writable(tag):
            return
        old = self.folder.get(int(args[0]))
        if not old:
            self.no(tag, "[EXPUNGEISSUED] no such message")
            return
        self.append(tag, args[1], args[2:], old.uid)

    def append(self, tag, name, rest, replaced=None):
        raw = rest[-1]
        why = self.append_refusal(name, len(raw))
        if why:
            self.no(tag, why)
            return
        self.lose("append-dropped")
        folder = self.server.account.get(name)
        flags = [flag.decode() for arg in rest[:-1] if isinstance(arg, list) for flag in arg]
        dates = [arg for arg in rest[:-1] if not isinstance(arg, list)]
        more = {"date": imap_parse.date(dates[0])} if dates else {}
        with self.server.lock:
            message = folder.add(raw, flags, **more)
            if replaced is not None:
                self.folder.expunge(replaced)
        self.lose("append-lost")
        code = self.appenduid(folder, message)
        if replaced is not None:
            self.line("* OK %s new" % code)
            self.tell_changes()
        self.ok(tag, "done" if replaced is not None else code + " stored")
        if self.has_fault("append-bye"):
            self.line("* BYE that was all")
            self.fin()

    def appenduid(self, folder, message):
        if self.has_fault("append-no-uid") or "UIDPLUS" not in self.server.capabilities:
            return ""
        other = self.has_fault("append-other-validity")
        return "[APPENDUID %d %d]" % (folder.uidvalidity + other,
                                      0 if self.has_fault("append-uid-0") else message.uid)

    # Copies and moves.

    def do_uid_copy(self, tag, args):
        self.copy(tag, args, False)

    def do_uid_move(self, tag, args):
        if "MOVE" not in self.server.capabilities:
            self.bad(tag, "unknown command MOVE")
        else:
            self.copy(tag, args, True)

    def copy(self, tag, args, remove):
        target = self.server.account.get(args[1])
        if not (self.writable(tag) if remove else self.selected(tag)):
            return
        if not target or "\\Noselect" in target.attributes:
            self.no(tag, "[TRYCREATE] no such folder")
            return
        if self.lacks(tag, target, "i") or (remove and self.lacks(tag, self.folder, "te")):
            return
        chosen = [message for _number, message in self.chosen(args[0], True)]
        half = self.has_fault("copy-half")
        size = sum(len(message.raw) for message in chosen)
        if not remove and self.server.quota and self.server.account.octets() + size > self.server.quota:
            self.no(tag, "[OVERQUOTA] quota exceeded")
            return
        if half:
            chosen = chosen[: len(chosen) // 2]
        if self.has_fault("copy-nothing"):
            chosen = []
        with self.server.lock:
            pairs = [(message.uid, target.add(message.raw, message.flags, message.date).uid)
                     for message in chosen]
            if remove and not self.has_fault("move-keeps"):
                for old, _new in pairs:
                    self.folder.expunge(old)
        self.lose("copy-lost")
        code = self.copyuid(target, pairs)
        if remove:
            self.line("* OK %s moved" % code)
            self.tell_foreign()
            if not self.has_fault("move-silent"):
                self.tell_changes()
        if half:
            self.no(tag, "[OVERQUOTA] halfway")
        else:
            self.ok(tag, "done" if remove else code + " copied")

    def copyuid(self, target, pairs):
        if self.has_fault("copyuid-none") or "UIDPLUS" not in self.server.capabilities or not pairs:
            return ""
        if self.has_fault("copyuid-empty"):
            return "[COPYUID 14  ]"
        new = [new for _old, new in pairs]
        if self.has_fault("copyuid-short"):
            new = new[:-1] or [new[0], new[0] + 1]
        if self.has_fault("copyuid-descending"):
            new = new[::-1]
        return "[COPYUID %d %s %s]" % (target.uidvalidity, ",".join(str(old) for old, _new in pairs),
                                       ",".join(str(uid) for uid in new))

    # Removal.

    def do_expunge(self, tag, _args):
        self.expunge(tag, lambda _uid: True)

    def do_uid_expunge(self, tag, args):
        if "UIDPLUS" not in self.server.capabilities or self.has_fault("uid-expunge-bad"):
            self.bad(tag, "unknown command UID EXPUNGE")
        else:
            self.expunge(tag, imap_parse.number_set(args[0], 2**32))

    def expunge(self, tag, inside):
        if not self.writable(tag) or self.lacks(tag, self.folder, "e"):
            return
        if not self.has_fault("expunge-keeps"):
            with self.server.lock:
                for message in self.folder.messages:
                    if "\\Deleted" in message.flags and inside(message.uid):
                        self.folder.expunge(message.uid)
        self.tell_foreign()
        self.tell_changes()
        self.ok(tag)

    def tell_foreign(self):
        """Another session removes the last message meanwhile, if that is the fault."""
        if self.has_fault("expunge-foreign") and self.folder.messages:
            self.folder.expunge(self.folder.messages[-1].uid)
            self.tell_changes()

    # The tree.

    def do_create(self, tag, args):
        account = self.server.account
        name = args[0].removesuffix(account.delimiter.encode()) if account.delimiter else args[0]
        parent = account.folders.get(name.rpartition(account.delimiter.encode())[0]
                                     if account.delimiter else b"")
        if account.get(name):
            self.no(tag, "[ALREADYEXISTS] exists")
        elif parent and "\\Noinferiors" in parent.attributes:
            self.no(tag, "[CANNOT] no folders in there")
        elif not parent or not self.lacks(tag, parent, "k"):
            folder = account.add(name, subscribed=False)
            folder.listed = not self.has_fault("create-hidden")
            self.ok(tag)

    def do_delete(self, tag, args):
        folder = self.server.account.get(args[0])
        if not folder:
            self.no(tag, "[NONEXISTENT] no such folder")
        elif args[0].upper() == b"INBOX" or self.has_fault("delete-no"):
            self.no(tag, "[CANNOT] this one stays")
        elif self.server.account.below(folder.wire_name):
            self.no(tag, "[HASCHILDREN] has children")
        elif not self.lacks(tag, folder, "x"):
            self.server.account.folders.pop(folder.wire_name)
            self.ok(tag)
            self.leave_deleted(folder)

    def leave_deleted(self, folder):
        """Whoever has it open is thrown out, as Dovecot does."""
        for other in self.server.open_connections():
            if other.folder is folder:
                other.close("fin")

    def do_rename(self, tag, args):
        account = self.server.account
        folder = account.get(args[0])
        if not folder:
            self.no(tag, "[NONEXISTENT] no such folder")
        elif account.get(args[1]):
            self.no(tag, "[ALREADYEXISTS] exists")
        elif not self.lacks(tag, folder, "x"):
            half = self.has_fault("rename-half")
            for name in [folder.wire_name] + ([] if half else account.below(folder.wire_name)):
                moved = account.folders.pop(name)
                moved.wire_name = args[1] + name[len(args[0]) :]
                account.folders[moved.wire_name] = moved
            self.no(tag, "[SERVERBUG] halfway") if half else self.ok(tag)

    def do_subscribe(self, tag, args):
        self.subscribe(tag, args, True)

    def do_unsubscribe(self, tag, args):
        self.subscribe(tag, args, False)

    def subscribe(self, tag, args, value):
        folder = self.server.account.get(args[0])
        if folder:
            folder.subscribed = value
        self.ok(tag)


def flatten(items):
    """FETCH items: one, or a list; macros are spelled out."""
    items = items if isinstance(items, list) else [items]
    macros = {b"FAST": [b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE"],
              b"ALL": [b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE"]}
    return [part for item in items for part in macros.get(item.upper(), [item])]


def flag_text(message):
    return " ".join(sorted(message.flags)).encode()


def literal(name, data):
    return b"%s {%d}\r\n%s" % (name, len(data), data)


def section_data(message, section):
    word = section.upper()
    if not word:
        return message.raw
    if word == b"HEADER":
        return message.head()
    if word == b"TEXT":
        return message.text()
    found = re.match(rb"HEADER\.FIELDS(\.NOT)? \(([^)]*)\)", word)
    if found:
        names = [name.strip(b'"') for name in found.group(2).split()]
        return message.fields(names, negate=bool(found.group(1)))
    return b""


ImapServer.connection_type = Connection
