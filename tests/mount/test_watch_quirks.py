# SPDX-License-Identifier: MIT
"""Servers that are odd to those who listen to them, by a scripted one: IDLE that lies, goodbyes without
end, refusals in mid-life, mailboxes that are made anew while something waits for them."""

import os
import time

import pytest

from tools import SLOW, mail, probe, wait_until

COUNT = 5


def message(number):
    return mail("arrival %d" % number, 600)


def serve(imap_server, count=COUNT, **more):
    server = imap_server(**more)
    for number in range(1, count + 1):
        server.account["INBOX"].add(message(number))
    return server


def idles(m):
    return "idle: INBOX" in (m.status()["watch"] or "")


def has_reason(m, text):
    return any(text in reason for reason in m.status()["reasons"])


def await_idle(m):
    wait_until(lambda: idles(m), 20, "IDLE on INBOX")


def await_mail(m, last, timeout=20):
    """Looks for the name only: a listing might ask the server."""
    wait_until(lambda: os.path.exists(m.join("INBOX", "%d.eml" % last)), timeout, "message %d" % last)


# CN-1: IDLE.


def silent_idle(c, tag, _line):
    """Says that it idles, and tells of nothing."""
    c.line("+ idling")
    c.read_line()
    c.ok(tag)


@pytest.mark.parametrize("noop", ["NOOP tells", "NOOP does not either"])
def test_CN_1_IDLE_that_never_tells(mount, imap_server, noop):
    """Mail is found by asking, no later than if nobody idled."""
    server = serve(imap_server)
    server.account.add("Box").add(message(1))
    server.on("IDLE", silent_idle)
    if noop != "NOOP tells":
        server.on("NOOP", lambda c, tag, line: c.ok(tag))
    m = mount(server, ["name=uid", "poll=1"])
    m.list("INBOX")
    m.list("Box")  # the connection that asks may be another than the one that idles
    await_idle(m)
    for last in range(COUNT + 1, COUNT + 4):
        server.account["INBOX"].add(message(last))
        await_mail(m, last)


def test_CN_1_IDLE_that_tells_is_believed(mount, imap_server):
    """However often it is held against STATUS."""
    server = serve(imap_server)
    m = mount(server, ["name=uid", "poll=1"])
    m.list("INBOX")
    await_idle(m)
    for last in range(COUNT + 1, COUNT + 5):
        server.account["INBOX"].add(message(last))
        await_mail(m, last)
        time.sleep(0.5)
    assert idles(m)
    assert not has_reason(m, "does not tell")


def test_CN_1_IDLE_without_the_plus(mount, imap_server):
    """Two connections end like that, then it is given up; mail is found by asking, and whoever reads
    meanwhile does not wait for the plus."""
    server = serve(imap_server, 8)
    server.on("IDLE", lambda c, tag, line: None)
    m = mount(server, ["name=uid", "poll=1"])
    m.list("INBOX")
    server.wait_for("IDLE", 20)
    for uid in range(1, 9):
        begin = time.monotonic()
        assert probe(m.join("INBOX", "%d.eml" % uid)) == (0, message(uid))
        assert time.monotonic() - begin < 6 * SLOW
        time.sleep(0.6)
    wait_until(lambda: has_reason(m, "does not begin it"), 40)
    asked = server.count("IDLE")
    server.account["INBOX"].add(message(9))
    await_mail(m, 9)
    assert m.status()["watch"] == "poll every 1 s"
    assert server.count("IDLE") == asked < 8
    assert len(server.connections) < 10
