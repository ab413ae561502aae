# SPDX-License-Identifier: MIT
"""The private Dovecot and the generated mail, seen by Python's own client."""

import imaplib
import os
import poplib
import time

import pytest

import mailgen
import mutf7
from dovecot import Dovecot
from mailgen import Mail

CRLF = Mail(b"Subject: x\r\nFrom: a@b\r\n\r\nhello\r\nno end \xff", ["\\Seen", "work", "$Forwarded"], 1600000000)
BARE = Mail(b"Subject: y\nFrom: a@b\n\nhello\n\n\n", ["\\Flagged"], 1600000001)


@pytest.fixture(scope="module")
def server():
    with Dovecot() as running:
        mailgen.fill(running, mailgen.generate(320))
        yield running


def bodies(client, name):
    client.select(mutf7.quote(name).decode(), readonly=True)
    answer = client.uid("fetch", "1:*", "(FLAGS BODY.PEEK[])")[1]
    return [part[1] for part in answer if isinstance(part, tuple)]


def test_generated_mail_arrives_as_it_was_made(server):
    mails = mailgen.generate(320)
    assert sum(len(messages) for messages in mails.values()) >= 300
    client = server.connect()
    for folder, messages in mails.items():
        assert bodies(client, folder) == [mail.raw for mail in messages], folder
        assert list(server.flags(folder).values()) == [frozenset(mail.flags) for mail in messages]
    client.logout()


def test_generator_is_deterministic_and_life_like():
    one, two = mailgen.generate(320, 7), mailgen.generate(320, 7)
    assert {f: [(m.raw, m.flags, m.date) for m in ms] for f, ms in one.items()} \
        == {f: [(m.raw, m.flags, m.date) for m in ms] for f, ms in two.items()}
    raws = [mail.raw for messages in one.values() for mail in messages]
    sizes = sorted(len(raw) for raw in raws)
    assert 3000 < sizes[len(sizes) // 2] < 12000
    assert len(set(raws)) == len(raws)
    assert sum(b"In-Reply-To:" in raw for raw in raws) > 20
    assert sum(b"multipart/alternative" in raw for raw in raws) > 20
    assert sum(b"multipart/mixed" in raw for raw in raws) > 20


def test_fetch_gives_exact_bytes_and_marks_nothing(server):
    server.add("exact", [CRLF, BARE])
    client = server.connect()
    assert bodies(client, "exact") == [server.fetch("exact", 1), server.fetch("exact", 2)]
    assert server.fetch("exact", 1) == CRLF.raw
    assert server.flags("exact") == {1: {"\\Seen", "work", "$Forwarded"}, 2: {"\\Flagged"}}
    with pytest.raises(KeyError):
        server.fetch("exact", 3)
    client.logout()


def test_internaldate_and_second_import(server):
    server.add("twice", [CRLF])
    client = server.connect()
    client.select("twice")
    answer = client.uid("fetch", "1", "(INTERNALDATE)")[1][0]
    assert b'"13-Sep-2020 12:26:40 +0000"' in answer
    client.logout()
    assert server.add("twice", [CRLF]) == [2]
    assert server.uids("twice") == [1, 2]


def test_many_cheap_messages(server):
    mailgen.fill_cheap(server, "cheap", 2000)
    assert server.uids("cheap") == list(range(1, 2001))


@pytest.mark.parametrize("options", [
    {"separator": ".", "prefix": "INBOX."}, {"storage": "mbox"}, {"storage": "sdbox"}])
def test_variants_hold_the_mail(options):
    with Dovecot(**options) as server:
        server.add("Archive/Größe", [CRLF, BARE])
        assert server.vname("Archive/Größe") in server.folders()
        client = server.connect()
        got = bodies(client, server.vname("Archive/Größe"))
        assert got == [server.fetch("Archive/Größe", 1), server.fetch("Archive/Größe", 2)]
        client.logout()


def test_capability_override_and_compress():
    with Dovecot(capability="IMAP4rev1") as server:
        client = server.connect()
        assert client.capability()[1][-1] == b"IMAP4rev1"
        client.logout()
    with Dovecot(compress=True) as server:
        client = server.connect()
        assert b"COMPRESS=DEFLATE" in client.capability()[1][0]
        client.logout()


def test_tls_starttls_and_pop3():
    with Dovecot(pop3=True, host="127.0.0.2", plaintext=False) as server:
        client = imaplib.IMAP4(server.host, server.imap_port, timeout=10)
        assert {"STARTTLS", "LOGINDISABLED"} <= set(client.capabilities)
        client.shutdown()
    with Dovecot(pop3=True) as server:
        server.connect(tls=True).logout()
        client = imaplib.IMAP4("localhost", server.imap_port, timeout=10)
        client.starttls(server.tls_context())
        client.login("demo", "secret")
        client.logout()
        server.add("INBOX", [CRLF])
        client = poplib.POP3_SSL("localhost", server.pop3s_port, timeout=10,
                                 context=server.tls_context())
        client.user("demo")
        client.pass_("secret")
        assert client.stat()[0] == 1
        client.quit()


def test_connection_limit():
    with Dovecot(max_userip=1) as server:
        client = server.connect()
        with pytest.raises(imaplib.IMAP4.error):
            second = server.connect()
            second.noop()
        client.logout()


def test_killed_paused_and_restarted_server_keeps_mail_and_ports():
    with Dovecot() as server:
        server.add("INBOX", [CRLF])
        port = server.imap_port
        client = server.connect()
        server.kill9()
        with pytest.raises((imaplib.IMAP4.abort, OSError)):
            client.noop()
        server.start()
        assert server.imap_port == port
        client = server.connect()
        client.socket().settimeout(0.3)
        server.pause()
        with pytest.raises((TimeoutError, imaplib.IMAP4.abort)):
            client.noop()
        server.resume()
        server.restart()
        assert server.uids("INBOX") == [1]


def test_wrong_passwords_are_answered_quickly(server):
    start = time.monotonic()
    for _ in range(3):
        with pytest.raises(imaplib.IMAP4.error):
            imaplib.IMAP4(server.host, server.imap_port, timeout=10).login("demo", "wrong")
    assert time.monotonic() - start < 5


def living_in_group(group):
    """Processes of a group that still run (not those that merely wait to be reaped)."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open("/proc/%s/stat" % name) as file:
                state, _parent, its_group = file.read().rsplit(")", 1)[1].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state not in "ZX":
            found.append(int(name))
    return found


def test_stop_leaves_nothing():
    server = Dovecot().start()
    pid = server.pid
    server.connect().logout()
    assert pid in living_in_group(pid)
    server.stop()
    assert not os.path.exists(server.dir)
    assert living_in_group(pid) == []
