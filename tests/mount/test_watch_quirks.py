# SPDX-License-Identifier: MIT
"""Servers that are odd to those who listen to them, by a scripted one: IDLE that lies, goodbyes without
end, refusals in mid-life, mailboxes that are made anew while something waits for them."""

import errno
import os
import time

import pytest

from imap_server import FIN, reply
from tools import SLOW, mail, popen, probe, raises, refresh, wait_readable, wait_until

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


# AS-4: goodbyes.


BYES = {
    "after the login": ("LIST", reply("* BYE bye", FIN)),
    "instead of the folder": ("SELECT", reply("* BYE bye", FIN)),
    "while it idles": ("IDLE", reply("+ idling", "* BYE Autologout", FIN)),
    "instead of the plus": ("IDLE", reply("* BYE go away", FIN)),
}


@pytest.mark.parametrize("case", sorted(BYES))
def test_AS_4_bye_again_and_again(mount, imap_server, case):
    """No storm of connections, cached mail reads on, and it comes back by itself."""
    server = serve(imap_server)
    m = mount(server, ["name=uid", "poll=1", "timeout=5"])
    assert m.read("INBOX", "1.eml") == message(1)
    await_idle(m)
    name, hook = BYES[case]
    server.on(name, hook)
    server.drop()
    before = len(server.connections)
    end = time.monotonic() + 4
    while time.monotonic() < end:
        assert m.read("INBOX", "1.eml") == message(1)
        assert len(m.list("INBOX")) == COUNT
        time.sleep(0.2)
    # At once, after 1 s, 2 s, 4 s …; where it idles in vain it is given up and works on.
    assert len(server.connections) - before <= 10
    server.off()
    server.account["INBOX"].add(message(COUNT + 1))
    await_mail(m, COUNT + 1, 30)
    assert m.status()["state"] == "online"


# CN-2, CN-3: enough is enough.


def test_CN_2_one_connection_is_enough_to_watch_and_to_read(mount, imap_server):
    server = serve(imap_server)
    server.account.add("Box").add(message(1))
    server.max_connections = 1
    m = mount(server, ["name=uid", "poll=1"])
    m.list("INBOX")
    m.list("Box")
    for last in range(COUNT + 1, COUNT + 3):
        server.account["INBOX"].add(message(last))
        await_mail(m, last)
        assert m.read("INBOX", "%d.eml" % last) == message(last)
        assert m.read("Box", "1.eml") == message(1)
    assert len(server.connections) < 8 and m.status()["connections"] == 1


REFUSALS = {
    "limit": "%t NO [LIMIT] Maximum number of connections from user+IP exceeded",
    "inuse": "%t NO [INUSE] another session has it",
    "throttled": "%t NO Request is throttled. Suggested Backoff Time: 300 milliseconds",
}


@pytest.mark.parametrize("case", sorted(REFUSALS))
def test_CN_2_CN_3_logins_refused_for_a_while_are_no_wrong_password(mount, imap_server, case):
    server = serve(imap_server)
    m = mount(server, ["name=uid", "poll=1"])
    m.list("INBOX")
    before = server.count("AUTHENTICATE")
    server.on("AUTHENTICATE", reply(REFUSALS[case]))
    server.drop()
    m.wait_status(lambda status: status["state"] == "offline")
    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert probe(m.join("INBOX", "2.eml"))[0] == errno.EHOSTUNREACH
        time.sleep(0.2)
    assert server.count("AUTHENTICATE") - before <= 5
    assert m.status()["state"] == "offline"
    server.off()
    wait_readable(m.join("INBOX", "2.eml"), message(2), 30)


def test_CN_3_rounds_that_are_throttled_become_rare(mount, imap_server):
    server = serve(imap_server)
    server.capabilities.remove("IDLE")
    m = mount(server, ["name=uid", "poll=1"])
    m.list("INBOX")
    server.on("LIST", reply("%t BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds"))
    before = server.count("LIST")
    time.sleep(7)  # after 1, 2, 4 s
    assert 1 <= server.count("LIST") - before <= 4
    assert m.status()["state"] == "online" and m.read("INBOX", "1.eml") == message(1)
    server.off()
    server.account["INBOX"].add(message(COUNT + 1))
    refresh(m)
    await_mail(m, COUNT + 1)


@pytest.mark.parametrize("name", ["INUSE", "IN-USE"])
def test_CN_3_a_folder_in_use_elsewhere_is_waited_for(mount, imap_server, name):
    """EBUSY when nobody can wait any longer; a folder that is known is shown meanwhile."""
    server = serve(imap_server)
    server.account.add("Box").add(message(1))
    m = mount(server, ["name=uid", "timeout=3", "poll=0"])
    m.list("INBOX")
    server.on("SELECT", reply("%%t NO [%s] locked by another session" % name), match=b"Box")
    begin = time.monotonic()
    raises(errno.EBUSY, os.listdir, m.join("Box"))
    assert time.monotonic() - begin < 10 * SLOW
    assert len(m.list("INBOX")) == COUNT
    server.off()
    wait_until(lambda: probe(m.join("Box", "1.eml")) == (0, message(1)), 20, "the folder")


# AS-3: the mailbox goes while somebody listens to it.


@pytest.mark.parametrize("refusal", ["[NONEXISTENT] gone", "no"])
def test_AS_3_a_folder_is_deleted_while_it_idles(mount, imap_server, refusal):
    server = serve(imap_server)
    box = server.account.add("Box")
    box.add(message(1))
    m = mount(server, ["name=uid", "poll=1"])
    m.list("INBOX")
    assert m.read("Box", "1.eml") == message(1)
    wait_until(lambda: "Box" in (m.status()["watch"] or ""), 20, "IDLE on Box")
    held = os.open(m.join("Box", "1.eml"), os.O_RDONLY)
    server.account.folders.pop(b"Box")
    server.on("SELECT", reply("%t NO " + refusal), match=b"Box")
    for connection in server.open_connections():
        if connection.folder is box:
            connection.line("* BYE Mailbox was deleted")
            connection.close("fin")
    wait_until(lambda: "Box" not in m.list(), 20, "its end")
    assert os.pread(held, 1000, 0) == message(1)
    os.close(held)
    raises(errno.ENOENT, os.stat, m.join("Box", "1.eml"))
    server.account["INBOX"].add(message(COUNT + 1))
    await_mail(m, COUNT + 1)
    assert len(server.connections) < 12
    assert server.writes() == []


# ID-1: made anew, in the midst of things.


def make_anew(folder, count=COUNT):
    """Other messages under the same UIDs."""
    folder.uidvalidity += 1
    folder.messages = []
    for uid in range(1, count + 1):
        folder.add(mail("another %d" % uid, 600), uid=uid)


@pytest.mark.parametrize("how", ["STATUS", "untagged", "BYE"])
def test_ID_1_made_anew_while_it_is_open(mount, imap_server, how):
    """However it is told, and were it in the middle of a session: no byte of one is shown as the other's."""
    server = serve(imap_server)
    inbox = server.account["INBOX"]
    if how == "untagged":
        server.capabilities.remove("LIST-STATUS")
    m = mount(server, ["name=uid", "poll=1"])
    assert m.read("INBOX", "1.eml") == message(1)
    held = {uid: os.open(m.join("INBOX", "%d.eml" % uid), os.O_RDONLY) for uid in (1, 2)}
    make_anew(inbox)
    if how == "untagged":
        def tell(c, tag, line):
            c.line("* OK [UIDVALIDITY %d] made anew" % inbox.uidvalidity)
            c.default()
        server.on("NOOP", tell)
    for connection in server.open_connections() if how == "BYE" else ():
        connection.line("* BYE Mailbox UIDVALIDITY changed")
        connection.close("fin")
    for uid in range(1, COUNT + 1):
        def is_the_other():
            code, data = probe(m.join("INBOX", "%d.eml" % uid))
            assert code != 0 or data in (message(uid), mail("another %d" % uid, 600))
            return code == 0 and data != message(uid)
        wait_until(is_the_other, 20, "the other %d" % uid)
    read_on(held)


def read_on(held):
    for uid, fd in held.items():
        try:
            assert os.pread(fd, 1000, 0) == message(uid)
        except OSError as error:
            assert error.errno in (errno.ESTALE, errno.EIO, errno.ENOENT)
        os.close(fd)


@pytest.mark.parametrize("act", ["mv", "rm"])
def test_ID_1_made_anew_while_changes_wait(mount, imap_server, act):
    """Flags that wait, a move or a removal that is under way: nothing of it reaches the messages that
    have the same UIDs and names now. Who has opened one reads it on, or gets an error."""
    server = serve(imap_server)
    archive = server.account.add("Archive")
    trash = server.account.add("Trash", attributes=["\\Trash"])
    m = mount(server, ["name=uid", "poll=1"])
    inbox = server.account["INBOX"]
    assert len(m.list("INBOX")) == COUNT and m.list("Archive") == []
    held = {uid: os.open(m.join("INBOX", "%d.eml" % uid), os.O_RDONLY) for uid in (1, 2)}
    assert os.pread(held[1], 1000, 0) == message(1)
    # They are sent, and never answered.
    for name in ("UID STORE", "UID MOVE"):
        server.on(name, lambda c, tag, line: c.hang())
    os.chmod(m.join("INBOX", "3.eml"), 0o700)
    child = popen([act, m.join("INBOX", "4.eml")] + ([m.join("Archive")] if act == "mv" else []))
    server.wait_for(lambda: server.count("UID STORE") and server.count("UID MOVE"), 20)
    make_anew(inbox)
    server.drop()
    server.off("UID STORE")
    server.off("UID MOVE")
    sent = len(server.writes())
    wait_until(lambda: probe(m.join("INBOX", "1.eml")) == (0, mail("another 1", 600)), 30, "the others")
    assert child.communicate(timeout=30 * SLOW)[1] != b"" and child.returncode != 0
    wait_until(lambda: m.status()["pending"] == m.status()["pending-failed"], 20, "an end of it")
    read_on(held)
    assert [(one.uid, one.flags) for one in inbox.messages] == [(uid, set()) for uid in range(1, COUNT + 1)]
    assert archive.messages == [] and trash.messages == []
    assert server.writes()[sent:] == []
    assert has_reason(m, "UIDVALIDITY")
