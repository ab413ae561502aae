# SPDX-License-Identifier: MIT
"""A network that breaks at random while everything is in use: no wrong byte, no hang, no leak.

On demand: MAILFS_SOAK=600 runs it for ten minutes, MAILFS_SEED=N breaks it in another order.
"""

import hashlib
import io
import os
import random
import tarfile
import threading
import time

import pytest

from mailgen import Mail
from mounting import SLOW, run
from tools import mail, refresh, truth, wait_until

SECONDS = float(os.environ.get("MAILFS_SOAK", "15"))
SEED = int(os.environ.get("MAILFS_SEED", "4711"))
TIMEOUT = 4  # of reads and of a silent server
BACK = 5     # after the end of a fault; plus TIMEOUT where only silence tells of it


class Proving:
    """What the server has, or had: {(folder, uid): SHA-256}; and what was wrong."""

    def __init__(self, server):
        self.server = server
        self.sums = {}
        self.wrong = []
        self.good = 0

    def learn(self, folder):
        for uid, data in truth(self.server, folder).items():
            self.sums[folder, uid] = hashlib.sha256(data).hexdigest()

    def check(self, folder, uid, data):
        self.good += 1
        if hashlib.sha256(data).hexdigest() != self.sums.get((folder, uid)):
            self.wrong.append("%s/%d: %d bytes of something else" % (folder, uid, len(data)))


class Worker(threading.Thread):
    """Does one thing again and again; whatever it raises is a complaint."""

    def __init__(self, work, stop):
        super().__init__(daemon=True)
        self.work = work
        self.stop = stop
        self.rounds = 0
        self.complaint = None

    def run(self):
        try:
            while not self.stop.is_set():
                self.work(self.rounds)
                self.rounds += 1
        except BaseException as error:  # a failed assertion, too
            self.complaint = "%s: %r" % (self.work.__name__, error)


class Chaos:
    """Faults of a network, by a seed. Each returns how long the mount may need afterwards."""

    def __init__(self, proxy, seed):
        self.proxy = proxy
        self.random = random.Random(seed)
        self.seen = []

    def drop(self):
        self.proxy.drop(self.random.choice(["rst", "fin"]))
        return BACK

    def drop_one(self):
        living = self.proxy.open_connections()
        if living:
            self.random.choice(living).end(self.random.choice(["rst", "fin"]))
        return BACK

    def stall(self):
        self.proxy.drop("hang")
        return BACK + 2 * TIMEOUT

    def half_close(self):
        for connection in self.proxy.open_connections():
            if connection.server:
                connection._half_close("up", connection.server)
        return BACK + 2 * TIMEOUT

    def refuse(self):
        self.proxy.refuse = True
        self.proxy.drop("rst")
        time.sleep(self.random.uniform(0.1, 1.2))
        return BACK

    def silence(self):
        self.proxy.blackhole = True
        self.proxy.drop("rst")
        time.sleep(self.random.uniform(0.1, 1.0))
        return BACK + 2 * TIMEOUT

    def cut(self):
        self.proxy.down.cut = (self.random.randint(10, 60000), self.random.choice(["rst", "fin", "hang"]))
        self.proxy.drop("rst")
        time.sleep(self.random.uniform(0.5, 1.5))
        self.proxy.drop("rst")
        return BACK + 2 * TIMEOUT

    def slow(self):
        self.proxy.down.delay = self.random.uniform(0.02, 0.2)
        self.proxy.down.piece = self.random.choice([0, 1, 100])
        self.proxy.drop("fin")
        time.sleep(self.random.uniform(0.5, 1.5))
        return BACK + 2 * TIMEOUT

    def one(self):
        fault = self.random.choice([self.drop, self.drop_one, self.stall, self.half_close, self.refuse,
                                    self.silence, self.cut, self.slow])
        self.seen.append(fault.__name__)
        patience = fault()
        self.heal()
        return patience

    def heal(self):
        self.proxy.refuse = self.proxy.blackhole = False
        self.proxy.down.cut = None
        self.proxy.down.delay = 0
        self.proxy.down.piece = 0


def fds_of(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def cat(m, folder, uid):
    """The bytes, or None."""
    done = run(["cat", m.join(folder, "%d.eml" % uid)], 5 * TIMEOUT, check=False)
    return done.stdout if done.returncode == 0 else None


def make_workers(m, server, proving, stop, seed):
    dice = random.Random(seed + 1)
    lock = threading.Lock()

    def grep(_round):
        run("grep -rc budget %s %s >/dev/null 2>&1" % (m.join("INBOX"), m.join("Work")), 150, check=False)

    def tar(_round):
        done = run(["tar", "-C", m.path, "-cf", "-", "Work"], 150, check=False)
        if done.returncode != 0:
            return
        for member in tarfile.open(fileobj=io.BytesIO(done.stdout)):
            if member.isfile():
                data = done.stdout[member.offset_data:member.offset_data + member.size]
                proving.check("Work", int(os.path.basename(member.name)[:-4]), data)

    def read(_round):
        with lock:
            folder, uid = dice.choice(sorted(proving.sums))
        data = cat(m, folder, uid)
        if data is not None:
            proving.check(folder, uid, data)

    def deliver(round_):
        data = mail("delivery %d" % round_, 200 + dice.randint(0, 30000))
        # Known before anybody can see it: the next UID is the highest one and one.
        with lock:
            uid = max(uid for folder, uid in proving.sums if folder == "INBOX") + 1
            proving.sums["INBOX", uid] = hashlib.sha256(data).hexdigest()
        assert server.add("INBOX", [Mail(data)]) == [uid]
        stop.wait(0.2)

    def expunge(round_):
        uids = server.uids("INBOX")
        if len(uids) > 20:
            server.doveadm("expunge", "-u", server.user, "mailbox", "INBOX", "uid", str(uids[round_ % 10]))
        stop.wait(0.3)

    def look(_round):
        """What is in memory never waits for the network."""
        begin = time.monotonic()
        run(["stat", m.join("Work", "1.eml"), m.join(".mailfs", "status")], 20)
        assert time.monotonic() - begin < 5 * SLOW
        refresh(m, check=False)
        stop.wait(0.2)

    return [Worker(work, stop) for work in (grep, tar, read, deliver, expunge, look)]


@pytest.mark.deadline(240 + 3 * SECONDS)
def test_CN_1_CN_4_network_that_breaks_at_random(mount, make_dovecot, make_proxy):
    server = make_dovecot({
        "INBOX": [Mail(mail("first %d" % at, 300 * at)) for at in range(1, 41)],
        "Work": [Mail(mail("work %d" % at, 9000 if at % 7 else 400_000)) for at in range(1, 61)],
        "Probe": [Mail(mail("probe %d" % at, 2000)) for at in range(1, 401)],
    })
    proving = Proving(server)
    for folder in ("INBOX", "Work", "Probe"):
        proving.learn(folder)
    proxy = make_proxy(server.imaps_port)
    m = mount(server, ["name=uid", "timeout=%d" % TIMEOUT, "poll=1"], port=proxy.port)
    for folder in ("INBOX", "Work", "Probe"):
        m.list(folder)
    fds = fds_of(m.pid)
    stop = threading.Event()
    chaos = Chaos(proxy, SEED)
    workers = make_workers(m, server, proving, stop, SEED)
    probe = 0
    for worker in workers:
        worker.start()
    end = time.monotonic() + SECONDS
    try:
        while time.monotonic() < end and not any(worker.complaint for worker in workers):
            patience = chaos.one()
            probe = probe % 400 + 1
            healed = time.monotonic()
            while True:
                data = cat(m, "Probe", probe)
                if data is not None:
                    break
                # Four times what an idle machine needs: the others load this one.
                assert time.monotonic() - healed < 4 * patience * SLOW, \
                    "not back after %s (seed %d)" % (chaos.seen[-5:], SEED)
                time.sleep(0.1)
            proving.check("Probe", probe, data)
    finally:
        stop.set()
        chaos.heal()
        for worker in workers:
            worker.join(180 * SLOW)
    assert [worker.complaint for worker in workers if worker.complaint] == []
    assert not any(worker.is_alive() for worker in workers), "a worker hangs"
    assert all(worker.rounds > 0 for worker in workers), [worker.rounds for worker in workers]
    # Peace: all of it, exactly.
    m.wait_status(lambda status: status["state"] == "online", 60)
    wait_until(lambda: refresh(m, "INBOX", check=False) and
               m.list("INBOX") == sorted("%d.eml" % uid for uid in server.uids("INBOX")), 60, "the truth")
    for uid, data in truth(server, "INBOX").items():
        assert m.read("INBOX", "%d.eml" % uid, timeout=60) == data
    assert proving.wrong == [] and proving.good > 10
    # What is left open: no connection, file or memory more than before.
    def living():
        return [one for one in proxy.open_connections() if one.server and not one.hanging]
    wait_until(lambda: m.status()["connections"] == len(living()) <= 3, 60, "few connections")
    wait_until(lambda: fds_of(m.pid) <= fds + 12, 30, "few files")  # 2 connections, some cached files
    assert m.memory() < 200e6
    assert m.stop() < 5 * SLOW
