# SPDX-License-Identifier: MIT
"""The in-memory account behind the scripted IMAP server: folders and messages.

Everything may be changed by the test at any time, also into nonsense: uids
that fall or repeat, a size that lies, names that are no names.
"""

import time

import mutf7


class Message:
    """One message. size, email_id, gm_msgid and internaldate override what is said of it.

    size          what RFC822.SIZE says (default: the truth)
    internaldate  text between the quotes, e.g. "99-Foo-2020 00:00:00 +0000"
    """

    def __init__(self, uid, raw, flags=(), date=1700000000, size=None, internaldate=None,
                 email_id=None, gm_msgid=None):
        self.uid = uid
        self.raw = raw
        self.flags = set(flags)
        self.date = date
        self.size = size
        self.internaldate = internaldate
        self.email_id = email_id
        self.gm_msgid = gm_msgid
        self.modseq = 1

    def said_size(self):
        return len(self.raw) if self.size is None else self.size

    def said_date(self):
        if self.internaldate is not None:
            return self.internaldate
        return time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime(self.date))

    def head(self):
        end = self.raw.find(b"\r\n\r\n")
        return self.raw if end < 0 else self.raw[: end + 4]

    def text(self):
        return self.raw[len(self.head()) :]

    def fields(self, names, negate=False):
        """The header fields named, as HEADER.FIELDS wants them."""
        wanted = {name.upper() for name in names}
        out, keep = b"", False
        for line in self.head().splitlines(keepends=True):
            if line[:1] not in (b" ", b"\t"):
                keep = (line.split(b":")[0].strip().upper() in wanted) != negate
            if keep and line.strip():
                out += line
        return out + b"\r\n"


class Folder:
    """A mailbox. messages is in order of sequence number; uids are whatever they are.

    wire_name      the raw bytes of its name (not quoted)
    attributes     what LIST says, without \\Subscribed and \\HasChildren
    listed         False = exists, but LIST does not show it
    rights         letters of RFC 4314; what is missing is refused with [NOPERM]
    """

    def __init__(self, wire_name, delimiter="/", uidvalidity=1000, attributes=(), subscribed=True):
        self.wire_name = wire_name
        self.delimiter = delimiter
        self.uidvalidity = uidvalidity
        self.attributes = list(attributes)
        self.subscribed = subscribed
        self.listed = True
        self.read_only = False
        self.rights = "lrswipkxtea"
        self.permanent_flags = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft", "\\*"]
        self.messages = []
        self.uidnext = 1
        self.modseq = 1
        self.vanished = []  # (modseq, uid)

    def add(self, raw, flags=(), date=1700000000, uid=None, **more):
        """Appends a message; returns it."""
        if isinstance(raw, str):
            raw = raw.encode()
        message = Message(self.uidnext if uid is None else uid, raw, flags, date, **more)
        self.modseq += 1
        message.modseq = self.modseq
        self.messages = self.messages + [message]  # readers see the old or the new list
        self.uidnext = max(self.uidnext, message.uid + 1)
        return message

    def add_all(self, mails):
        """Appends many at once: objects with raw, flags, date."""
        new = []
        for mail in mails:
            self.modseq += 1
            message = Message(self.uidnext, mail.raw, mail.flags, mail.date)
            message.modseq = self.modseq
            self.uidnext += 1
            new.append(message)
        self.messages = self.messages + new
        return new

    def expunge(self, uid):
        self.modseq += 1
        self.vanished.append((self.modseq, uid))
        self.messages = [message for message in self.messages if message.uid != uid]

    def set_flags(self, uid, flags):
        self.modseq += 1
        for message in self.messages:
            if message.uid == uid:
                message.flags = set(flags)
                message.modseq = self.modseq

    def get(self, uid):
        return next((message for message in self.messages if message.uid == uid), None)

    def octets(self):
        return sum(len(message.raw) for message in self.messages)

    def unseen(self):
        return sum("\\Seen" not in message.flags for message in self.messages)


class Account:
    """Folders by raw name, in the order in which LIST shows them."""

    def __init__(self, delimiter="/"):
        self.delimiter = delimiter
        self.folders = {}
        self.add("INBOX")

    def add(self, name, **more):
        """A folder by readable name ("A/B", any script) or raw wire bytes; returns it."""
        raw = name if isinstance(name, bytes) else mutf7.encode(name)
        more.setdefault("delimiter", self.delimiter)
        more.setdefault("uidvalidity", 1000 + len(self.folders))
        self.folders[raw] = Folder(raw, **more)
        return self.folders[raw]

    def __getitem__(self, name):
        raw = name if isinstance(name, bytes) else mutf7.encode(name)
        return self.folders[b"INBOX" if raw.upper() == b"INBOX" else raw]

    def get(self, raw):
        return self.folders.get(b"INBOX" if raw.upper() == b"INBOX" else raw)

    def below(self, raw):
        """Raw names of everything inside a folder."""
        folder = self.folders[raw]
        inside = raw + folder.delimiter.encode() if folder.delimiter else None
        return [name for name in list(self.folders) if inside and name.startswith(inside)]

    def octets(self):
        return sum(folder.octets() for folder in list(self.folders.values()))

    def fill(self, mails):
        """Puts generated mail ({name: [mail]}) into folders made on the way."""
        for name, messages in mails.items():
            folder = self[name] if name == "INBOX" else self.add(name)
            folder.add_all(messages)

    def parents(self):
        """Raw names of everything that has something below it."""
        found = set()
        for name, folder in list(self.folders.items()):
            delimiter = folder.delimiter.encode() if folder.delimiter else None
            while delimiter and delimiter in name:
                name = name.rpartition(delimiter)[0]
                if name in found:
                    break
                found.add(name)
        return found
