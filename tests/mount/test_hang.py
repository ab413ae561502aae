# SPDX-License-Identifier: MIT
"""Nothing waits for ever, whatever the server and the network do.

What is known is answered without the network; what has to wait has a deadline, and a signal ends it
before; SIGTERM ends the mount in time.
"""

import errno
import os
import signal
import socket
import sys
import time

import pytest

import mailgen
from caller import Caller
from imap_server import HANG, reply
from mounting import SLOW
from tools import BODY_FETCH, body_fetches, errno_of, mail, popen, wait_until

TIMEOUT = 3
LIMIT = TIMEOUT + 3 * SLOW  # of a call that waits
SHORT = ["name=uid", "timeout=%d" % TIMEOUT]


def serve(imap_server, **more):
    server = imap_server(**more)
    for number in range(1, 31):
        server.account["INBOX"].add(mail("number %d" % number, 900))
    return server


# What is known.


@pytest.mark.smoke
@pytest.mark.parametrize("how", ["holes", "stalled"])
def test_CN_4_what_is_known_never_waits_for_the_network(mount, make_dovecot, make_proxy, how):
    """Every connection is a black hole, also each new one; and others wait in the same directories."""
    server = make_dovecot({folder: [mailgen.Mail(mail("%s %d" % (folder, at), 900)) for at in range(1, 41)]
                           for folder in ("INBOX", "Work")})
    proxy = make_proxy(server.imaps_port)
    m = mount(server, SHORT + ["poll=1"], port=proxy.port)
    for folder in ("INBOX", "Work"):
        m.list(folder)
        assert m.read(folder, "1.eml") == mail(folder + " 1", 900)
    if how == "holes":
        proxy.blackhole = True
        proxy.drop("hang")
    else:
        proxy.is_paused = True
    waiting = [popen(["cat", m.join(folder, "%d.eml" % uid)]) for folder in ("INBOX", "Work") for uid in (39, 40)]
    asking = popen(["sh", "-c", 'echo refresh > "$1"', "sh", m.join(".mailfs", "ctl")])
    slowest = ("", 0)
    end = time.monotonic() + 2 * TIMEOUT
    with Caller() as caller:
        at = 0
        while time.monotonic() < end:
            at = at % 38 + 1
            for order in (("look", m.join("INBOX"), "%d.eml" % at), ("look", m.join("Work"), "%d.eml" % at),
                          ("look", m.path, "Work"), ("look", m.join("INBOX"), "not-there.eml"),
                          ("read", m.join("INBOX", "1.eml")), ("read", m.join(".mailfs", "status"))):
                answer = caller.ask(*order)
                assert answer.errno == (errno.ENOENT if order[-1] == "not-there.eml" else 0), (order, answer)
                assert answer.seconds < SLOW, (order, answer)
                slowest = max(slowest, (answer.call, answer.seconds), key=lambda one: one[1])
            time.sleep(0.02)
    print("\nslowest: %s() %.3f s" % slowest)
    for child in waiting:
        assert child.wait(10 * SLOW) != 0
    asking.wait(10 * SLOW)


# What waits.


WRITE = """
import os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
os.write(fd, b"Subject: new\\r\\n\\r\\nnew\\r\\n")
os.fsync(fd)
"""
WAITERS = {
    "read": lambda m, at: ["cat", m.join("Box%d" % at, "1.eml")],
    "readdir": lambda m, at: ["ls", m.join("Unknown%d" % at)],
    "lookup": lambda m, at: ["stat", m.join("Unknown%d" % at, "1.eml")],
    "unlink": lambda m, at: ["rm", m.join("Box%d" % at, "1.eml")],
    "rename": lambda m, at: ["mv", m.join("Box%d" % at, "1.eml"), m.join("Box%d" % at, "To")],
    "mkdir": lambda m, at: ["mkdir", m.join("Box%d" % at, "New")],
    "rmdir": lambda m, at: ["rmdir", m.join("Box%d" % at, "To")],
    "fsync": lambda m, at: [sys.executable, "-c", WRITE, m.join("Box%d" % at, "new.eml")],
}


@pytest.mark.parametrize("what", sorted(WAITERS))
def test_CN_4_what_waits_has_a_deadline_and_can_be_interrupted(mount, make_dovecot, make_proxy, what):
    """One gets SIGINT, one SIGKILL, one is left alone; one after the other, for the kernel lets only
    one change a directory, or move between two, at a time."""
    server = make_dovecot({name % at: [mailgen.Mail(mail("one", 900))] * (not name.endswith("To"))
                           for name in ("Box%d", "Unknown%d", "Box%d/To") for at in range(3)})
    proxy = make_proxy(server.imaps_port)
    m = mount(server, SHORT + ["delete=expunge"], port=proxy.port)
    for at in range(3):
        m.list("Box%d" % at)
        m.list("Box%d/To" % at)
    proxy.is_paused = True
    for at, number in enumerate((signal.SIGINT, signal.SIGKILL, None)):
        begin = time.monotonic()
        child = popen(WAITERS[what](m, at))
        if number:
            time.sleep(0.7)
            assert child.poll() is None, "nobody waits: this test tests nothing"
            begin = time.monotonic()
            child.send_signal(number)
        child.communicate(timeout=30 * SLOW)
        assert time.monotonic() - begin < (1.5 * SLOW if number else LIMIT), "%s() and signal %s" % (what, number)
    proxy.is_paused = False
    wait_until(lambda: errno_of(m.join("Box2", "1.eml")) in (0, errno.ENOENT), 15, "the mount")


@pytest.mark.parametrize("how", ["untagged", "other messages"])
def test_CN_4_a_flood_is_no_answer(mount, imap_server, how):
    """The reader ends at its deadline, others are served meanwhile."""
    server = serve(imap_server)
    m = mount(server, SHORT)
    assert m.read("INBOX", "1.eml")
    server.on("UID FETCH", flood(how), match=rb"(?i)UID FETCH 2 .*BODY\.PEEK\[\]")
    begin = time.monotonic()
    waiting = popen(["cat", m.join("INBOX", "2.eml")])
    assert server.wait_for(lambda: len(body_fetches(server)) > 1)
    with Caller() as caller:
        for uid in range(1, 31):
            assert caller.ask("look", m.join("INBOX"), "%d.eml" % uid).seconds < SLOW
    _out, err = waiting.communicate(timeout=60)
    assert waiting.returncode != 0, err
    assert time.monotonic() - begin < LIMIT
    assert m.read("INBOX", "1.eml") == mail("number 1", 900)


# The end.


def flood(how):
    """A hook that never stops talking."""
    line = {"untagged": b"* OK still here\r\n", "other messages": b"* 30 FETCH (UID 30 FLAGS (\\Seen))\r\n",
            "body": b"and so on and on, a line of a message that never ends, and never will\r\n"}[how] * 200

    def run(c, _tag, _line):
        if how == "body":
            c.send(b"* 2 FETCH (UID 2 BODY[] {2000000000}\r\n")
        while True:
            c.send(line)
            c.sleep(0.002)  # the test has to go on as well
    return run


def trickle(c, _tag, _line):
    while True:
        c.send(b"*")
        c.sleep(0.05)
        c.send(b" OK\r\n")


def half_close(c, _tag, _line):
    """Says no more, and never closes."""
    c.sock.shutdown(socket.SHUT_WR)
    c.hang()


ENDS = {"silence": reply(HANG), "trickle": trickle, "half-close": half_close, "untagged": flood("untagged"),
        "other messages": flood("other messages"), "body": flood("body")}


@pytest.mark.parametrize("how,at", [(how, "body") for how in sorted(ENDS)] + [
    ("silence", "goodbye"), ("half-close", "goodbye"), ("untagged", "goodbye"), ("silence", "change"),
    ("trickle", "change")])
def test_CN_4_SIGTERM_ends_the_mount_whatever_the_server_does(mount, imap_server, how, at):
    server = serve(imap_server, tls="implicit" if how != "half-close" else None)
    m = mount(server, ["name=uid", "timeout=60"])
    m.list("INBOX")
    if at == "body":
        server.on("UID FETCH", ENDS[how], match=BODY_FETCH)
        child = popen(["cat", m.join("INBOX", "2.eml")])
        assert server.wait_for(lambda: body_fetches(server))
    elif at == "change":
        for name in ("UID STORE", "APPEND", "UID MOVE", "UID COPY"):
            server.on(name, ENDS[how])
        os.chmod(m.join("INBOX", "3.eml"), 0o700)
        with open(m.join("INBOX", "new.eml"), "wb") as file:
            file.write(b"Subject: new\r\n\r\nnew\r\n")
        child = popen(["rm", m.join("INBOX", "4.eml")])
        assert server.wait_for(lambda: any(server.count(name) for name in ("UID STORE", "UID MOVE", "UID COPY")))
    else:
        child = None
    server.on("LOGOUT", ENDS[how])
    time.sleep(0.3)
    assert m.stop() < 5 * SLOW
    if child:
        assert child.wait(5 * SLOW) != 0
    server.off()
