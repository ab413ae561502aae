# SPDX-License-Identifier: MIT
"""A POP3 server that wants to do harm: no crash, bounded memory, never wrong data, an end in time."""

import errno
import os
import time

import pytest

from pop3_server import HANG, RST, reply
from tools import SLOW, mail, probe, refresh, run, wait_readable, wait_until

MIB = 1024 * 1024
SHORT = ["timeout=3"]
# What a read of a message may end in, where the server does not give it.
FAILURES = (errno.EIO, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.EBUSY, errno.ENOENT)


def fill(server, count=3):
    for at in range(count):
        server.add(mail("subject %d" % at, 3000 + at, tail=b"\r\n"))
    return server


def eml(m):
    return [name for name in m.list() if name.endswith(".eml")]


def named(m, subject):
    return m.join([name for name in eml(m) if subject.replace(" ", "-") in name][0])


def flood(head, piece, total, tail=b""):
    """A hook that sends very much; the client may hang up before."""

    def run_flood(connection, _tag, _line):
        connection.send(head)
        for _ in range(total // len(piece)):
            connection.send(piece)
        connection.send(tail)

    return run_flood


def check_memory(m, limit):
    """Of a build with sanitizers it says nothing: they keep what was freed."""
    assert SLOW > 1 or m.memory() < limit


def survives(m, server, limit=64 * MIB):
    """It lives, is small, and serves again what an honest server has."""
    server.off()
    server.faults.clear()
    refresh(m, check=False)
    for message in server.drop_box:
        subject = message.raw.split(b"Subject: ")[1].split(b"\r\n")[0].decode()
        wait_until(lambda: [name for name in eml(m) if subject.replace(" ", "-") in name], 20, subject)
        wait_readable(named(m, subject), message.delivered())
    check_memory(m, limit)
    assert run(["cat", m.join(".mailfs", "status")]).stdout.count(b"\x1b") == 0


# Answers that are no end, or too much.


LISTINGS = {
    "line without end": ("UIDL", flood(b"+OK\r\n1 ", b"x" * 65536, 30 * MIB)),
    "nul": ("UIDL", reply(b"+OK\r\n1 a\0b\r\n2 \0\r\n3 c\0\r\n.\r\n")),
    "ten megabytes": ("UIDL", flood(b"+OK\r\n", b"7 x\r\n" * 1000, 10 * MIB, b".\r\n")),
    "twice": ("UIDL", reply("+OK", "1 a", "1 b", "2 a", "2 b", "3 a", "3 c", ".")),
    "numbers": ("LIST", reply("+OK", "0 5", "-1 5", "4294967296 5", "99999999999999999999 5", "x", "",
                              "1 3000", "2 3001", "3 3002", ".")),
    "huge numbers": ("UIDL", reply("+OK", "4294967295 a", "2147483648 b", "1 c", ".")),
    "status without end": ("UIDL", flood(b"+OK ", b"x" * 65536, 30 * MIB)),
    "colours": ("LIST", reply(b"-ERR \x1b[31mred\x1b[0m\x07\r\n")),
    "rubbish": ("UIDL", flood(b"", b"\xff\xfe\0\x80" * 1000, 8 * MIB)),
    "unasked": ("UIDL", reply("+OK", "1 a", "2 b", "3 c", ".", "+OK what", "-ERR who", "+ x", b"\r\n\r\n")),
    "a challenge": ("UIDL", reply("+ go on")),
    "many codes": ("LIST", reply("-ERR [" + "A" * 3000 + "] x")),
}


@pytest.mark.parametrize("case", sorted(LISTINGS))
def test_listings_that_do_harm(mount, pop3_server, case):
    server = fill(pop3_server())
    m = mount(server, SHORT)
    before = {name: os.stat(m.join(name)).st_ino for name in eml(m)}
    assert len(before) == 3
    name, hook = LISTINGS[case]
    server.on(name, hook, times=2)
    server.add(mail("subject new", 3000, tail=b"\r\n"))
    refresh(m, check=False)
    names = set(eml(m))
    survives(m, server)
    if case not in ("twice", "nul"):  # those say that there are other messages
        assert names >= set(before)
        assert {name: os.stat(m.join(name)).st_ino for name in before} == before


@pytest.mark.parametrize("name", ["GREETING", "CAPA", "AUTH", "UIDL"])
@pytest.mark.parametrize("what", ["endless", "rubbish", "nothing", "nul"])
def test_a_first_answer_that_does_harm(mount, pop3_server, name, what):
    """Nothing is cached yet."""
    server = fill(pop3_server())
    hook = {"endless": flood(b"+OK", b" x" * 30000, 8 * MIB), "rubbish": reply(b"HTTP/1.0 200 OK\r\n\r\n"),
            "nothing": reply(b"\r\n"), "nul": reply(b"\0\0+OK\0\r\n")}[what]
    server.on(name, hook, times=1)
    m = mount(server, SHORT + ["delay_connect"])
    begin = time.monotonic()
    run(["ls", m.path], 20, check=False)
    assert time.monotonic() - begin < 15
    survives(m, server)


BODIES = {
    "line without end": flood(b"+OK\r\nSubject: x\r\n\r\n", b"x" * 65536, 20 * MIB, b"\r\n"),
    "-ERR in it": reply("+OK", "Subject: x", "", "half", "-ERR oops"),
    "-ERR before it": reply("-ERR [SYS/TEMP] later"),
    "two ends": reply("+OK", "Subject: x", "", "short", ".", "more", "."),
    "status without end": flood(b"+OK ", b"x" * 65536, 20 * MIB),
    "nul status": reply(b"+OK\0\r\n.\0\r\n"),
    "hangs": reply("+OK", "Subject: x", "", "half", HANG),
    "reset": reply("+OK", "Subject: x", RST),
    "imap": reply("* 1 FETCH (BODY[] {5}", "hello)"),
}


@pytest.mark.parametrize("case", sorted(BODIES))
def test_bodies_that_do_harm(mount, pop3_server, case):
    server = fill(pop3_server())
    m = mount(server, SHORT)
    path = named(m, "subject 1")
    server.on("RETR", BODIES[case], match=rb"RETR 2\b")
    code, got = probe(path)
    if case == "two ends":
        # That is what the server says it is. What follows is not the next message's.
        assert code in FAILURES or got == b"Subject: x\r\n\r\nshort\r\n"
        assert m.read(named(m, "subject 2")) == server.drop_box[2].raw
        server.drop_box.pop(1)
        server.off()
        assert refresh(m, check=False) in (True, False)
        return
    assert code in FAILURES and got == b"", (code, len(got))
    survives(m, server)


@pytest.mark.smoke
def test_a_message_without_end_does_not_fill_the_memory(mount, pop3_server):
    server = fill(pop3_server())
    m = mount(server, SHORT + ["cache_size=16M"])
    path = named(m, "subject 1")
    server.on("RETR", flood(b"+OK\r\nSubject: x\r\n\r\n", b"y" * 998 + b"\r\n", 150 * MIB), times=1,
              match=rb"RETR 2\b")
    assert run(["timeout", "12", "cat", path], 30, check=False).returncode != 0
    check_memory(m, 100 * MIB)
    survives(m, server)


# TOP.


TOPS = {
    "everything": reply("+OK", "Subject: x", "", *["line"] * 1000, "."),
    "without end": flood(b"+OK\r\n", b"X-Header: y\r\n" * 1000, 20 * MIB, b".\r\n"),
    "one line": flood(b"+OK\r\nSubject: ", b"x" * 65536, 20 * MIB, b"\r\n.\r\n"),
    "nothing": reply("+OK", "."),
    "other": reply("+OK", "Subject: ../../etc/passwd\0\x1b[2J", "Date: x", "From: \xff", "."),
    "half": reply("+OK", "Subj", "."),
}


@pytest.mark.parametrize("case", sorted(TOPS))
def test_headers_that_do_harm(mount, pop3_server, case):
    server = fill(pop3_server())
    server.on("TOP", TOPS[case])
    m = mount(server, ["timeout=10"])
    names = eml(m)
    assert len(names) == 3
    assert all("/" not in name and "\x1b" not in name for name in names)
    assert sorted(m.read(name) for name in names) == server.bodies()
    check_memory(m, 64 * MIB)


# Refusals in the midst of what is pipelined.


@pytest.mark.parametrize("name", ["RETR", "TOP"])
def test_a_refusal_in_the_midst_belongs_to_its_command(mount, pop3_server, name):
    server = fill(pop3_server(), 30)
    server.on(name, reply("-ERR oops"), match=rb" (3|7|8|29|30)\b")
    m = mount(server, SHORT)
    names = eml(m)
    assert len(names) == 30
    for at, message in enumerate(server.drop_box):
        path = named(m, "subject %d." % at)
        code, got = probe(path)
        if name == "RETR" and at + 1 in (3, 7, 8, 29, 30):
            assert code in FAILURES and got == b""
        else:
            assert (code, got) == (0, message.raw)
    survives(m, server)


def test_what_is_lost_in_the_midst_is_asked_for_again(mount, pop3_server):
    server = fill(pop3_server(), 30)
    server.on("RETR", reply("+OK", "Subject: half", RST), match=rb" 11\b", times=2)
    m = mount(server, ["timeout=10"])
    for at, message in enumerate(server.drop_box):
        wait_readable(named(m, "subject %d." % at), message.raw)


# Capabilities that are lies.


LIES = {
    "nothing is true": ["TOP", "UIDL", "PIPELINING", "SASL SCRAM-SHA-256 XOAUTH2 PLAIN CRAM-MD5", "UTF8"],
    "thousands": ["X-%d" % at for at in range(20_000)] + ["USER"],
    "long": ["SASL " + "PLAIN " * 2000, "USER", "IMPLEMENTATION " + "x" * 9000],
    "odd": ["", " ", "\x1b[2J", "LOGIN-DELAY -1", "LOGIN-DELAY 99999999999999999999", "EXPIRE", "EXPIRE x",
            "IMPLEMENTATION", "SASL", "USER", "TOP", "UIDL"],
}


@pytest.mark.parametrize("case", sorted(LIES))
def test_capabilities_that_are_lies(mount, pop3_server, case):
    server = fill(pop3_server())
    server.capabilities = LIES[case]
    server.faults.add("top-no")
    m = mount(server, SHORT)
    assert sorted(m.read(name) for name in eml(m)) == server.bodies()
    survives(m, server)


# TLS.


def test_SEC_5_stls_that_was_taken_out_of_the_offer_ends_it(mount, pop3_server):
    server = fill(pop3_server(tls="starttls"))
    server.on("CAPA", reply("+OK", "USER", "SASL PLAIN", "."))
    assert mount(server, SHORT, start=False).fails().code == 76
    assert server.logins == [] and server.count("USER") == 0


@pytest.mark.parametrize("answer", ["-ERR not today", "+OK", "+OK\r\n+OK\r\n+OK\r\n+OK logged in"])
def test_SEC_6_stls_and_then_plain_text_ends_it(mount, pop3_server, answer):
    """The answers to USER, PASS, UIDL may not come from before TLS."""
    server = fill(pop3_server(tls="starttls"))

    @server.on("STLS")
    def inject(c, _tag, _line):
        c.send(answer.encode() + b"\r\n+OK injected\r\n+OK\r\n1 evil\r\n.\r\n")
        c.inbuf = b""
        c.start_tls()

    failure = mount(server, SHORT, start=False).fails()
    assert failure.code in (75, 76), failure
    assert server.logins == []
    assert "injected" not in failure.stderr


def test_SEC_7_what_is_said_before_tls_is_not_shown(mount, pop3_server):
    server = fill(pop3_server(tls="starttls"))
    server.on("STLS", reply("-ERR visit http://evil.example.org/ \x1b[1m"))
    failure = mount(server, SHORT, start=False).fails()
    assert "evil" not in failure.stderr


# Ends.


@pytest.mark.parametrize("how", [HANG, RST])
def test_a_quit_without_an_answer_holds_nobody_up(mount, pop3_server, how):
    server = fill(pop3_server())
    server.on("QUIT", reply(how))
    m = mount(server)
    for step in range(2):
        assert sorted(m.read(name) for name in eml(m)) == server.bodies()
        server.add(mail("new %d" % step, 2000, tail=b"\r\n"))
        begin = time.monotonic()
        assert refresh(m)
        assert time.monotonic() - begin < 10
        assert len(eml(m)) == 4 + step
    m.stop()


def test_sessions_that_end_at_once(mount, pop3_server):
    """No storm of connections."""
    server = fill(pop3_server())
    m = mount(server, SHORT)
    names = eml(m)
    server.drop("fin")
    server.on("CONNECT", lambda c, tag, line: c.fin())
    connections = len(server.connections)
    for name in names:
        probe(m.join(name))
    assert len(server.connections) - connections < 30
    survives(m, server)
