# SPDX-License-Identifier: MIT
"""Many who write at once, at random, also into each other's way: nothing is lost, nothing doubled.

On demand: MAILFS_ABUSE=25 runs it for so many seconds in each form, MAILFS_SEED=N in another order,
MAILFS_ABUSE_KEEP=DIR keeps what the server was told when it failed.
"""

import collections
import ctypes
import errno
import os
import random
import shutil
import threading
import time

import pytest

from mailgen import Mail
from tools import mail, refresh, truth, wait_until

SECONDS = float(os.environ.get("MAILFS_ABUSE", "25"))
SEED = int(os.environ.get("MAILFS_SEED", "1"))
KEEP = os.environ.get("MAILFS_ABUSE_KEEP")
CAPABILITIES = {"all": {}, "plain": {"capability": "IMAP4rev1"}}
FOLDERS = ["INBOX", "A", "B"]
LIBC = ctypes.CDLL(None, use_errno=True)
LOCK = threading.Lock()  # what is about to be removed is read first, and not while it is written


def mails(count, word):
    return [Mail(mail("%s %d" % (word, at), 400 + at), (), 1700000000 + at * 60) for at in range(1, count + 1)]


def key(raw):
    return raw.rstrip(b"\r\n")


def move(source, target):
    """Never over something."""
    if LIBC.renameat2(-100, os.fsencode(source), -100, os.fsencode(target), 1) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), source, None, target)


class Worker(threading.Thread):
    """One program that knows nothing of the others, so files may vanish under it."""

    WORK = "new new move move move name over remove chmod xattr read read touch fsyncdir folder".split()
    # A message that is being uploaded as a replacement is refused what would need it to be there.
    FINE = {errno.ENOENT, errno.ESTALE, errno.EPERM}

    def __init__(self, m, seed, end, made):
        super().__init__(daemon=True)
        self.m = m
        self.seed = seed
        self.dice = random.Random(seed)
        self.end = end
        self.made = made
        self.count = 0
        self.may_be_gone = set()
        self.unexpected = []

    def run(self):
        while time.monotonic() < self.end:
            work = self.dice.choice(self.WORK)
            try:
                getattr(self, work)()
            except OSError as error:
                # Dovecot fails, and panics, over folders that come and go under its other sessions.
                if error.errno not in self.FINE and work != "folder":
                    self.unexpected.append((time.strftime("%H:%M:%S"), work, str(error)))
            except AssertionError as error:
                self.unexpected.append((time.strftime("%H:%M:%S"), work, str(error)))

    def directory(self):
        return self.m.join(self.dice.choice(FOLDERS))

    def pick(self):
        directory = self.directory()
        names = [name for name in os.listdir(directory) if not name.startswith(".")]
        return os.path.join(directory, self.dice.choice(names or ["none"]))

    def name_of(self, letter):
        self.count += 1
        return "%s%d-%d" % (letter, self.seed, self.count)

    def new(self):
        name = self.name_of("w")
        body = mail(name, 300 + self.dice.randint(0, 3000))
        path = os.path.join(self.directory(), name + ".txt")
        with LOCK, open(path, "wb") as file:
            file.write(body)
        self.made.append(body)
        if self.dice.random() < 0.5:
            self.sync(path, os.O_RDWR)

    def sync(self, path, how):
        fd = os.open(path, how)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def lose(self, path):
        try:
            with open(path, "rb") as file:
                self.may_be_gone.add(key(file.read()))
        except FileNotFoundError:
            pass

    def move(self):
        path = self.pick()
        try:
            move(path, os.path.join(self.directory(), os.path.basename(path)))
        except FileExistsError:
            pass

    def name(self):
        path = self.pick()
        move(path, os.path.join(os.path.dirname(path), self.name_of("n")))

    def over(self):
        path, target = self.pick(), self.pick()
        with LOCK:
            self.lose(target)
            os.rename(path, target)

    def remove(self):
        path = self.pick()
        with LOCK:
            if os.getxattr(path, "user.mailfs.state") != b"server":
                self.lose(path)
            os.unlink(path)

    def chmod(self):
        os.chmod(self.pick(), self.dice.choice((0o600, 0o700)))

    def xattr(self):
        value = self.dice.choice((b"+a", b"-a", b"+b +c", b"\\Seen", b"+\\Flagged"))
        os.setxattr(self.pick(), "user.mailfs.flags", value)

    def read(self):
        with open(self.pick(), "rb") as file:
            data = file.read()
        assert data.startswith(b"From:"), data[:80]

    def touch(self):
        path = self.pick()
        os.utime(path, ns=(time.time_ns(), os.stat(path).st_mtime_ns))

    def fsyncdir(self):
        self.sync(self.directory(), os.O_RDONLY)

    def folder(self):
        """Sessions that have such a folder selected are ended by Dovecot: connections are lost as well."""
        path, message = self.m.join(self.name_of("F")), self.pick()
        os.mkdir(path)
        os.rename(path, path + "x")
        try:
            os.rename(message, os.path.join(path + "x", os.path.basename(message)))
        finally:
            os.rename(path + "x", path + "y")
            for name in os.listdir(path + "y"):
                os.rename(os.path.join(path + "y", name), self.m.join("INBOX", name + ".back"))
            os.rmdir(path + "y")


def on_server(server):
    """{message: {(folder, uid)}}."""
    found = collections.defaultdict(set)
    for folder in server.folders():
        try:
            messages = truth(server, folder)
        except RuntimeError as error:  # Dovecot lists folders of ours that are half gone, and panics over some
            assert folder.startswith("F"), error
            continue
        for uid, raw in messages.items():
            found[key(raw)].add((folder, uid))
    return found


def keep(server, m):
    if KEEP:
        shutil.copytree(os.path.join(server.home(), "dovecot.rawlog"), KEEP, dirs_exist_ok=True)
        shutil.copy(m.stderr_path(), KEEP)
        with open(os.path.join(KEEP, "reasons"), "w", encoding="utf-8") as file:
            file.write("\n".join(m.status()["reasons"]))


@pytest.mark.deadline(150 + 2 * SECONDS)
@pytest.mark.parametrize("environment", [{}, {"MAILFS_LOADED_MAX": "1"}], ids=["memory", "tiny"])
@pytest.mark.parametrize("capabilities", sorted(CAPABILITIES))
def test_writers_in_each_others_way(mount, make_dovecot, capabilities, environment):
    known = {"INBOX": mails(60, "mail"), "A": mails(10, "a"), "B": mails(10, "b")}
    server = make_dovecot({**known, "Trash": []}, **CAPABILITIES[capabilities])
    if KEEP:
        server.rawlog()
    m = mount(server, ["poll=2"], environment=environment)
    for folder in FOLDERS:
        m.list(folder)
    made = []
    end = time.monotonic() + SECONDS
    workers = [Worker(m, SEED * 100 + at, end, made) for at in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    wait_until(lambda: not m.read(".mailfs", "pending"), 60, "an empty journal")
    found = on_server(server)
    wanted = {key(one.raw) for some in known.values() for one in some} | {key(raw) for raw in made}
    lost = wanted - set(found) - set.union(*(worker.may_be_gone for worker in workers))
    double = {raw[:160]: sorted(places) for raw, places in found.items() if len(places) > 1}
    unexpected = [one for worker in workers for one in worker.unexpected]
    print("\n%d made, %d there, %d lost, %d double; unexpected: %s"
          % (len(made), len(found), len(lost), len(double), unexpected[:20]))
    for raw in lost:
        print("lost: %r" % raw[:160])
    for raw, places in double.items():
        print("double: %r in %s" % (raw, places))
    if lost or double or unexpected:
        keep(server, m)
    assert not lost and not double and not set(found) - wanted and not unexpected
    refresh(m, check=False)  # a folder that Dovecot still lists and cannot open is a failure
    for folder in [*FOLDERS, "Trash"]:
        names = [name for name in m.list(folder) if not os.path.isdir(m.join(folder, name))]
        assert len(names) == len(server.uids(folder)), folder
