# SPDX-License-Identifier: MIT
"""Servers that are odd to those who listen to them, by a scripted one: IDLE that lies, goodbyes without
end, refusals in mid-life, mailboxes that are made anew while something waits for them."""

import time

from tools import SLOW, mail, probe, wait_until

COUNT = 5


def message(number):
    return mail("arrival %d" % number, 600)


def serve(imap_server, count=COUNT, **more):
    server = imap_server(**more)
    for number in range(1, count + 1):
        server.account["INBOX"].add(message(number))
    return server


def names(last):
    return sorted("%d.eml" % uid for uid in range(1, last + 1))


def idles(m):
    return "idle: INBOX" in (m.status()["watch"] or "")


def await_idle(m):
    wait_until(lambda: idles(m), 20, "IDLE on INBOX")


def await_mail(m, last, timeout=20):
    wait_until(lambda: m.list("INBOX") == names(last), timeout, "message %d" % last)


# CN-1: IDLE.


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
    wait_until(lambda: any("does not begin it" in reason for reason in m.status()["reasons"]), 30)
    asked = server.count("IDLE")
    server.account["INBOX"].add(message(9))
    await_mail(m, 9)
    assert m.status()["watch"] == "poll every 1 s"
    assert server.count("IDLE") == asked < 8
    assert len(server.connections) < 10
