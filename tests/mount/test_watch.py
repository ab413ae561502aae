# SPDX-License-Identifier: MIT
"""New mail, removals, flags and folders of other clients appear by themselves.

MAILFS_WATCH_ROUNDS=50 measures: the worst case of each kind is printed (pytest -s).
"""

import os
import re
import time

import mailgen
import pytest
from tools import ATTRIB, CREATE, DELETE, Watch, mail, uid_of, wait_until

ROUNDS = int(os.environ.get("MAILFS_WATCH_ROUNDS", "6"))
PATIENCE = 30  # the machine may be busy; what it takes otherwise is printed

NO_NOTIFY = ("IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE NAMESPACE UIDPLUS UNSELECT CONDSTORE QRESYNC "
             "ESEARCH MOVE LIST-EXTENDED LIST-STATUS SPECIAL-USE CHILDREN")
VARIANTS = {
    "notify": (None, []),
    "idle": (NO_NOTIFY, []),
    "poll": ("IMAP4rev1", ["poll=1"]),
    "list-status": (NO_NOTIFY.replace(" IDLE", ""), ["poll=1"]),
}


def begin(variant, mount, make_dovecot, options=()):
    """A mount whose INBOX and Archive are in use, and its .server; .variant says how it is watched."""
    capability, more = VARIANTS[variant]
    mails = [mailgen.Mail(mail("first %d" % at)) for at in range(4)]
    server = make_dovecot({"INBOX": mails, "Archive": mails, "Old/2020": mails}, capability=capability)
    server.rawlog()
    m = mount(server, more or list(options))
    m.variant = variant
    m.server = server
    m.list("INBOX")
    m.list("Archive")
    await_watch(m)
    return m


@pytest.fixture(params=list(VARIANTS))
def watched(request, mount, make_dovecot):
    return begin(request.param, mount, make_dovecot)


def await_watch(m):
    """Until it listens as it should."""
    want = {"notify": "notify", "idle": "idle: .*INBOX", "poll": "poll every 1 s",
            "list-status": "poll every 1 s"}[m.variant]
    wait_until(lambda: re.search(want, m.status()["watch"] or ""), PATIENCE, "watch: " + want)
    if m.variant == "idle":
        wait_until(lambda: "Archive" in (m.status()["watch"] or ""), PATIENCE, "two that idle")


def deliver(server, folder, subject):
    server.doveadm("save", "-u", "demo", "-m", folder, stdin=mail(subject))


def names(m, folder):
    return set(os.listdir(m.join(*folder.split("/"))))


def until(condition, what):
    """How long it took, in s."""
    begin = time.monotonic()
    deadline = begin + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
    return time.monotonic() - begin


def report(m, what, times):
    print("\n%s, %s: worst of %d %.2f s, median %.2f s" % (
        m.variant, what, len(times), max(times), sorted(times)[len(times) // 2]))


def hear(watch, kind):
    """How long inotify(7) took to tell of the next thing of that kind, in s; there is nothing else."""
    took = until(lambda: any(mask == kind for mask, _name in watch.read()), "inotify")
    watch.events.clear()
    return took


@pytest.mark.deadline(60 + 8 * ROUNDS)
@pytest.mark.parametrize("folder", ["INBOX", "Archive"])
def test_new_mail_expunge_and_flags(watched, folder):
    """By another client, in INBOX and in another folder in use, again and again."""
    m, server = watched, watched.server
    came, flagged, went, heard = [], [], [], []
    watch = Watch(m.join(folder))
    for at in range(ROUNDS):
        before = names(m, folder)
        deliver(server, folder, "new %d" % at)
        came.append(until(lambda: len(names(m, folder)) == len(before) + 1, "new mail"))
        heard.append(came[-1] + hear(watch, CREATE))
        new = (names(m, folder) - before).pop()
        path = m.join(folder, new)
        assert b"Subject: new %d\r\n" % at in m.read(folder, new)
        server.doveadm("flags", "add", "-u", "demo", "\\Seen", "mailbox", folder, "uid", str(uid_of(new)))
        flagged.append(until(lambda: b"\\Seen" in os.getxattr(path, "user.mailfs.flags"), "flags"))
        heard.append(flagged[-1] + hear(watch, ATTRIB))
        server.doveadm("expunge", "-u", "demo", "mailbox", folder, "uid", str(uid_of(new)))
        went.append(until(lambda: not os.path.exists(path), "expunge"))
        heard.append(went[-1] + hear(watch, DELETE))
        assert names(m, folder) == before
    watch.close()
    for what, times in (("new mail", came), ("flags", flagged), ("expunge", went), ("inotify", heard)):
        report(m, what + " in " + folder, times)


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_folders_come_and_go(mount, make_dovecot, variant):
    """IDLE is silent about folders; Dovecot 2.3 tells NOTIFY of a rename when it is woken up."""
    m = begin(variant, mount, make_dovecot, ["poll=2"])
    server = m.server
    times = []
    server.doveadm("mailbox", "create", "-u", "demo", "Fresh")
    times.append(until(lambda: os.path.isdir(m.join("Fresh")), "created"))
    deliver(server, "Fresh", "inside")
    until(lambda: len(names(m, "Fresh")) == 1, "its mail")
    server.doveadm("mailbox", "rename", "-u", "demo", "Fresh", "Other")
    times.append(until(lambda: "Other" in os.listdir(m.path) and "Fresh" not in os.listdir(m.path), "renamed"))
    until(lambda: len(names(m, "Other")) == 1, "its mail")
    server.doveadm("mailbox", "delete", "-u", "demo", "-s", "Other")
    times.append(until(lambda: "Other" not in os.listdir(m.path), "deleted"))
    report(m, "folders", times)


def test_a_burst_is_few_syncs(watched):
    """500 arrivals in one go: one sync, or two if they come in two pieces."""
    m, server = watched, watched.server
    server.doveadm("mailbox", "create", "-u", "demo", "Heap")
    server.add("Heap", [mailgen.Mail(mail("heap %d" % at)) for at in range(500)])
    before = len(names(m, "INBOX"))
    syncs = m.status()["syncs"]
    server.doveadm("copy", "-u", "demo", "INBOX", "mailbox", "Heap", "all")
    took = until(lambda: len(names(m, "INBOX")) == before + 500, "500")
    report(m, "500 at once", [took])
    assert m.status()["syncs"] - syncs <= 8


@pytest.mark.parametrize("options", [[], ["name=uid", "ro"]])
def test_ten_thousand_arrivals_are_one_invalidation(mount, imap_server, options):
    """Of their directory."""
    server = imap_server()
    inbox = server.account["INBOX"]
    inbox.add_all([mailgen.Mail(mail("first %d" % at)) for at in range(100)])
    m = mount(server, options + ["poll=0"])
    assert len(m.list("INBOX")) == 100
    before = m.status()
    inbox.add_all([mailgen.Mail(mail("heap %d" % at)) for at in range(10_000)])
    wait_until(lambda: len(names(m, "INBOX")) == 10_100, PATIENCE, "ten thousand")
    after = m.status()
    assert after["syncs"] - before["syncs"] <= 4
    # One for each sync that saw some of them.
    assert 1 <= after["invalidations"] - before["invalidations"] <= 8


def count(server, pattern):
    """Of what was sent by sessions that have ended."""
    text = b"\n".join(server.commands())
    assert b" LOGOUT" in text, "nothing was recorded"
    return len(re.findall(pattern, text, re.M))


def await_rounds(m, rounds):
    seen = set()
    wait_until(lambda: seen.add(m.status()["last-check"]) or len(seen) > rounds, PATIENCE, "rounds")


@pytest.mark.parametrize("capability", ["IMAP4rev1", VARIANTS["list-status"][0]])
def test_an_unchanged_folder_costs_a_line(mount, make_dovecot, capability):
    """In rounds: STATUS of each folder in use, or one LIST for all; nothing is opened again."""
    mails = [mailgen.Mail(mail("first %d" % at)) for at in range(4)]
    server = make_dovecot({"INBOX": mails, "a": mails, "b": mails}, capability=capability)
    server.rawlog()
    m = mount(server, ["poll=1"])
    for folder in ("INBOX", "a", "b"):
        m.list(folder)
    await_rounds(m, 8)
    m.stop()
    rounds = count(server, rb"^\S+ LIST ")
    assert rounds >= 6
    # Each once for the listing; once more where the first STATUS has nothing to be compared with.
    assert count(server, rb"^\S+ (SELECT|EXAMINE) ") <= 7
    # The folder that is selected is asked by NOOP.
    most = 2 * rounds if capability == "IMAP4rev1" else 0
    assert count(server, rb"^\S+ STATUS ") <= most
    assert count(server, rb"^\S+ NOOP") >= rounds - 3


def test_poll_0_asks_nothing(mount, make_dovecot):
    server = make_dovecot({"INBOX": [mailgen.Mail(mail("one"))]}, capability="IMAP4rev1")
    server.rawlog()
    m = mount(server, ["poll=0"])
    m.list("INBOX")
    assert m.status()["watch"] == "no poll"
    time.sleep(3)
    m.stop()
    assert count(server, rb"^\S+ LIST ") == 1
    assert count(server, rb"^\S+ NOOP") == 0
