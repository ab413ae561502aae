# SPDX-License-Identifier: MIT
"""The disk is full at every write of spool, journal and cache: a loop over them, one at a time.

What a program was told was done is done, once; what it was told had failed can be done again when
there is space; the daemon goes on, and so does what was cached. Then a new daemon shows the same.
The writes are counted by src/base/fault.h: a build with -Dfaults=true. How many: as test_crash.py.
"""

import errno
import os

import pytest

from test_crash import CAPS, bodies, each_number, has_faults, message, old
from tools import wait_until

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def again(step, undo=lambda: None):
    """Once is the disk full; then there is space again."""
    try:
        step()
    except OSError as error:
        assert error.errno in FULL, error
        undo()
        step()


def forget(path):
    if os.path.exists(path):
        os.unlink(path)


def write(path, data):
    with open(path, "wb", buffering=0) as file:
        for at in range(0, len(data), 1500):
            file.write(data[at : at + 1500])


class NewMessage:
    data = message("new", 4000)
    before = {"": old("cached", 1)}

    def act(self, path):
        with open(path("1.eml"), "rb") as file:
            assert file.read() == message("cached 0", 500)
        again(lambda: write(path("new.eml"), self.data), lambda: forget(path("new.eml")))

    def check(self, server, folder, path):
        assert bodies(server, folder) == sorted([message("cached 0", 500), self.data])
        with open(path("new.eml"), "rb") as file:
            assert file.read() == self.data
        with open(path("1.eml"), "rb") as file:
            assert file.read() == message("cached 0", 500)


class LineEnds(NewMessage):
    """Its wire form is another file."""
    data = message("new", 4000).replace(b"\r\n", b"\n")

    def check(self, server, folder, path):
        sent = self.data.replace(b"\n", b"\r\n")
        assert bodies(server, folder) == sorted([message("cached 0", 500), sent])
        assert os.path.exists(path("new.eml"))


class Replaced:
    data = message("edited", 3000)
    before = {"": old("old", 1)}

    def act(self, path):
        again(lambda: write(path("sedXyz"), self.data), lambda: forget(path("sedXyz")))
        again(lambda: os.rename(path("sedXyz"), path("1.eml")))

    def check(self, server, folder, path):
        assert bodies(server, folder) == [self.data]
        assert os.listdir(path("")) == ["1.eml"]


class Moved:
    before = {"": old("moved"), "/target": []}

    def act(self, path):
        for uid in (1, 2, 3):
            again(lambda uid=uid: os.rename(path("%d.eml" % uid), path("target/m%d.eml" % uid)))

    def check(self, server, folder, path):
        assert bodies(server, folder) == []
        assert bodies(server, folder + "/target") == sorted(message("moved %d" % at, 500)
                                                            for at in range(3))
        assert sorted(os.listdir(path("target"))) == ["m1.eml", "m2.eml", "m3.eml"]


class Removed:
    options = ["delete=expunge"]
    before = {"": old("removed")}

    def act(self, path):
        for uid in (1, 3):
            again(lambda uid=uid: os.unlink(path("%d.eml" % uid)))

    def check(self, server, folder, path):
        assert bodies(server, folder) == [message("removed 1", 500)]
        assert os.listdir(path("")) == ["2.eml"]


class Flagged:
    before = {"": old("flagged")}

    def act(self, path):
        for uid, flags in ((1, b"+\\Flagged"), (2, b"+work"), (1, b"-\\Flagged +\\Seen")):
            again(lambda uid=uid, flags=flags: os.setxattr(path("%d.eml" % uid),
                                                           "user.mailfs.flags", flags))

    def check(self, server, folder, path):
        assert server.flags(folder) == {1: frozenset(["\\Seen"]), 2: frozenset(["work"]),
                                        3: frozenset()}


STORIES = {"new": NewMessage, "line-ends": LineEnds, "replaced": Replaced, "moved": Moved,
           "removed": Removed, "flagged": Flagged}


def writes(notes):
    with open(notes, encoding="utf-8") as file:
        return [line for line in file if line.startswith("full ")]


def is_settled(m):
    return not m.read(".mailfs", "pending")


def round_of(story, server, mount, number):
    """One round; True: there was such a write."""
    folder = "Round%d" % number
    for name, content in story.before.items():
        server.add(folder + name, content)
    m = mount(server, ["name=uid"] + getattr(story, "options", []), start=False)
    notes = os.path.join(m.home, "faults")
    m.environment = {"MAILFS_FAULT": "full:%d" % number, "MAILFS_FAULT_NOTES": notes,
                     "MAILFS_UPLOAD_DELAY_MS": "100"}

    def path(name):
        return m.join(folder, name)

    def check():
        wait_until(lambda: is_settled(m), 20, "an empty journal")
        try:
            story.check(server, folder, path)
        except (AssertionError, OSError) as error:
            raise AssertionError("full at %s%s" % (writes(notes)[number - 1 : number], error)) from error

    m.start()
    story.act(path)
    check()
    m.stop()
    was_met = len(writes(notes)) >= number
    m.environment = {}
    m.start()
    check()
    m.stop()
    return was_met


@pytest.mark.deadline(300)
@pytest.mark.parametrize("caps", sorted(CAPS))
@pytest.mark.parametrize("name", sorted(STORIES))
def test_F_1_full_at_every_write(mount, make_dovecot, mailfs_binary, name, caps):
    assert has_faults(mailfs_binary), "built without -Dfaults=true"
    server = make_dovecot({"INBOX": [], "Trash": []}, **CAPS[caps])
    each_number(lambda number: round_of(STORIES[name](), server, mount, number))
