#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Deterministic, life-like mail for tests and for tests/demo.

    mails = generate(320, seed=1)      # {"INBOX": [Mail, ...], "Archive/2023": ...}
    fill(dovecot, mails)
    fill_cheap(dovecot, "Big", 100000) # many small messages, quickly

The same seed gives the same bytes, flags and dates. Sizes are log-normal with
a median of about 6 KB; dates cover three years and end at END.
"""

import base64
import binascii
import calendar
import email.utils
import math
import quopri
import random
import struct
import time
import zlib

END = calendar.timegm((2024, 12, 20, 12, 0, 0))
YEAR = 365 * 86400


class Mail:
    """One message: raw bytes, IMAP flags, INTERNALDATE (seconds since 1970)."""

    def __init__(self, raw, flags=(), date=1700000000):
        self.raw = raw
        self.flags = tuple(flags)
        self.date = int(date)


# Folder, share of the messages, what kind of mail lies there. "Lists" holds mail and folders.
FOLDERS = (
    ("INBOX", 24, ("person", "person", "invoice", "newsletter", "thread", "foreign")),
    ("Archive/2022", 9, ("person", "invoice", "thread")),
    ("Archive/2023", 13, ("person", "invoice", "thread", "foreign")),
    ("Archive/2024", 10, ("person", "invoice", "thread", "newsletter")),
    ("Work/Projekte/Größe", 7, ("thread", "german", "attachment")),
    ("Work/Projekte/Q1 & Q2", 5, ("thread", "attachment")),
    ("Work/Travel", 4, ("attachment", "person")),
    ("Lists", 4, ("newsletter",)),
    ("Lists/mailfs-devel", 12, ("list",)),
    ("日本語", 4, ("japanese",)),
    ("Друзья", 3, ("russian",)),
    ("Entwürfe", 2, ("draft",)),
    ("Sent", 8, ("sent", "thread")),
    ("Junk", 3, ("junk",)),
    ("Trash", 2, ("newsletter", "person")),
)

PEOPLE = (
    ("Ann Lee", "ann.lee@example.org"), ("Bob O'Hara", "bob@example.net"),
    ("Jürgen Groß", "juergen.gross@example.de"), ("Zoë Martín", "zoe@example.es"),
    ("Łukasz Nowak", "lukasz@example.pl"), ("山田 太郎", "yamada@example.jp"),
    ("Иван Петров", "ivan@example.ru"), ("محمد علي", "m.ali@example.com"),
    ("Chiara D'Angelo", "chiara@example.it"), ("Smith, John (Sales)", "john.smith@example.com"),
    ("", "noreply@shop.example"), ("Βασιλική Παππά", "vpappa@example.gr"),
    ("Đặng Thị Hà", "ha.dang@example.vn"), ("김민수", "minsu.kim@example.kr"),
)
ME = ("Dana Demo", "demo@localhost")

WORDS = """the budget of this quarter is on its way and we should talk about what remains to be done before
the review on Friday please have a look at the numbers in the second table they do not add up and I am not sure
why perhaps the report took the old rates into account the meeting moves to the large room next to the kitchen
bring your own lunch trains are late again so start without me if I am not there by ten thank you for the notes
from yesterday my only question is about the third point where the server loses its connection after a while and
nobody knows which cable to pull""".split()
GERMAN = """die Größe der Fläche hängt von der Höhe ab und wir müssen über die Änderungen sprechen bevor die
Prüfung am Freitag beginnt bitte schaut euch die Übersicht an Grüße aus dem Büro für später""".split()
JAPANESE = ("お世話になっております。", "会議の資料を添付いたします。", "ご確認のほどよろしくお願いいたします。",
            "明日の打ち合わせは午前十時からです。", "来週の予定についてご連絡ください。", "ありがとうございます。")
RUSSIAN = """привет как дела завтра встречаемся у вокзала в семь часов вечера возьми с собой фотографии из
поездки мы давно не виделись погода обещает быть хорошей до встречи""".split()

SUBJECTS = ("Budget Q1", "Lunch on Friday?", "Minutes of the meeting", "Your invoice", "Photos from the trip",
            "Question about /etc/fstab", "RFC: read-only mounts", "Holiday plans", "The train is late (again)",
            "50% off: \"everything\" must go!", "Contract <draft 3>", "..hidden?", "Notes: a\\b | c*d")
FOREIGN = ("Größenänderung für die Übersicht", "Réunion déplacée à 15 h", "Привет из Москвы", "会議のお知らせ",
           "مرحبا بالعالم", "안녕하세요 여러분", "Καλημέρα σε όλους", "Mañana no hay reunión", "🎉 Party 🎂 tomorrow",
           "Xin chào các bạn", "שלום וברכה", "e\u0301cole de\u0301compose\u0301e")


def encoded_words(text, random_):
    """A header value: ASCII as it is, else RFC 2047 in words of at most 75 bytes."""
    if text.isascii():
        return text
    charset = random_.choice(charsets_for(text))
    quoted = random_.random() < 0.4
    words, part = [], ""
    for char in text:
        if len(encoded_word(part + char, charset, quoted)) > 70:
            words.append(encoded_word(part, charset, quoted))
            part = ""
        part += char
    words.append(encoded_word(part, charset, quoted))
    return "\r\n ".join(words)


def encoded_word(text, charset, quoted):
    raw = text.encode(charset)
    if not quoted:
        return "=?%s?B?%s?=" % (charset, base64.b64encode(raw).decode())
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    body = "".join("_" if c == 32 else chr(c) if c in plain else "=%02X" % c for c in raw)
    return "=?%s?Q?%s?=" % (charset, body)


def charsets_for(text):
    found = ["UTF-8", "utf-8"]
    for charset in ("iso-8859-1", "koi8-r", "windows-1251", "ISO-2022-JP", "Shift_JIS", "EUC-KR"):
        try:
            text.encode(charset)
            found.append(charset)
        except UnicodeEncodeError:
            pass
    return found


def address(person, random_):
    name, mailbox = person
    if not name:
        return mailbox
    if name.isascii():
        return '"%s" <%s>' % (name, mailbox) if set(name) & set(",()'") else "%s <%s>" % person
    return "%s <%s>" % (encoded_words(name, random_), mailbox)


def prose(random_, size, words=WORDS):
    """About size bytes of text in lines of at most 72 columns, LF line ends."""
    lines, line, total = [], "", 0
    while total < size:
        word = random_.choice(words)
        if len(line) + len(word) > 72:
            lines.append(line)
            total += len(line.encode()) + 2
            line = ""
            if random_.random() < 0.12:
                lines.append("")
        line += (" " if line else "") + word
    lines.append(line)
    return "\n".join(lines) + "\n"


def fake_png(random_, size):
    """A valid PNG of noise with about size bytes."""
    width = 64
    height = max(1, size // (width * 3))
    rows = b"".join(b"\0" + random_.randbytes(width * 3) for _ in range(height))
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
              (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    out = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        crc = binascii.crc32(kind + data)
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)
    return out


def fake_pdf(random_, size):
    """Looks like a PDF to file(1)."""
    noise = random_.randbytes(max(16, size - 200))
    return (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Length " + str(len(noise)).encode()
            + b" >>\nstream\n" + noise + b"\nendstream\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n")


def b64_lines(raw):
    text = base64.b64encode(raw).decode()
    return "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76)) + "\r\n"


def text_part(text, charset, encoding):
    """Header lines and body of one text part, CRLF line ends."""
    raw = text.replace("\n", "\r\n").encode(charset, "replace")
    head = "Content-Type: text/plain; charset=%s\r\nContent-Transfer-Encoding: %s\r\n" % (charset, encoding)
    if encoding == "base64":
        return head, b64_lines(raw).encode()
    if encoding == "quoted-printable":
        lines = quopri.encodestring(raw.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
        return head, lines
    return head, raw


def html_of(text):
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return ("<html><body style=\"font-family: sans-serif\">\n<p>"
            + escaped.strip().replace("\n\n", "</p>\n<p>") + "</p>\n</body></html>\n")


class Generator:
    """Makes messages one after another; remembers threads so that replies refer to real mail."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.serial = 0
        self.threads = []

    def mail(self, kind, date):
        self.serial += 1
        make = getattr(self, "make_" + kind)
        head, body = make(date)
        return Mail("".join(head).encode("utf-8", "surrogateescape") + b"\r\n" + body,
                    self.flags(kind, date), date)

    def flags(self, kind, date):
        chance = self.random.random
        flags = []
        if kind == "draft":
            flags.append("\\Draft")
        if kind in ("draft", "sent") or chance() < (0.9 if date < END - 30 * 86400 else 0.5):
            flags.append("\\Seen")
        if chance() < 0.10:
            flags.append("\\Flagged")
        if "\\Seen" in flags and chance() < 0.15:
            flags.append("\\Answered")
        if "\\Seen" in flags and chance() < 0.05:
            flags.append("$Forwarded")
        if chance() < 0.12:
            flags.append("work")
        if kind == "junk":
            flags.append("$Junk")
        return flags

    def size(self):
        """Log-normal, median 6 KB less what a head takes."""
        return max(80, int(math.exp(self.random.gauss(math.log(4600), 1.1))))

    def head(self, date, sender, recipient, subject, extra=()):
        random_ = self.random
        zone = random_.choice((0, 0, 3600, 7200, -18000, 32400, 19800))
        stamp = email.utils.formatdate(date - random_.randrange(1, 90), localtime=False)
        if zone:
            local = time.strftime("%a, %d %b %Y %H:%M:%S", time.gmtime(date - 20 + zone))
            stamp = "%s %+03d%02d" % (local, zone // 3600, zone % 3600 // 60)
        self.message_id = "<%d.%s@%s>" % (self.serial, random_.randbytes(6).hex(),
                                          sender[1].split("@")[1])
        lines = []
        for hop in range(random_.randrange(1, 4)):
            lines.append("Received: from mx%d.example.net (mx%d.example.net [192.0.2.%d])\r\n"
                         "\tby mail.example.org (Postfix) with ESMTPS id %s\r\n"
                         "\tfor <%s>; %s\r\n"
                         % (hop, hop, random_.randrange(1, 255), random_.randbytes(5).hex().upper(),
                            recipient[1], email.utils.formatdate(date)))
        lines += ["Date: %s\r\n" % stamp, "From: %s\r\n" % address(sender, random_),
                  "To: %s\r\n" % address(recipient, random_),
                  "Subject: %s\r\n" % encoded_words(subject, random_),
                  "Message-ID: %s\r\n" % self.message_id]
        lines += [line + "\r\n" for line in extra]
        lines.append("MIME-Version: 1.0\r\n")
        return lines

    def plain(self, head, text):
        random_ = self.random
        if text.isascii():
            charset, encoding = "us-ascii", "7bit"
        else:
            charset = "utf-8"
            encoding = random_.choice(("8bit", "quoted-printable", "base64"))
        more, body = text_part(text, charset, encoding)
        return head + [more], body

    def multipart(self, head, kind, parts):
        """parts: list of (head text, body bytes)."""
        boundary = "=_%s" % self.random.randbytes(9).hex()
        body = b"This is a message in MIME format.\r\n"
        for more, content in parts:
            body += ("--%s\r\n%s\r\n" % (boundary, more)).encode() + content
            if not content.endswith(b"\r\n"):
                body += b"\r\n"
        body += ("--%s--\r\n" % boundary).encode()
        kind = "Content-Type: multipart/%s;\r\n\tboundary=\"%s\"\r\n" % (kind, boundary)
        return head + [kind], body

    def someone(self):
        return self.random.choice(PEOPLE)

    def make_person(self, date):
        head = self.head(date, self.someone(), ME, self.random.choice(SUBJECTS))
        self.threads.append((self.message_id, self.random.choice(SUBJECTS)))
        if self.random.random() < 0.35:
            return self.alternative(head)
        if self.random.random() < 0.15:
            return self.with_file(head)
        return self.plain(head, prose(self.random, self.size()) + "\n-- \nSent from a desk\n")

    def alternative(self, head):
        text = prose(self.random, self.size() // 2)
        html = ("Content-Type: text/html; charset=utf-8\r\n"
                "Content-Transfer-Encoding: quoted-printable\r\n",
                quopri.encodestring(html_of(text).encode()).replace(b"\n", b"\r\n"))
        return self.multipart(head, "alternative", [text_part(text, "utf-8", "8bit"), html])

    def with_file(self, head, text=None):
        random_ = self.random
        size = min(600000, int(math.exp(random_.gauss(math.log(30000), 1.0))))
        if random_.random() < 0.5:
            kind, name, raw = "application/pdf", "Angebot %d.pdf" % self.serial, fake_pdf(random_, size)
        else:
            kind, name, raw = "image/png", "photo-%d.png" % self.serial, fake_png(random_, size)
        more = ("Content-Type: %s; name=\"%s\"\r\nContent-Transfer-Encoding: base64\r\n"
                "Content-Disposition: attachment; filename=\"%s\"\r\n" % (kind, name, name))
        text = text or prose(random_, 600)
        return self.multipart(head, "mixed", [text_part(text, "utf-8", "8bit"),
                                              (more, b64_lines(raw).encode())])

    def make_attachment(self, date):
        return self.with_file(self.head(date, self.someone(), ME, self.random.choice(SUBJECTS)))

    def make_thread(self, date):
        if not self.threads or self.random.random() < 0.25:
            return self.make_person(date)
        parent, subject = self.random.choice(self.threads[-20:])
        extra = ["In-Reply-To: " + parent, "References: " + parent]
        head = self.head(date, self.someone(), ME, "Re: " + subject, extra)
        self.threads.append((self.message_id, subject))
        quote = "".join("> " + line + "\n" for line in prose(self.random, 500).splitlines())
        return self.plain(head, quote + "\n" + prose(self.random, self.size()))

    def make_sent(self, date):
        head = self.head(date, ME, self.someone(), self.random.choice(SUBJECTS))
        self.threads.append((self.message_id, self.random.choice(SUBJECTS)))
        return self.plain(head, prose(self.random, self.size() // 2))

    def make_invoice(self, date):
        subject = "Invoice %d" % (20000 + self.serial)
        head = self.head(date, ("Example Shop AG", "billing@shop.example"), ME, subject)
        return self.with_file(head, "Please find your invoice attached.\n")

    def make_newsletter(self, date):
        extra = ["List-Unsubscribe: <https://news.example/u/%d>" % self.serial, "Precedence: bulk"]
        head = self.head(date, ("News", "news@news.example"), ME,
                         self.random.choice(SUBJECTS + FOREIGN), extra)
        return self.alternative(head)

    def make_list(self, date):
        subject = "[mailfs-devel] " + self.random.choice(SUBJECTS)
        extra = ["List-Id: mailfs development <mailfs-devel.lists.example.org>",
                 "List-Post: <mailto:mailfs-devel@lists.example.org>", "Precedence: list"]
        if self.threads and self.random.random() < 0.7:
            parent, _ = self.random.choice(self.threads[-10:])
            extra += ["In-Reply-To: " + parent, "References: " + parent]
            subject = "Re: " + subject
        head = self.head(date, self.someone(),
                         ("mailfs-devel", "mailfs-devel@lists.example.org"), subject, extra)
        self.threads.append((self.message_id, subject))
        patch = "diff --git a/x.c b/x.c\n--- a/x.c\n+++ b/x.c\n@@ -1,3 +1,3 @@\n-old\n+new\n"
        return self.plain(head, prose(self.random, self.size()) + patch)

    def make_foreign(self, date):
        subject = self.random.choice(FOREIGN)
        head = self.head(date, self.someone(), ME, subject)
        return self.plain(head, subject + "\n\n" + prose(self.random, self.size(), GERMAN + RUSSIAN))

    def make_german(self, date):
        head = self.head(date, PEOPLE[2], ME, "Größe der " + self.random.choice(GERMAN))
        text = prose(self.random, self.size(), GERMAN)
        if self.random.random() < 0.5:
            more, body = text_part(text, "iso-8859-1", "8bit")
            return head + [more], body
        return self.plain(head, text)

    def make_japanese(self, date):
        head = self.head(date, PEOPLE[5], ME, "会議の資料 第%d号" % self.serial)
        text = "".join(self.random.choice(JAPANESE) + "\n" for _ in range(self.size() // 80 + 1))
        charset = self.random.choice(("iso-2022-jp", "utf-8"))
        more, body = text_part(text, charset, "7bit" if charset == "iso-2022-jp" else "base64")
        return head + [more], body

    def make_russian(self, date):
        head = self.head(date, PEOPLE[6], ME, "Привет, " + self.random.choice(RUSSIAN))
        more, body = text_part(prose(self.random, self.size() // 2, RUSSIAN), "koi8-r", "8bit")
        return head + [more], body

    def make_draft(self, date):
        head = self.head(date, ME, self.someone(), "Entwurf: " + self.random.choice(GERMAN))
        return self.plain(head, prose(self.random, 300, GERMAN))

    def make_junk(self, date):
        head = ["From: \"Prize\x07Dept\" <win@spam.example>\r\n", "Subject: YOU   WON!!! \u202egpj.exe\r\n",
                "Date: Thu, 99 Foo 2099 99:99:99 +9999\r\n", "Message-ID: broken id %d\r\n" % self.serial]
        return head, (prose(self.random, self.size()).replace("\n", "\r\n") + "x" * 3000).encode()


def generate(count=320, seed=1):
    """About count messages (never fewer): {folder: [Mail, ...]} in order of date."""
    maker = Generator(seed)
    shares = sum(share for _, share, _ in FOLDERS)
    result = {}
    for folder, share, kinds in FOLDERS:
        number = math.ceil(count * share / shares)
        first, last = span_of(folder)
        dates = sorted(maker.random.randrange(first, last) for _ in range(number))
        result[folder] = [maker.mail(maker.random.choice(kinds), date) for date in dates]
    return result


def span_of(folder):
    """Archive/2023 holds mail of 2023; the rest covers three years."""
    year = folder.rsplit("/", 1)[-1]
    if folder.startswith("Archive/") and year.isdigit():
        first = calendar.timegm((int(year), 1, 1, 0, 0, 0))
        return first, min(END, first + YEAR)
    return END - 3 * YEAR, END


def fill(server, mails, user=None):
    """Puts generated mail into a server (class Dovecot)."""
    for folder, messages in mails.items():
        is_parent = any(other.startswith(folder + "/") for other in mails)
        if is_parent and getattr(server, "storage", "") == "mbox":
            folder += "/All"  # an mbox file cannot hold folders
        server.add(folder, messages, user)


def cheap(count, seed=1):
    """Small messages, all different, one minute apart; made as they are asked for."""
    start = END - count * 60
    for at in range(count):
        raw = (b"Date: Fri, 20 Dec 2024 12:00:00 +0000\r\nFrom: Robot %d <robot@example.org>\r\n"
               b"To: demo@localhost\r\nSubject: Report %d of %d\r\nMessage-ID: <%d.%d@example.org>\r\n"
               b"\r\nAll is well.\r\n" % (at % 100, at, count, seed, at))
        yield Mail(raw, ("\\Seen",) if at % 3 else (), start + at * 60)


def fill_cheap(server, folder, count, seed=1, user=None):
    return server.add(folder, cheap(count, seed), user)


def main():
    mails = generate()
    sizes = sorted(len(mail.raw) for messages in mails.values() for mail in messages)
    for folder, messages in mails.items():
        print("%5d  %s" % (len(messages), folder))
    print("%5d messages, %d bytes, median %d" % (len(sizes), sum(sizes), sizes[len(sizes) // 2]))


if __name__ == "__main__":
    main()
