# SPDX-License-Identifier: MIT
""".mailfs/events: a stream of what happens, for scripts."""

import errno
import json
import os
import select
import signal
import subprocess
import threading
import time

import pytest

from mailgen import Mail
from mounting import SLOW, run
from tools import files, mail, popen, raises, refresh, wait_until


def messages(first, last):
    return [Mail(mail("arrival %d" % number, 600)) for number in range(first, last + 1)]


class Stream:
    """A reader that never waits longer than it is told to."""

    def __init__(self, m):
        self.file = os.open(m.join(".mailfs", "events"), os.O_RDONLY | os.O_NONBLOCK)
        self.text = b""

    def fill(self, timeout):
        if not select.select([self.file], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self.file, 65536)
        except BlockingIOError:
            return True
        self.text += data
        return data != b""

    def take(self, count=None, timeout=15, until=None):
        """Events, in order: so many, or up to the first that `until` accepts."""
        end = time.monotonic() + timeout * SLOW
        found = []
        while not ((count is not None and len(found) >= count) or (until and found and until(found[-1]))):
            line, newline, rest = self.text.partition(b"\n")
            if newline:
                self.text = rest
                found.append(json.loads(line))
                continue
            assert time.monotonic() < end, "only these came: %r" % found
            self.fill(0.2)
        return found

    def close(self):
        os.close(self.file)


@pytest.fixture
def stream():
    made = []

    def make(m):
        made.append(Stream(m))
        return made[-1]

    yield make
    for one in made:
        one.close()


def told(events):
    return [(event["event"], event.get("folder"), event.get("uid"), event.get("name")) for event in events]


@pytest.mark.smoke
@pytest.mark.parametrize("options", [["name=uid"], []], ids=["uid", "human"])
def test_arrival_flags_and_expunge_are_told_with_names(mount, make_dovecot, stream, options):
    server = make_dovecot({"INBOX": messages(1, 3), "Trash": []})
    m = mount(server, options + ["poll=0"])
    old = {uid: os.path.basename(path) for uid, path in files(m, "INBOX").items()}
    one, two = stream(m), stream(m)
    server.add("INBOX", messages(4, 4))
    refresh(m, "INBOX")
    name = os.path.basename(files(m, "INBOX")[4])
    for reader in (one, two):  # each hears everything
        event, = reader.take(1)
        assert told([event]) == [("new", "INBOX", 4, name)]
        assert event["time"].endswith("Z")
    server.doveadm("flags", "add", "-u", server.user, "\\Flagged", "mailbox", "INBOX", "uid", "2")
    refresh(m, "INBOX")
    assert told(one.take(1)) == [("flags", "INBOX", 2, old[2])]
    server.doveadm("expunge", "-u", server.user, "mailbox", "INBOX", "uid", "3")
    refresh(m, "INBOX")
    assert told(one.take(1)) == [("expunged", "INBOX", 3, old[3])]
    # What this mount does is told as well.
    os.unlink(m.join("INBOX", old[1]))
    assert ("expunged", "INBOX", 1, old[1]) in told(one.take(until=lambda e: e["event"] == "expunged"))
    # From now on: nothing that was before.
    three = stream(m)
    assert not three.fill(0.2)


def test_folders_and_states_are_told(mount, make_dovecot, stream):
    server = make_dovecot({"INBOX": messages(1, 1), "Work": []})
    m = mount(server, ["name=uid", "poll=0"])
    reader = stream(m)
    server.doveadm("mailbox", "create", "-s", "-u", server.user, "Ümläut")
    refresh(m)
    event, = reader.take(1)
    assert (event["event"], event["folder"], event["change"]) == ("folder", "Ümläut", "new")
    server.doveadm("mailbox", "delete", "-u", server.user, "Work")
    refresh(m)
    event, = reader.take(1)
    assert (event["event"], event["folder"], event["change"]) == ("folder", "Work", "gone")
    run(["sh", "-c", "echo offline > %s" % m.join(".mailfs", "ctl")])
    event, = reader.take(1)
    assert (event["event"], event["state"]) == ("state", "offline")
    run(["sh", "-c", "echo online > %s" % m.join(".mailfs", "ctl")])
    assert reader.take(until=lambda e: e.get("state") == "online")


def test_a_shell_can_read_it_line_by_line(mount, make_dovecot):
    server = make_dovecot({"INBOX": messages(1, 1)})
    m = mount(server, ["name=uid", "poll=0"])
    m.list("INBOX")
    child = popen(["sh", "-c", 'read -r line < %s; echo "got $line"' % m.join(".mailfs", "events")])

    def deliver():
        server.add("INBOX", messages(2, 2))
        refresh(m, "INBOX")
        return child.poll() is not None
    wait_until(deliver, 20, "a line")  # the first may come before it has opened the stream
    line = child.communicate()[0].decode()
    assert line.startswith("got {") and json.loads(line[4:])["event"] == "new"


def test_reading_without_waiting_and_being_interrupted(mount, make_dovecot):
    server = make_dovecot({"INBOX": []})
    m = mount(server, ["name=uid", "poll=0", "timeout=2"])
    path = m.join(".mailfs", "events")
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    raises(errno.EAGAIN, os.read, fd, 100)
    raises(errno.ESPIPE, os.lseek, fd, 0, os.SEEK_SET)
    os.close(fd)
    raises(errno.EACCES, os.open, path, os.O_WRONLY)
    for number in (signal.SIGTERM, signal.SIGKILL):
        child = subprocess.Popen(["cat", path], stdout=subprocess.PIPE)
        time.sleep(0.3)
        assert child.poll() is None
        child.send_signal(number)
        assert child.wait(5 * SLOW) == -number
    # No deadline of a read is its deadline.
    child = subprocess.Popen(["cat", path], stdout=subprocess.PIPE)
    time.sleep(2.6)
    assert child.poll() is None
    # And the end of the mount is the end of the file.
    assert m.stop() < 5 * SLOW
    assert child.wait(5 * SLOW) in (0, 1)


@pytest.mark.deadline(120)
def test_who_is_slow_is_told_what_it_missed(mount, make_dovecot, stream):
    server = make_dovecot({"INBOX": messages(1, 1)})
    m = mount(server, ["name=uid", "poll=0"])
    m.list("INBOX")
    reader = stream(m)
    before = m.memory()
    server.halt()
    server.start()
    many = 1200
    server.add("INBOX", messages(2, many + 1))
    run(["sh", "-c", "echo online > %s" % m.join(".mailfs", "ctl")])
    refresh(m, "INBOX")
    wait_until(lambda: len(m.list("INBOX")) == many + 1, 30, "all of them")
    found = [event for event in reader.take(until=lambda e: e["event"] == "missed") if
             event["event"] != "state"]
    assert found[-1]["count"] + len(found) - 1 >= many
    news = [event["uid"] for event in found[:-1] if event["event"] == "new"]
    assert news == list(range(2, 2 + len(news)))
    assert len(news) < 1000
    assert m.memory() - before < 60e6
    # And hears of what comes after.
    server.add("INBOX", messages(1, 1))
    refresh(m, "INBOX")
    assert told(reader.take(until=lambda e: e["event"] == "new"))[-1][:2] == ("new", "INBOX")


def test_many_readers_come_and_go(mount, make_dovecot):
    server = make_dovecot({"INBOX": messages(1, 1)})
    m = mount(server, ["name=uid", "poll=0"])
    m.list("INBOX")
    path = m.join(".mailfs", "events")
    held = [os.open(path, os.O_RDONLY | os.O_NONBLOCK) for _ in range(64)]
    raises(errno.EBUSY, os.open, path, os.O_RDONLY)
    server.add("INBOX", messages(2, 2))
    refresh(m, "INBOX")
    for fd in held:
        assert b'"uid":2' in os.read(fd, 4096)
        os.close(fd)
    wait_until(lambda: run(["sh", "-c", "exec 3< %s" % path], check=False).returncode == 0, 5)


def test_it_is_not_there_without_opens(mount, make_dovecot, stream):
    """-o ro hands opens over to the kernel; a stream that was opened before goes on."""
    server = make_dovecot({"INBOX": messages(1, 40)})
    m = mount(server, ["name=uid", "ro", "poll=0"])
    reader = stream(m)
    run("cat %s/*.eml > /dev/null" % m.join("INBOX"))
    server.add("INBOX", messages(41, 41))
    os.kill(m.pid, signal.SIGUSR1)
    assert told(reader.take(until=lambda e: e["event"] == "new"))[-1][2] == 41
    reader.close()
    reader.file = os.open("/dev/null", os.O_RDONLY)

    def is_gone():
        run("cat %s/*.eml > /dev/null" % m.join("INBOX"))
        return not os.path.exists(m.join(".mailfs", "events"))
    wait_until(is_gone, 10, "a mount without opens")


def test_poll_waits_until_there_is_something(mount, imap_server):
    server = imap_server()
    m = mount(server, ["name=uid", "poll=0"])
    m.list("INBOX")
    fd = os.open(m.join(".mailfs", "events"), os.O_RDONLY | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    assert poll.poll(300) == []
    later = threading.Timer(0.3, server.account["INBOX"].add, [mail("new")])
    later.start()
    # One call, that IDLE ends: nobody looks again by the clock.
    assert poll.poll(20_000 * SLOW) == [(fd, select.POLLIN)]
    assert b'"event":"new"' in os.read(fd, 4096)
    wait_until(lambda: not poll.poll(0) or not os.read(fd, 4096), 5, "silence")
    os.close(fd)


def test_a_listener_hears_of_mail_though_nobody_ever_looked(mount, imap_server, stream):
    """A script that waits for mail on a fresh mount: INBOX becomes known for its sake."""
    server = imap_server()
    inbox = server.account["INBOX"]
    for message in messages(1, 3):
        inbox.add(message.raw)
    m = mount(server, ["name=uid", "poll=0"])
    reader = stream(m)
    m.wait_status(lambda status: "idle: INBOX" in (status["watch"] or "") and status["folders-loaded"] == 1)
    inbox.add(messages(4, 4)[0].raw)
    event = reader.take(until=lambda e: e["event"] == "new")[-1]
    assert event["uid"] == 4
