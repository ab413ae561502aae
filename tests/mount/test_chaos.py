# SPDX-License-Identifier: MIT
"""A network that breaks at random while everything is in use: no wrong byte, no hang, no leak.

    MAILFS_SOAK=600 MAILFS_SEED=7 pytest -s test_chaos.py     # ten minutes, faults in another order

What it found is printed: faults, how long after each kind the mount was back, slowest calls.
"""

import collections
import errno
import hashlib
import io
import os
import random
import re
import tarfile
import threading
import time

import pytest

from caller import Caller
from mailgen import Mail
from mounting import SLOW, run
from tools import mail, refresh, resources, truth, wait_until

SECONDS = float(os.environ.get("MAILFS_SOAK", "60"))
SEED = int(os.environ.get("MAILFS_SEED", "4711"))
TIMEOUT = 4  # of reads, and of a silent server
BACK = 5     # so long after the end of a fault the mount may need
LOCAL = 1    # what needs no network
PROBES = 1500
WORD = b"budget"


def post(subject, size):
    """A message of whole lines: what follows a bare CR is the server's to decide."""
    return mail(subject, size).rstrip(b"\r\n") + b"\r\n"


class Truth:
    """What the server has, or had: {folder: {uid: SHA-256}}; and what was found otherwise."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sums = collections.defaultdict(dict)
        self.words = {}  # of Work: {uid: lines with the word}
        self.gone = set()  # UIDs of INBOX that may be gone
        self.wrong = []
        self.good = collections.Counter()

    def learn(self, server, folder):
        for uid, data in truth(server, folder).items():
            self.sums[folder][uid] = hashlib.sha256(data).hexdigest()
            if folder == "Work":
                self.words[uid] = sum(WORD in line for line in data.split(b"\n"))

    def is_true(self, folder, uid, data):
        return self.sums[folder].get(uid) == hashlib.sha256(data).hexdigest()

    def check(self, how, folder, uid, data):
        self.good[how] += 1
        if not self.is_true(folder, uid, data):
            self.wrong.append("%s: %s/%d: %d bytes of something else: %r ... %r"
                              % (how, folder, uid, len(data), data[:200], data[-80:]))


class Worker(threading.Thread):
    """Does one thing again and again; whatever it raises is a complaint."""

    def __init__(self, work, stop, pause):
        super().__init__(daemon=True)
        self.work = work
        self.stop = stop
        self.pause = pause
        self.rounds = 0
        self.complaint = None

    def run(self):
        try:
            while not self.stop.is_set():
                self.work(self.rounds)
                self.rounds += 1
                self.stop.wait(self.pause)
        except BaseException as error:  # a failed assertion, too
            self.complaint = "%s: %r" % (self.work.__name__, error)


class Chaos:
    """Faults of a network, by a seed. Each returns when it is over, and says whether the mount can
    know of it only by the silence of connections that are dead."""

    def __init__(self, proxy, seed):
        self.proxy = proxy
        self.random = random.Random(seed)
        self.kinds = [self.reset, self.end, self.end_one, self.stall, self.hang, self.hang_one, self.half_up,
                      self.half_down, self.refuse, self.away, self.silence, self.cut, self.slow]
        self.deck = []

    def last(self):
        """Mostly short, now and then longer than any deadline."""
        time.sleep(self.random.uniform(4, 9) if self.random.random() < 0.1 else self.random.uniform(0.1, 1.2))

    def reset(self):
        self.proxy.drop("rst")

    def end(self):
        self.proxy.drop("fin")

    def some(self):
        living = self.proxy.open_connections()
        return self.random.sample(living, min(len(living), 1))

    def end_one(self):
        for one in self.some():
            one.end(self.random.choice(["rst", "fin"]))

    def stall(self):
        self.proxy.is_paused = True
        self.last()
        self.proxy.is_paused = False

    def hang(self):
        self.proxy.drop("hang")
        return True

    def hang_one(self):
        for one in self.some():
            one.end("hang")
        return True

    def half_up(self):
        for one in self.proxy.open_connections():
            one.half_close("up")

    def half_down(self):
        for one in self.proxy.open_connections():
            one.half_close("down")

    def refuse(self):
        self.proxy.refuse = True
        self.proxy.drop("rst")
        self.last()
        self.proxy.refuse = False

    def away(self):
        self.proxy.close_listener()
        self.proxy.drop("fin")
        self.last()
        self.proxy.start()

    def silence(self):
        self.proxy.blackhole = True
        self.proxy.drop("rst")
        self.last()
        self.proxy.blackhole = False
        return True

    def cut(self):
        how = self.random.choice(["rst", "fin", "hang"])
        self.proxy.down.cut = (self.random.randint(10, 100000), how)
        if self.random.random() < 0.3:
            self.proxy.up.cut = (self.random.randint(10, 5000), how)
        self.proxy.drop("rst")
        self.last()
        self.proxy.down.cut = self.proxy.up.cut = None
        for one in self.proxy.open_connections():
            one.settings_down.cut = one.settings_up.cut = None
        return how == "hang"

    def slow(self):
        delay, piece = self.random.uniform(0.02, 0.3), self.random.choice([0, 500])
        for settings in [self.proxy.down] + [one.settings_down for one in self.proxy.open_connections()]:
            settings.delay, settings.piece = delay, piece
        self.last()
        for settings in [self.proxy.down] + [one.settings_down for one in self.proxy.open_connections()]:
            settings.delay, settings.piece = 0, 0

    def one(self):
        """Each kind comes as often as the others. (its name, only silence tells of it)."""
        if not self.deck:
            self.deck = self.random.sample(self.kinds, len(self.kinds))
        fault = self.deck.pop()
        return fault.__name__, bool(fault())


class Life:
    """What people, programs and other clients do with the mount meanwhile."""

    def __init__(self, m, server, known, seed):
        self.m = m
        self.server = server
        self.known = known
        self.random = random.Random(seed)
        self.seen = set()
        self.slowest = {}
        self.errors = collections.Counter()

    def ask(self, caller, limit, *order):
        answer = caller.ask(*order, limit=60 + 30 * SLOW)
        kind = "%s/%s" % (order[0], answer.call)
        self.slowest[kind] = max(self.slowest.get(kind, 0), answer.seconds)
        self.errors[errno.errorcode.get(answer.errno, "OK")] += 1
        assert answer.seconds < limit, "%r: %r" % (order, answer)
        return answer

    def read(self, caller, how, folder, uid):
        """True: it could be read; then it is exact."""
        # A call may need its deadline, and what a loaded machine adds.
        answer = self.ask(caller, TIMEOUT + 3 * SLOW, "read", self.m.join(folder, "%d.eml" % uid))
        if answer.errno == 0:
            self.known.check(how, folder, uid, answer.data)
        else:
            allowed = (errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.ENOENT, errno.ESTALE)
            assert answer.errno in allowed, "%s/%d: %r" % (folder, uid, answer)
        return answer.errno == 0

    def grep(self, _round):
        done = run(["grep", "-rc", WORD.decode(), self.m.join("Work")], 200, check=False)
        failed = done.stderr.decode()
        for uid, count in re.findall(rb"/(\d+)\.eml:(\d+)$", done.stdout, re.M):
            if "/%d.eml:" % int(uid) in failed:
                continue
            self.known.good["grep"] += 1
            if self.known.words[int(uid)] != int(count):
                self.known.wrong.append("grep: Work/%s: %s lines" % (uid.decode(), count.decode()))

    def tar(self, _round):
        done = run(["tar", "-C", self.m.path, "-cf", "-", "Work"], 200, check=False)
        failed = done.stderr.decode()
        if not done.stdout:
            return
        for member in tarfile.open(fileobj=io.BytesIO(done.stdout)):
            if member.isfile() and "/%s:" % os.path.basename(member.name) not in failed:
                data = done.stdout[member.offset_data:member.offset_data + member.size]
                self.known.check("tar", "Work", int(os.path.basename(member.name)[:-4]), data)

    def deliver(self, round_):
        data = post("delivery %d" % round_, 400 + self.random.randint(0, 20000))
        # Known before anybody can see it: the next UID is the highest one and one.
        uid = max(self.known.sums["INBOX"]) + 1
        self.known.sums["INBOX"][uid] = hashlib.sha256(data).hexdigest()
        assert self.server.add("INBOX", [Mail(data)]) == [uid]

    def expunge(self, round_):
        living = sorted(set(self.known.sums["INBOX"]) - self.known.gone)
        if len(living) > 20:
            uid = living[round_ % 10]
            self.known.gone.add(uid)
            self.server.doveadm("expunge", "-u", self.server.user, "mailbox", "INBOX", "uid", str(uid))

    def read_any(self, caller):
        """A reader of what is in the cache, or just fell out of it."""
        def read(_round):
            folder = self.random.choice(["INBOX", "Work"])
            self.read(caller, "read", folder, self.random.choice(sorted(self.known.sums[folder])))
        return read

    def look(self, caller):
        """What is in memory never waits for the network; what is there stays there."""
        def look(round_):
            self.ask(caller, LOCAL * SLOW, "look", self.m.join("Work"), "%d.eml" % (round_ % 60 + 1))
            before = self.known.gone.copy()
            names = self.ask(caller, LOCAL * SLOW, "look", self.m.path, "INBOX").data
            assert {"INBOX", "Work", "Probe"} <= set(names or ["INBOX", "Work", "Probe"]), names
            listed = {int(name[:-4]) for name in os.listdir(self.m.join("INBOX"))}
            assert listed <= set(self.known.sums["INBOX"]), "messages that never were"
            assert not self.seen - listed - self.known.gone, "messages that are there, and not listed"
            self.seen |= listed - before
            if round_ % 8 == 0:
                refresh(self.m, check=False)
        return look

    def forget(self, caller):
        def forget(_round):
            caller.ask("forget", self.m.join("Work"), limit=200)
        return forget


def make_server(make_dovecot, known):
    server = make_dovecot({
        "INBOX": [Mail(post("first %d" % at, 300 * at)) for at in range(1, 41)],
        "Work": [Mail(post("work %d" % at, 9000 if at % 7 else 150_000)) for at in range(1, 61)],
        "Probe": [Mail(post("probe %d" % at, 2000)) for at in range(1, PROBES + 1)],
    }, max_userip=1000)
    for folder in ("INBOX", "Work", "Probe"):
        known.learn(server, folder)
    return server


def break_it(life, chaos, caller, workers):
    """{fault: seconds until the mount was back, each time}."""
    back = collections.defaultdict(list)
    probe = 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and not any(worker.complaint for worker in workers):
        name, is_silent = chaos.one()
        healed = time.monotonic()
        allowed = (BACK + (TIMEOUT if is_silent else 0)) * SLOW
        probe = probe % PROBES + 1
        while not life.read(caller, "probe", "Probe", probe):
            assert time.monotonic() - healed < allowed, "not back after %s (seed %d)" % (name, SEED)
            time.sleep(0.05)
        back[name].append(time.monotonic() - healed)
        time.sleep(0.3)
    return back


def costs(m):
    """What faults may have cost: threads, and open files by kind. Cached bodies are kept open."""
    threads, kinds = resources(m)
    bodies = sum(count for kind, count in kinds.items() if "/bodies/" in kind)
    assert bodies <= 200, "%d bodies are kept open" % bodies
    return collections.Counter({"threads": threads}) + \
        collections.Counter({kind: count for kind, count in kinds.items() if "/bodies/" not in kind})


def end_in_peace(m, server, proxy, known, idle):
    """All is as the server has it, and what the faults cost is given back."""
    m.wait_status(lambda status: status["state"] == "online", 30)
    wait_until(lambda: refresh(m, "INBOX", check=False) and
               m.list("INBOX") == sorted("%d.eml" % uid for uid in server.uids("INBOX")), 30, "the truth")
    for folder in ("INBOX", "Work"):
        for uid, data in truth(server, folder).items():
            assert known.is_true(folder, uid, data), "the test is wrong about %s/%d" % (folder, uid)
            assert m.read(folder, "%d.eml" % uid, timeout=60) == data
    status = m.status()
    assert status["waiting"] == 0

    def is_idle():
        # Dead ones that nobody has asked for anything go by their keepalive.
        refresh(m, check=False)
        return len(proxy.open_connections()) <= 3 and not costs(m) - idle
    wait_until(is_idle, 20, "idleness: %s, and %d connections" % (costs(m) - idle, len(proxy.open_connections())))


def read_offline(m, proxy, known):
    """What is in the cache after all this is exact, too. How much there was."""
    proxy.close_listener()
    proxy.drop("rst")
    m.remount()
    count = 0
    with Caller() as caller:
        for folder in ("INBOX", "Work"):
            for name in m.list(folder):
                answer = caller.ask("read", m.join(folder, name), limit=30 * SLOW)
                if answer.errno == 0:
                    known.check("offline", folder, int(name[:-4]), answer.data)
                    count += 1
    return count


@pytest.mark.deadline(120 + 2 * SECONDS)
def test_CN_1_CN_4_network_that_breaks_at_random(mount, make_dovecot, make_proxy):
    known = Truth()
    server = make_server(make_dovecot, known)
    proxy = make_proxy(server.imaps_port)
    m = mount(server, ["name=uid", "timeout=%d" % TIMEOUT, "poll=2", "cache-size=1M"], port=proxy.port,
              start=False)
    # What was freed is not to be taken for a leak.
    m.environment["ASAN_OPTIONS"] = m.env()["ASAN_OPTIONS"] + ":quarantine_size_mb=16"
    m.start()
    for folder in ("INBOX", "Work", "Probe"):
        for name in m.list(folder)[:40]:
            assert m.read(folder, name)
    idle = costs(m)
    stop = threading.Event()
    life = Life(m, server, known, SEED)
    with Caller() as probing, Caller() as reading, Caller() as looking, Caller() as forgetting:
        workers = [Worker(work, stop, pause) for work, pause in (
            (life.grep, 2), (life.tar, 2), (life.deliver, 0.7), (life.expunge, 1.1),
            (life.read_any(reading), 0.05), (life.look(looking), 0.2), (life.forget(forgetting), 2))]
        for worker in workers:
            worker.start()
        begin = m.memory()
        try:
            back = break_it(life, Chaos(proxy, SEED), probing, workers)
        finally:
            stop.set()
            for worker in workers:
                worker.join(250 * SLOW)
    print("\nseed %d: %s" % (SEED, {name: "%d × <= %.2f s" % (len(all_), max(all_))
                                   for name, all_ in sorted(back.items())}))
    print("compared: %s; errors: %s" % (dict(known.good), dict(life.errors)))
    print("slowest: %s; rounds: %s" % ({call: round(took, 2) for call, took in sorted(life.slowest.items())},
                                       {one.work.__name__: one.rounds for one in workers}))
    print("memory: %.1f, then %.1f MB" % (begin / 1e6, m.memory() / 1e6))
    assert known.wrong == []
    assert [worker.complaint for worker in workers if worker.complaint] == []
    assert not any(worker.is_alive() for worker in workers), "a worker hangs"
    assert all(worker.rounds > 0 for worker in workers), [worker.rounds for worker in workers]
    assert all(known.good[how] > 0 for how in ("grep", "tar", "read", "probe")), known.good
    end_in_peace(m, server, proxy, known, idle)
    assert m.memory() < 150e6
    assert m.stop() < 5 * SLOW
    assert read_offline(m, proxy, known) > 0
    assert known.wrong == []
