# SPDX-License-Identifier: MIT
"""The mail that is measured: deterministic, made once, kept between runs.

    mixed   sizes log-normal, median 6 KB, mean 30 KB, up to 5 MB: 10,000 messages are 300 MB
    drop    the same, for POP3
    small   about 5 KB each: 100,000 messages are 518 MB
    tiny    300 bytes each, for counting only (a million of them are hard links to a few files)
    large   one message of 27 MB and forty small ones
    idle    one message

Each corpus is one user of the server ("mixed10000") with everything in INBOX, UIDs 1 to N, and a
directory of plain files N.eml with the same bytes (CRLF line ends, as a client gets them). The
files are hard links to the server's. Every 997th message ends with NEEDLE.
"""

import os
import random

VERSION = 1
NEEDLE = "X-Bench-Needle-4711"
NEEDLE_EVERY = 997
KINDS = ("mixed", "drop", "small", "tiny", "large", "idle")
LARGE = 27 << 20
LINKS = 50000  # of one inode; ext4 allows 65000

WORDS = """the budget of this quarter is on its way and we should talk about what remains to be done
before the review on Friday please have a look at numbers in second table they do not add up I am
not sure why perhaps report took old rates into account meeting moves large room next kitchen bring
your own lunch trains are late again so start without me thank you for notes from yesterday my only
question third point where server loses its connection after while nobody knows which cable to
pull""".split()
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
NAMES = ("Ann Lee", "Bob Smith", "Carla Diaz", "Dan Novak", "Eve Martin", "Finn Berg", "Gita Rao")


def user(kind, count):
    """The name of the server's user who has this mail."""
    return "%s%d" % (kind, count)


class Corpus:
    """What a group of rows works on. Use Library.get()."""

    def __init__(self, name, count, root):
        self.user = name
        self.count = count
        self.local = os.path.join(root, "local", name)  # plain files: local/INBOX/N.eml
        self.bytes = 0
        self.needles = 0

    @property
    def folder(self):
        return os.path.join(self.local, "INBOX")

    def __str__(self):
        return "%s (%d messages, %.0f MB)" % (self.user, self.count, self.bytes / 1e6)


class Text:
    """Large blocks of lines, made once, from which bodies are cut."""

    def __init__(self, seed):
        random_ = random.Random(seed)
        self.plain = self._block(lambda: " ".join(random_.choices(WORDS, k=random_.randint(6, 14))))
        self.coded = self._block(lambda: "".join(random_.choices(BASE64, k=76)))
        self.random = random_

    @staticmethod
    def _block(line, size=1 << 20):
        lines, total = [], 0
        while total < size:
            lines.append(line().encode() + b"\r\n")
            total += len(lines[-1])
        return b"".join(lines)

    def cut(self, block, size):
        """About `size` bytes of whole lines, from anywhere in the block, round and round."""
        start = block.index(b"\n", self.random.randrange(len(block) - 200)) + 1
        parts, left = [], size
        while left > 0:
            parts.append(block[start : start + left])
            left -= len(parts[-1])
            start = 0
        body = b"".join(parts)
        return body[: body.rfind(b"\n") + 1]


def message(text, number, size):
    """One message of about `size` bytes."""
    random_ = text.random
    sender = random_.choice(NAMES)
    boundary = "b%08x" % random_.getrandbits(32)
    has_file = size > 40000
    kind = 'multipart/mixed; boundary="%s"' % boundary if has_file else "text/plain; charset=utf-8"
    head = (
        "Return-Path: <{addr}@example.org>\r\n"
        "Received: from mx{n}.example.org (mx{n}.example.org [192.0.2.{n}])\r\n"
        "\tby mail.example.net with ESMTPS id {id:016x}\r\n\tfor <demo@localhost>; {date}\r\n"
        "Message-ID: <{number}.{id:x}@example.org>\r\nDate: {date}\r\n"
        "From: {sender} <{addr}@example.org>\r\nTo: Dana Demo <demo@localhost>\r\n"
        "Subject: {subject}\r\nMIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n"
    ).format(addr=sender.split()[0].lower(), n=number % 250 + 1, id=random_.getrandbits(64),
             date="%s, %02d %s 2023 %02d:%02d:%02d +0000" % date_of(number), number=number,
             sender=sender, subject=" ".join(random_.choices(WORDS, k=5)), kind=kind).encode()
    left = max(40, size - len(head))
    if has_file:
        body = (b"--%s\r\nContent-Type: text/plain\r\n\r\n" % boundary.encode()
                + text.cut(text.plain, 2000)
                + b"--%s\r\nContent-Type: application/octet-stream\r\n" % boundary.encode()
                + b"Content-Transfer-Encoding: base64\r\n\r\n" + text.cut(text.coded, left - 2200)
                + b"--%s--\r\n" % boundary.encode())
    else:
        body = text.cut(text.plain, left)
    if number % NEEDLE_EVERY == 0:
        body += NEEDLE.encode() + b"\r\n"
    return head + body


def date_of(number):
    month = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()[number % 12]
    return ("Mon Tue Wed Thu Fri Sat Sun".split()[number % 7], number % 28 + 1, month,
            number % 24, number % 60, number * 7 % 60)


def sizes(kind, count, random_):
    for number in range(1, count + 1):
        if kind in ("mixed", "drop"):
            yield int(min(max(random_.lognormvariate(8.723, 1.794), 700), 5 << 20))
        elif kind == "small":
            yield int(min(max(random_.lognormvariate(8.43, 0.5), 700), 40000))
        elif kind == "large":
            yield LARGE if number == 1 else 5000
        else:
            yield 700


class Library:
    """All corpora of one server: files below `root`, the server's mail below its `homes`."""

    def __init__(self, root, own, say):
        self.root = root
        self.own = own  # own(path): gives it to the mail user
        self.say = say
        self.homes = None

    def get(self, kind, count):
        """The corpus; made if it is not there yet."""
        corpus = Corpus(user(kind, count), count, self.root)
        stamp = os.path.join(self.root, "local", corpus.user + ".made")
        wanted = "version %d" % VERSION
        try:
            with open(stamp) as file:
                version, size, needles = file.read().split("\n")[:3]
            fresh = version == wanted
        except (OSError, ValueError):
            fresh = False
        if not fresh:
            self.say("making %d messages (%s)" % (count, kind))
            size, needles = self._make(kind, count, corpus)
            with open(stamp, "w") as file:
                file.write("%s\n%d\n%d\n" % (wanted, size, needles))
        corpus.bytes, corpus.needles = int(size), int(needles)
        return corpus

    def _make(self, kind, count, corpus):
        mail = os.path.join(self.homes, corpus.user, "mail")
        for path in (mail, corpus.local):
            if os.path.isdir(path):
                remove_tree(path)
        for path in (os.path.join(self.homes, corpus.user), mail, *(os.path.join(mail, sub)
                                                                   for sub in ("cur", "new", "tmp"))):
            if not os.path.isdir(path):
                os.mkdir(path, 0o700)
                self.own(path)
        os.makedirs(corpus.folder)
        # A million files need no local copy: nothing reads them.
        writer = Writer(mail, None if kind == "tiny" else corpus.folder, self.own)
        text = Text("%s %d" % (kind, VERSION))
        needles = 0
        if kind == "tiny":
            self._make_tiny(writer, text, count)
        else:
            for number, size in enumerate(sizes(kind, count, random.Random(kind)), 1):
                writer.add(number, message(text, number, size))
                needles += number % NEEDLE_EVERY == 0
        writer.finish(count)
        return writer.bytes, needles

    @staticmethod
    def _make_tiny(writer, text, count):
        raw = message(text, 1, 700)
        for number in range(1, count + 1):
            if (number - 1) % LINKS == 0:
                first = writer.add(number, raw)
            else:
                writer.link(number, first, len(raw))


class Writer:
    """Writes a Maildir with its uidlist, so that the server need not look at each file first."""

    def __init__(self, mail, folder, own):
        self.mail = mail
        self.folder = folder
        self.own = own
        self.lines = []
        self.bytes = 0

    def _path(self, number, size):
        # The files hold CRLF, so both sizes that Dovecot asks for are the same.
        base = "%d.M%dP1.bench,S=%d,W=%d" % (1680000000 + number * 60, number, size, size)
        self.lines.append("%d :%s\n" % (number, base))
        self.bytes += size
        return os.path.join(self.mail, "cur", base + ":2,S")

    def add(self, number, raw):
        path = self._path(number, len(raw))
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, raw)
        os.close(fd)
        os.utime(path, (1680000000 + number * 60,) * 2)
        self.own(path)
        if self.folder:
            os.link(path, os.path.join(self.folder, "%d.eml" % number))
        return path

    def link(self, number, first, size):
        os.link(first, self._path(number, size))

    def finish(self, count):
        path = os.path.join(self.mail, "dovecot-uidlist")
        with open(path, "w") as file:
            file.write("3 V1700000001 N%d G%032x\n" % (count + 1, count))
            file.writelines(self.lines)
        self.own(path)


def remove_tree(path):
    for where, dirs, files in os.walk(path, topdown=False):
        for name in files:
            os.unlink(os.path.join(where, name))
        for name in dirs:
            os.rmdir(os.path.join(where, name))
    os.rmdir(path)
