# SPDX-License-Identifier: MIT
"""Watchers of directories hear what other clients do. The helper that makes it so changes nothing."""

import os
import signal
import sys
import time

import pytest

from mailgen import Mail
from mounting import SLOW, run
from tools import ATTRIB, CREATE, DELETE, Watch, files, mail, popen, refresh, wait_until

ISDIR = 0x40000000


def messages(first, last):
    return [Mail(mail("arrival %d" % number, 600)) for number in range(first, last + 1)]


@pytest.fixture
def watch():
    made = []

    def make(path):
        made.append(Watch(path))
        return made[-1]

    yield make
    for one in made:
        one.close()


def helpers(m):
    """The helper processes of this daemon."""
    out = run(["ps", "-o", "pid=,comm=", "--ppid", str(m.pid)], check=False).stdout.decode()
    return [int(line.split()[0]) for line in out.splitlines() if "mailfs-helper" in line]


@pytest.mark.smoke
@pytest.mark.parametrize("options", [["name=uid"], []], ids=["uid", "human"])
def test_create_delete_and_attrib_without_any_effect(mount, make_dovecot, watch, options):
    server = make_dovecot({"INBOX": messages(1, 3), "Trash": []})
    m = mount(server, options + ["poll=0"])
    old = {uid: os.path.basename(path) for uid, path in files(m, "INBOX").items()}
    inbox = watch(m.join("INBOX"))
    server.add("INBOX", messages(4, 4))
    refresh(m, "INBOX")
    wait_until(lambda: any(mask == CREATE for mask, _ in inbox.read(0.05)), 15, "CREATE")
    created = [name for mask, name in inbox.events if mask == CREATE]
    new = files(m, "INBOX")
    assert created == [os.path.basename(new[4])]
    # It is the message: with its size, its inode, its bytes.
    assert os.stat(new[4]).st_size > 500 and os.stat(new[4]).st_ino != 0
    assert m.read("INBOX", created[0]) == server.fetch("INBOX", 4)
    server.doveadm("flags", "add", "-u", server.user, "\\Flagged", "mailbox", "INBOX", "uid", "2")
    refresh(m, "INBOX")
    inbox.wait((ATTRIB, old[2]))
    server.doveadm("expunge", "-u", server.user, "mailbox", "INBOX", "uid", "3")
    refresh(m, "INBOX")
    inbox.wait((DELETE, old[3]))
    assert not os.path.exists(m.join("INBOX", old[3]))
    time.sleep(0.3)
    kinds = [(mask, name) for mask, name in inbox.read() if mask in (CREATE, DELETE)]
    assert kinds == [(CREATE, created[0]), (DELETE, old[3])]
    # Nothing reached the server, nothing waits, nobody was robbed.
    assert server.uids("INBOX") == [1, 2, 4] and server.uids("Trash") == []
    assert m.status()["pending"] == 0
    assert run(["cat", m.join(".mailfs", "pending")]).stdout == b""
    assert os.listdir(os.path.join(m.home, "state", "mailfs")) != []


def test_a_file_that_is_open_can_be_expunged_before_the_eyes(mount, make_dovecot, watch):
    server = make_dovecot({"INBOX": messages(1, 3)})
    m = mount(server, ["name=uid", "poll=0"])
    m.list("INBOX")
    body = m.read("INBOX", "2.eml")
    inbox = watch(m.join("INBOX"))
    with open(m.join("INBOX", "2.eml"), "rb") as file:
        assert file.read(10) == body[:10]
        server.doveadm("expunge", "-u", server.user, "mailbox", "INBOX", "uid", "2")
        refresh(m, "INBOX")
        inbox.wait((DELETE, "2.eml"))
        assert file.read() == body[10:]


def test_folders_that_come_and_go(mount, make_dovecot, watch):
    server = make_dovecot({"INBOX": messages(1, 1), "Work": []})
    m = mount(server, ["name=uid", "poll=0"])
    m.list()
    root = watch(m.path)
    server.doveadm("mailbox", "create", "-s", "-u", server.user, "New")
    refresh(m)
    root.wait((CREATE | ISDIR, "New"))
    assert os.path.isdir(m.join("New")) and m.list("New") == []
    server.doveadm("mailbox", "delete", "-u", server.user, "Work")
    refresh(m)
    root.wait((DELETE | ISDIR, "Work"))
    assert "Work" not in m.list() and "New" in server.folders()


def test_own_changes_are_heard_once(mount, make_dovecot, watch):
    server = make_dovecot({"INBOX": messages(1, 3), "Trash": []})
    m = mount(server, ["name=uid", "poll=0"])
    m.list("INBOX")
    m.list("Trash")
    inbox = watch(m.join("INBOX"))
    os.unlink(m.join("INBOX", "1.eml"))
    with open(m.join("INBOX", "mine.eml"), "wb") as file:
        file.write(mail("mine", 500))
    wait_until(lambda: len(server.uids("INBOX")) == 3, 20, "the upload")
    wait_until(lambda: m.status()["pending"] == 0, 10, "its end")
    refresh(m, "INBOX")
    time.sleep(0.5)
    heard = [name for mask, name in inbox.read() if mask in (CREATE, DELETE)]
    assert heard.count("1.eml") == 1 and heard.count("mine.eml") == 1


def test_a_large_arrival_is_a_few_events(mount, make_dovecot, watch):
    server = make_dovecot({"INBOX": messages(1, 1)})
    m = mount(server, ["name=uid", "poll=0"])
    m.list("INBOX")
    inbox = watch(m.join("INBOX"))
    before = m.status()["syncs"]
    server.add("INBOX", messages(2, 401))
    refresh(m, "INBOX")
    inbox.wait((ATTRIB | ISDIR, ""), 20)
    time.sleep(0.5)
    created = [name for mask, name in inbox.read() if mask == CREATE]
    assert 1 <= len(created) <= 300
    # On a slow machine they do not come all at once.
    syncs = m.status()["syncs"] - before
    assert len([event for event in inbox.events if event[0] == ATTRIB | ISDIR]) <= max(8, 3 * syncs)
    assert len(m.list("INBOX")) == 401


@pytest.mark.parametrize("options", [["inotify=no"], ["ro"]])
def test_off(mount, make_dovecot, watch, options):
    server = make_dovecot({"INBOX": messages(1, 1)})
    m = mount(server, ["name=uid", "poll=0"] + options)
    m.list("INBOX")
    assert helpers(m) == []
    inbox = watch(m.join("INBOX"))
    server.add("INBOX", messages(2, 2))
    os.kill(m.pid, signal.SIGUSR1)
    wait_until(lambda: "2.eml" in m.list("INBOX"), 10, "new mail")
    assert inbox.read(0.3) == []


def test_the_helper_is_nobody_and_ends_with_the_daemon(mount, make_dovecot):
    server = make_dovecot({"INBOX": messages(1, 1)})
    m = mount(server, ["name=uid", "poll=0"], environment={"CANARY": "xyzzy"})
    helper, = helpers(m)
    if os.getuid() == 0:  # its own user may not look
        with open("/proc/%d/environ" % helper, "rb") as file:
            assert file.read() == b""
        assert os.readlink("/proc/%d/cwd" % helper) == "/"
        kinds = {os.readlink("/proc/%d/fd/%s" % (helper, fd)).split(":")[0]
                 for fd in os.listdir("/proc/%d/fd" % helper)}
        assert kinds <= {"socket", "/dev/null"}
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(helper, number)
    m.stop()
    wait_until(lambda: not os.path.exists("/proc/%d" % helper), 5, "its end")
    m.start()
    helper, = helpers(m)
    m.kill9()
    wait_until(lambda: not os.path.exists("/proc/%d" % helper), 5, "its end")
    m.start()
    # Without it the mount goes on.
    helper, = helpers(m)
    os.kill(helper, signal.SIGKILL)
    server.add("INBOX", messages(2, 2))
    refresh(m, "INBOX")
    assert "2.eml" in m.list("INBOX")


@pytest.mark.deadline(120)
@pytest.mark.parametrize("end", ["term", "kill"])
def test_KC_2_storm_of_everything_in_one_directory(mount, make_dovecot, watch, end):
    """Lookups, listings, renames, removals, arrivals and expunges at once: no deadlock, and an end in
    time in the midst of it."""
    server = make_dovecot({"INBOX": messages(1, 60), "Trash": []})
    m = mount(server, ["name=uid", "poll=0", "delete=expunge"])
    m.list("INBOX")
    inbox = watch(m.join("INBOX"))
    storm = [popen(["sh", "-c", "cd / && while :; do %s; done" % what]) for what in (
        "ls -l %s >/dev/null 2>&1" % m.join("INBOX"),
        "for n in $(seq 1 90); do stat %s/$n.eml; done >/dev/null 2>&1" % m.join("INBOX"),
        "mv {0}/5.eml {0}/five.eml 2>/dev/null; mv {0}/five.eml {0}/5.eml 2>/dev/null"
        .format(m.join("INBOX")),
        "for n in $(seq 40 60); do cat %s/$n.eml; done >/dev/null 2>&1" % m.join("INBOX"))]
    try:
        stop = time.monotonic() + 4
        at = 61
        while time.monotonic() < stop:
            server.add("INBOX", messages(at, at + 1))
            server.doveadm("expunge", "-u", server.user, "mailbox", "INBOX", "uid", str(at - 30))
            server.doveadm("flags", "add", "-u", server.user, "\\Flagged", "mailbox", "INBOX", "uid", "10")
            server.doveadm("flags", "remove", "-u", server.user, "\\Flagged", "mailbox", "INBOX", "uid", "10")
            refresh(m, "INBOX", check=False)
            at += 2
        assert any(mask == CREATE for mask, _ in inbox.read(1))
        assert any(mask == DELETE for mask, _ in inbox.read())
        if end == "term":
            assert m.stop() < 5 * SLOW
        else:
            m.kill9()
    finally:
        for child in storm:
            child.kill()
            child.communicate(timeout=20 * SLOW)


WATCHER = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None)
fd = libc.inotify_init1(0)
assert libc.inotify_add_watch(fd, os.fsencode(sys.argv[1]), 0x300) >= 0
print(sorted(os.listdir(sys.argv[1])), flush=True)
while True:
    data = os.read(fd, 65536)
    while data:
        mask, length = struct.unpack_from("iIII", data)[1::2]
        print("%x %s" % (mask, data[16:16 + length].rstrip(b"\\0").decode()), flush=True)
        data = data[16 + length:]
"""


@pytest.mark.may_skip
def test_a_watcher_of_another_user(mount, make_dovecot):
    """allow_other, with the mail of another user: mounted by root, watched by nobody."""
    if os.getuid() != 0:
        pytest.skip("not root")
    server = make_dovecot({"INBOX": messages(1, 2)})
    m = mount(server, ["name=uid", "poll=0", "allow_other", "default_permissions", "uid=65534"])
    os.chmod(m.home, 0o711)
    m.list("INBOX")
    watcher = popen([sys.executable, "-c", WATCHER, m.join("INBOX")], user=65534, group=65534,
                    extra_groups=[])
    try:
        assert watcher.stdout.readline() == b"['1.eml', '2.eml']\n", watcher.stderr.read()
        server.add("INBOX", messages(3, 3))
        refresh(m, "INBOX")
        assert watcher.stdout.readline() == b"100 3.eml\n"
        server.doveadm("expunge", "-u", server.user, "mailbox", "INBOX", "uid", "1")
        refresh(m, "INBOX")
        assert watcher.stdout.readline() == b"200 1.eml\n"
    finally:
        watcher.kill()
        watcher.communicate()
    assert server.uids("INBOX") == [2, 3]
