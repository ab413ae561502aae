# SPDX-License-Identifier: MIT
"""Every message of a maildrop, byte for byte: real mail where there is some, else generated."""

import hashlib
import os
import ssl

import pytest

import mailgen
from pop3_raw import RawPop3
from tools import TREE_TOOLS, mail, run

TRANSPORTS = ("implicit", "starttls", "none")
TOOLS = ("tar", "rsync")

ODD = {
    "dots": b".\r\n..\r\n.x\r\n...\r\n.\r\n",
    "bare": b"a\nb\rc\n.\nd\r.\re\r\r\n\n\r",
    "bits": bytes(range(1, 256)) * 20 + b"\r\n",
    "nul": b"a\0b\0\0\r\n\0\r\n",
    "long": b"x" * 200_000 + b"\r\n." + b"y" * 100_000 + b"\r\n",
    "empty": b"",
    "no-end": b"the last line has no end",
    "dot-end": b"text\r\n.",
    "lines": b"\r\n" * 5000,
    "large": b"The same line, many times over; it is longer than most of them are.\r\n" * 450_000,
}


def odd_mail():
    return [mailgen.Mail(mail(name) + body, (), 1700000000 + at)
            for at, (name, body) in enumerate(sorted(ODD.items()))] + [
        mailgen.Mail(b"", (), 1700001000), mailgen.Mail(b"\r\n", (), 1700001001),
        mailgen.Mail(b"Subject: head only", (), 1700001002),
        mailgen.Mail(b"no head at all\r\n.\r\n", (), 1700001003)]


def sha(data):
    return hashlib.sha256(data).hexdigest()


def retr_sums(server, tls="none"):
    """The truth: what the server's own RETR gives."""
    context = ssl.create_default_context(cafile=server.ca_file)
    port = server.pop3s_port if tls == "implicit" else server.pop3_port
    with RawPop3("localhost", port, context if tls == "implicit" else None,
                 context if tls == "starttls" else None) as pop:
        pop.login("demo", "secret")
        return sorted(sha(body) for body in pop.retr_all())


def check(mount, server, tls, tool, tmp_path):
    m = mount(server, tls=tls, protocol="pop3")
    tree = TREE_TOOLS[tool](m.path, tmp_path)
    assert sorted(sha(data) for data in tree.values()) == server.sums
    for path, data in tree.items():
        assert os.stat(m.join(path)).st_size == len(data), path
    # P3-1: Dovecot counts without the line end that it adds; that is no reason to complain.
    assert m.status()["reasons"] == []
    return m


def check_offline(mount, server, tmp_path):
    m = check(mount, server, "implicit", "tar", tmp_path)
    before = run(["ls", "-li", m.path], 60).stdout
    m.stop()
    server.halt()
    try:
        m.remount()
        tree = TREE_TOOLS["rsync"](m.path, tmp_path)
        assert sorted(sha(data) for data in tree.values()) == server.sums
        assert run(["ls", "-li", m.path], 60).stdout == before
        assert m.status()["bodies-fetched"] == 0
        m.stop()
    finally:
        server.start()


def served(mails, ca, ca_pair):
    from dovecot import Dovecot
    server = Dovecot(ca=ca, pair=ca_pair, pop3=True)
    try:
        server.start()
        server.add("INBOX", mails)
        server.sums = retr_sums(server)
        assert len(server.sums) == len(mails)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def real_drop(corpus, ca, ca_pair):
    yield from served(corpus, ca, ca_pair)


@pytest.fixture(scope="module")
def odd_drop(ca, ca_pair):
    some = [one for mails in mailgen.generate(190, seed=5).values() for one in mails]
    yield from served(some + odd_mail(), ca, ca_pair)


@pytest.mark.may_skip
@pytest.mark.deadline(180)
@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("tls", TRANSPORTS)
def test_real_mail_is_what_retr_gives(mount, real_drop, tmp_path, tls, tool):
    assert len(real_drop.sums) >= 1400
    check(mount, real_drop, tls, tool, tmp_path)


@pytest.mark.may_skip
@pytest.mark.deadline(180)
def test_real_mail_is_there_without_the_server(mount, real_drop, tmp_path):
    check_offline(mount, real_drop, tmp_path)


@pytest.mark.deadline(120)
@pytest.mark.parametrize("tls, tool", [("implicit", "tar"), ("starttls", "rsync"), ("none", "tar")])
def test_odd_mail_is_what_retr_gives(mount, odd_drop, tmp_path, tls, tool):
    assert retr_sums(odd_drop, tls) == odd_drop.sums
    check(mount, odd_drop, tls, tool, tmp_path)


@pytest.mark.deadline(120)
def test_odd_mail_is_there_without_the_server(mount, odd_drop, tmp_path):
    check_offline(mount, odd_drop, tmp_path)
