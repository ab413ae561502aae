# SPDX-License-Identifier: MIT
"""All that makes the kernel forget meets all that asks it: nobody waits for ever, nothing is missed.

    MAILFS_STORM=60 pytest -s test_storms.py     # a minute in place of some seconds
"""

import glob
import os
import random
import subprocess
import sys
import threading
import time

import pytest

from mailgen import Mail
from mounting import SLOW
from tools import mail, refresh, truth, wait_until

SECONDS = float(os.environ.get("MAILFS_STORM", "5"))
SEED = int(os.environ.get("MAILFS_SEED", "4711"))
KINDS = ["lookups", "lookups", "lists", "reads", "changes", "changes"]
STUCK = 3  # seconds of uninterruptible sleep, without a single wake-up

# Each is a loop for ever; its rounds go to standard output, a byte each.
CHILD = r"""
import ctypes, os, random, sys, time
kind, root, seed = sys.argv[1:]
dice = random.Random(seed)
libc = ctypes.CDLL(None)
buffer = ctypes.create_string_buffer(512)
folders = [root + "/INBOX", root + "/Other"]

def name():
    return "%s/%d.eml" % (dice.choice(folders), dice.randint(1, 600))

def lookups():
    for _ in range(200):
        libc.statx(-100, name().encode(), 0x2000, 0x7ff, buffer)

def lists():
    for folder in folders:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    entry.stat()
                except OSError:
                    pass

def reads():
    for _ in range(20):
        with open(name(), "rb") as file:
            time.sleep(0.001)
            file.read()

def changes():
    path = name()
    what = dice.choice(["move", "move", "remove", "flag", "new", "folder"])
    if what == "move":
        os.rename(path, dice.choice(folders) + "/" + os.path.basename(path))
    elif what == "remove":
        os.unlink(path)
    elif what == "flag":
        os.setxattr(path, "user.mailfs.flags", dice.choice([b"+storm", b"-storm"]))
    elif what == "new":
        with open("%s/new-%s-%d.eml" % (dice.choice(folders), seed, dice.randint(1, 10**9)), "wb") as file:
            file.write(b"Subject: new\r\n\r\n%d\r\n" % dice.randint(1, 10**9))
    else:
        os.mkdir(root + "/F" + seed)
        os.rmdir(root + "/F" + seed)

while True:
    try:
        {"lookups": lookups, "lists": lists, "reads": reads, "changes": changes}[kind]()
    except OSError:
        pass
    os.write(1, b".")
"""


def storm_of(client, stop, dice, counts):
    """Another client: flags of all, expunges, new ones."""
    while not stop.is_set():
        for folder in ("INBOX", "Other"):
            client.select(folder)
            kind = "+FLAGS" if dice.random() < 0.5 else "-FLAGS"
            client.store("1:*", kind, "(wind)")
            uids = client.uid("SEARCH", "ALL")[1][0].split()
            for uid in dice.sample(uids, min(len(uids) // 2, 10)):
                client.uid("STORE", uid, "+FLAGS", "(\\Deleted)")
            client.expunge()
            for _ in range(12):
                client.append(folder, None, None, mail("storm %d" % dice.randint(1, 10**9), 700))
            counts[0] += 1
    client.logout()


class Sleepers:
    """Who sleeps and cannot be woken: {task: (wake-ups so far, since when)}."""

    def __init__(self):
        self.since = {}
        self.longest = 0.0

    def look(self, pids):
        now = time.monotonic()
        for task in [task for pid in pids for task in glob.glob("/proc/%d/task/*" % pid)]:
            try:
                with open(task + "/status", encoding="utf-8", errors="replace") as file:
                    lines = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
            except (FileNotFoundError, ProcessLookupError):
                continue
            wakes = lines["voluntary_ctxt_switches"]
            if not lines["State"].startswith("D"):
                self.since.pop(task, None)
            elif self.since.get(task, ("", 0))[0] != wakes:
                self.since[task] = (wakes, now)
            else:
                self.longest = max(self.longest, now - self.since[task][1])


def begin(kind, m, seed, rounds):
    with open(rounds, "wb") as file:
        return subprocess.Popen([sys.executable, "-c", CHILD, kind, m.path, str(seed)],
                                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.DEVNULL)


def agrees(m, server, folder):
    """Is the listing as long as the server's, and every tenth message there?"""
    known = set(truth(server, folder).values())
    names = m.list(folder)
    return len(names) == len(server.uids(folder)) and \
        all(m.read(folder, name) in known for name in names[::10])


@pytest.mark.deadline(90 + 2 * SECONDS)
def test_KC_2_invalidations_lookups_and_expunges_together(mount, make_dovecot, tmp_path):
    server = make_dovecot({folder: [Mail(mail("%s %d" % (folder, at), 700)) for at in range(1, 301)]
                           for folder in ("INBOX", "Other")})
    m = mount(server, ["name=uid", "poll=1", "delete=expunge"])
    for folder in ("INBOX", "Other"):
        m.list(folder)
    stop, counts = threading.Event(), [0]
    client = threading.Thread(target=storm_of, daemon=True,
                              args=(server.connect(), stop, random.Random(SEED), counts))
    children = [begin(kind, m, at, tmp_path / ("%d %s" % (at, kind))) for at, kind in enumerate(KINDS)]
    client.start()
    sleepers = Sleepers()
    end = time.monotonic() + SECONDS
    refreshes = 0
    try:
        while time.monotonic() < end:
            sleepers.look([m.pid] + [child.pid for child in children])
            refreshes += refresh(m, check=False)
            time.sleep(0.1)
    finally:
        stop.set()
        client.join(30 * SLOW)
        for child in children:
            child.kill()
        for child in children:
            child.wait(5 * SLOW)  # what sleeps in the kernel would not die
    rounds = {path.name: path.stat().st_size for path in sorted(tmp_path.iterdir())}
    busy = m.status()["loop-longest-ms"]
    print("\nrounds %s, of the other client %d, refreshes %d; longest D state %.2f s, loop busy %d ms"
          % (rounds, counts[0], refreshes, sleepers.longest, busy))
    assert not client.is_alive() and counts[0] > 0 and refreshes > 0 and all(rounds.values())
    assert sleepers.longest < STUCK * SLOW
    assert busy < 1000 * SLOW
    wait_until(lambda: not m.read(".mailfs", "pending"), 30, "an empty journal")
    for folder in ("INBOX", "Other"):
        wait_until(lambda folder=folder: refresh(m, folder, check=False) and agrees(m, server, folder),
                   20, "the truth of " + folder)
    assert m.stop() < 5 * SLOW
