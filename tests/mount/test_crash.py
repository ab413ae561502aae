# SPDX-License-Identifier: MIT
"""Killed at every state of journal and spool: a loop over the fault points of src/base/fault.h.

Each round begins anew on a real Dovecot: the daemon is told to kill itself at its Nth point, a
scenario runs into that, then a new daemon takes over what was left. What a program was told was
done is done; everything else is as before or as asked for, and nothing is there twice or not at
all. The loop ends with the first round that meets no Nth point. A build with -Dfaults=true.

Each third point, another third each day; with MAILFS_CRASH=1 all of them.
"""

import errno
import os
import signal
import subprocess
import time

import pytest

import mailgen
from tools import mail, truth, wait_until

DATE = 1700000000
DEAD = (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ESTALE, errno.EINTR)


def message(*what):
    """As a server stores it: with a line end."""
    return mail(*what).rstrip(b"\r\n") + b"\r\n"


def old(word, count=3):
    return [mailgen.Mail(message("%s %d" % (word, at), 500), (), DATE + at) for at in range(count)]


def bodies(server, folder):
    return sorted(truth(server, folder).values())


class Story:
    """One scenario: `before` fills the folders, `act` changes, `check` looks at what is left. Names
    in `done` are the steps of which the program heard that they were done."""

    options = []

    def before(self):
        return {}


class NewMessage(Story):
    data = message("new", 4000)

    def act(self, path, done):
        with open(path("new.eml"), "wb") as file:
            file.write(self.data)
        done.append("closed")

    def check(self, server, folder, path, done):
        found = bodies(server, folder)
        assert found == [self.data] if "closed" in done else found in ([], [self.data])
        if found:
            with open(path("new.eml"), "rb") as file:
                assert file.read() == self.data


class Replaced(Story):
    """An editor: a new file, renamed over a message."""
    data = message("edited", 3000)

    def before(self):
        return {"": old("old", 1)}

    def act(self, path, done):
        target = path("1.eml")
        with open(path("sedXyz"), "wb") as file:
            file.write(self.data)
        os.rename(path("sedXyz"), target)
        done.append("renamed")

    def check(self, server, folder, path, done):
        found = bodies(server, folder)
        old_one = message("old 0", 500)
        if "renamed" in done:
            assert found == [self.data]
        else:
            assert found in ([old_one], sorted([old_one, self.data]), [self.data])


class Moved(Story):
    def before(self):
        return {"": old("moved"), "/target": []}

    def act(self, path, done):
        for uid in (1, 2, 3):
            os.rename(path("%d.eml" % uid), path("target/m%d.eml" % uid))
            done.append(uid)

    def check(self, server, folder, path, done):
        source, target = bodies(server, folder), bodies(server, folder + "/target")
        assert sorted(source + target) == sorted(message("moved %d" % at, 500) for at in range(3))
        for uid in done:
            assert message("moved %d" % (uid - 1), 500) in target
        assert sorted(os.listdir(path("target"))) == sorted(
            "m%d.eml" % (at + 1) for at in range(3) if message("moved %d" % at, 500) in target)


class Removed(Story):
    options = ["delete=expunge"]

    def before(self):
        return {"": old("removed")}

    def act(self, path, done):
        for uid in (1, 3):
            os.unlink(path("%d.eml" % uid))
            done.append(uid)

    def check(self, server, folder, path, done):
        found = bodies(server, folder)
        assert message("removed 1", 500) in found
        for uid in done:
            assert message("removed %d" % (uid - 1), 500) not in found


class Flagged(Story):
    def before(self):
        return {"": old("flagged")}

    def act(self, path, done):
        for uid, flags in ((1, b"+\\Flagged"), (2, b"+work"), (1, b"-\\Flagged +\\Seen"), (3, b"+\\Seen")):
            os.setxattr(path("%d.eml" % uid), "user.mailfs.flags", flags)
            done.append((uid, flags))

    def check(self, server, folder, path, done):
        flags = server.flags(folder)
        steps = [(1, b"+\\Flagged"), (2, b"+work"), (1, b"-\\Flagged +\\Seen"), (3, b"+\\Seen")]
        possible = []
        for count in range(len(done), len(steps) + 1):
            state = {1: set(), 2: set(), 3: set()}
            for uid, edit in steps[:count]:
                for word in edit.decode().split():
                    (state[uid].add if word[0] == "+" else state[uid].discard)(word[1:])
            possible.append({uid: frozenset(words) for uid, words in state.items()})
        assert flags in possible, (flags, done)


STORIES = {"new": NewMessage, "replaced": Replaced, "moved": Moved, "removed": Removed,
           "flagged": Flagged}
CAPS = {"all": {}, "plain": {"capability": "IMAP4rev1"}}


def has_faults(binary):
    with open(binary, "rb") as file:
        return b"MAILFS_FAULT" in file.read()


def is_dead(m, seconds=5):
    """What failed may have failed because it was just dying."""
    try:
        wait_until(lambda: not m.is_running(), seconds, "death")
    except AssertionError:
        return False
    return True


def dies_when_stopped(m):
    """Points are met by the unmount as well."""
    try:
        m.stop()
    except AssertionError:
        if m.process.poll() != -signal.SIGKILL:
            raise
        return True
    return False


def round_of(story, server, mount, number):
    """One round; True: the point was met."""
    folder = "Round%d" % number
    for name, content in story.before().items():
        server.add(folder + name, content)
    if not story.before():
        server.add(folder, [])
    options = ["name=uid"] + story.options
    m = mount(server, options, start=False)
    notes = os.path.join(m.home, "faults")
    m.environment = {"MAILFS_FAULT": "kill:%d" % number, "MAILFS_FAULT_NOTES": notes,
                     "MAILFS_UPLOAD_DELAY_MS": "50"}
    m.start()
    done = []

    def path(name):
        return m.join(folder, name)

    m.asked_to_die = True  # it may kill itself at any moment
    try:
        story.act(path, done)
        wait_until(lambda: not m.is_running() or not m.read(".mailfs", "pending"), 20, "the end")
    except OSError as error:
        assert error.errno in DEAD and is_dead(m), error
    except (AssertionError, subprocess.TimeoutExpired):
        if not is_dead(m):
            raise
    was_met = not m.is_running() or dies_when_stopped(m)
    if was_met:
        m.kill9()
    m.environment = {"MAILFS_UPLOAD_DELAY_MS": "50"}
    m.start()
    wait_until(lambda: not m.read(".mailfs", "pending") or
               all(b"\tdraft\t" in line for line in m.read(".mailfs", "pending").splitlines()),
               20, "an empty journal")
    try:
        story.check(server, folder, path, done)
    except (AssertionError, OSError) as error:
        with open(notes, encoding="utf-8") as file:
            raise AssertionError("killed at:\n%s\ndone: %s\n%s" %
                                 (file.read(), done, error)) from error
    m.stop()
    return was_met


def each_number(one_round):
    """Rounds until one meets nothing."""
    step = 1 if os.environ.get("MAILFS_CRASH") else 3
    number = 1 + int(time.time() / 86400) % step
    while one_round(number):
        number += step
    assert number > 5, "only %d points" % (number - step)


@pytest.mark.deadline(400)
@pytest.mark.parametrize("caps", sorted(CAPS))
@pytest.mark.parametrize("name", sorted(STORIES))
def test_killed_at_every_point(mount, make_dovecot, mailfs_binary, name, caps):
    assert has_faults(mailfs_binary), "built without -Dfaults=true"
    server = make_dovecot({"INBOX": [], "Trash": []}, **CAPS[caps])
    each_number(lambda number: round_of(STORIES[name](), server, mount, number))
