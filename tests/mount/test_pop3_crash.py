# SPDX-License-Identifier: MIT
"""Mail that leaves a POP3 server, when everything stops halfway: it is on the server, or kept here.

The connection cut after every byte of RETR, DELE and QUIT, by a scripted server. Killed at every fault point, and the disk full at every write, of a round in which two messages are
stored and deleted (-o pop3-keep=no), on a real Dovecot; how many of them: as test_crash.py. A build
with -Dfaults=true.
"""

import os
import time

import pytest

import mailgen
import mounting
from test_crash import dies_when_stopped, each_number, has_faults, is_dead, message
from test_full import writes
from test_pop3 import all_bodies, refresh, sha
from test_pop3_keep import contents, kept_files, states
from tools import wait_until

MAILS = [message("kept %d" % at, 700) for at in range(2)]
OPTIONS = ["name=uid", "pop3-keep=no"]


def begin(server, mount, fault):
    server.add("INBOX", [mailgen.Mail(mail, (), 1700000000 + at) for at, mail in enumerate(MAILS)])
    m = mount(server, OPTIONS, protocol="pop3", start=False)
    notes = os.path.join(m.home, "faults")
    m.environment = {"MAILFS_FAULT": fault, "MAILFS_FAULT_NOTES": notes}
    return m, notes


def is_safe(server, m):
    """No message is nowhere."""
    held = {sha(body) for body in all_bodies(server)}
    for path in kept_files(m):
        with open(path, "rb") as file:
            held.add(sha(file.read()))
    return {sha(mail) for mail in MAILS} <= held


def is_cleared(m):
    """All is stored and gone from the server. Asks for another look, but not all the time: each
    listing wants a connection of its own."""
    if m.status()["kept"] == len(MAILS) and states(m) == {b"local"}:
        return True
    refresh(m)
    time.sleep(0.5)
    return False


def check(server, m):
    wait_until(lambda: is_cleared(m), 30, "an empty maildrop")
    assert sorted(contents(m).values()) == sorted(sha(mail) for mail in MAILS)
    assert all_bodies(server) == []
    assert is_safe(server, m)


def killed(server, mount, number):
    """One round; True: the point was met."""
    m, notes = begin(server, mount, "kill:%d" % number)
    try:
        m.start()
        wait_until(lambda: not m.is_running() or is_cleared(m), 30, "the end")
    except (AssertionError, OSError, KeyError, mounting.MountFailed):
        if not is_dead(m):
            raise
    m.asked_to_die = True
    was_met = not m.is_running() or dies_when_stopped(m)
    if was_met:
        m.kill9()
    try:
        assert is_safe(server, m)
        m.environment = {}
        m.start()
        check(server, m)
    except AssertionError as error:
        with open(notes, encoding="utf-8") as file:
            raise AssertionError("killed at:\n%s\n%s" % (file.read(), error)) from error
    m.stop()
    return was_met


def full(server, mount, number):
    """One round; True: there was such a write."""
    m, notes = begin(server, mount, "full:%d" % number)
    m.start()
    try:
        check(server, m)
    except AssertionError as error:
        raise AssertionError("full at %s%s" % (writes(notes)[number - 1 : number], error)) from error
    m.stop()
    was_met = len(writes(notes)) >= number
    m.environment = {}
    m.start()
    check(server, m)
    m.stop()
    return was_met


@pytest.mark.deadline(400)
@pytest.mark.parametrize("one_round", [killed, full], ids=["killed", "full"])
def test_P3_7_nothing_is_lost(mount, make_dovecot, mailfs_binary, one_round):
    assert has_faults(mailfs_binary), "built without -Dfaults=true"
    server = make_dovecot({"INBOX": []}, pop3=True)
    each_number(lambda number: one_round(server, mount, number))


class Cutter:
    """Ends the connection after each byte of the answers to one command, one byte more each time; then
    comes the whole answer, and all again so often as there are passes."""

    def __init__(self, server, name, acts_first, passes):
        self.server, self.name, self.acts_first = server, name, acts_first
        self.passes = passes
        self.at = 0
        self.cuts = 0
        server.on(name, self.answer)

    def answer(self, c, _tag, _line):
        if self.name == "QUIT" and not c.deleted:
            c.default()
            return
        before = list(self.server.drop_box)
        answer = c.capture()
        if self.at >= len(answer):
            self.at = 0
            self.passes -= 1
            if self.passes == 0:
                self.server.off(self.name)
            c.send(answer)
            return
        # What QUIT removed is removed, whatever the client has heard of it; or not.
        if not self.acts_first:
            self.server.drop_box[:] = before
        self.cuts += 1
        c.send(answer[: self.at])
        self.at += 1
        c.fin()


@pytest.mark.deadline(120)
@pytest.mark.parametrize("name, acts_first, passes, cuts",
                         [("RETR", False, 2, 90), ("DELE", False, 1, 9), ("QUIT", False, 1, 9),
                          ("QUIT", True, 1, 1)])
def test_P3_7_cut_at_every_byte(mount, pop3_server, name, acts_first, passes, cuts):
    """RETR twice: when it is stored, and when it is compared."""
    server = pop3_server()
    raw = b"Subject: cut\r\n\r\n.one\r\ntwo\r\n"
    server.add(raw)
    cutter = Cutter(server, name, acts_first, passes)
    m = mount(server, OPTIONS)

    def is_here():
        held = server.bodies()
        for path in kept_files(m):
            with open(path, "rb") as file:
                held.append(file.read())
        return raw in held

    def is_over():
        refresh(m)
        time.sleep(0.05)
        assert is_here()
        return states(m) == {b"local"}

    wait_until(is_over, 60, "an empty maildrop")
    assert cutter.cuts >= cuts
    assert contents(m) == {"1.eml": sha(raw)}
    assert server.bodies() == []
