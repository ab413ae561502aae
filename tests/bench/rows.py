# SPDX-License-Identifier: MIT
"""The rows of the table, in groups. A group measures its contenders in turns and says what follows.

A group is a function of a Bench, listed by @group; it returns rows. Ratios are of medians.
"""

import os
import re
import shutil
import time

import measure
import work
from measure import Failed, Sample

MIB = 1 << 20
GROUPS = {}


class Row:
    """One line of the table. value: None if it could not be measured, then `error` says why."""

    def __init__(self, name, text, value, bound=None, unit="×", note="", error=None):
        self.name = name
        self.text = text
        self.value = value
        self.bound = bound
        self.unit = unit
        self.note = note
        self.error = error

    @property
    def verdict(self):
        if self.value is None:
            return "failed"
        if self.bound is None:
            return "-"
        return "ok" if self.value <= self.bound else "OVER"

    def as_dict(self):
        return {"name": self.name, "text": self.text, "value": self.value, "bound": self.bound,
                "unit": self.unit, "verdict": self.verdict, "note": self.note, "error": self.error}


def group(name, text, *needs):
    """needs: kinds of corpora, for the server's list of users."""

    def add(function):
        GROUPS[name] = function
        function.text = text
        function.needs = needs
        return function

    return add


class Bench:
    """What a group gets: the world, the sizes, and a place to leave its samples."""

    def __init__(self, world, options, say):
        self.world = world
        self.options = options
        self.say = say
        self.rtt = options.rtt / 1000
        self.lanes = options.connections
        self.series = {}  # group → contender → Series
        self.current = None

    def mail(self, kind):
        return self.world.corpus(kind, self.options.counts[kind])

    def measure(self, contenders, runs=None):
        found = measure.interleave(contenders, runs or self.options.runs, self.options.patience,
                                   self.say)
        self.series.setdefault(self.current, {}).update(found)
        return found

    # Contenders.

    def cold(self, mail, do, rtt, mbit=0, name="uid", options=()):
        """A mount with an empty cache; mounting is not part of the time."""

        def one():
            with self.world.mount(mail, rtt, mbit, name, options) as mount:
                return mount.measured(lambda: do(mount.folder, mail, mount.abort))

        return one

    def raw(self, mail, rtt, mbit=0, **more):
        return lambda: self.world.raw(mail, rtt, mbit, **more)

    def mbsync(self, mail, rtt, mbit=0, **more):
        return lambda: self.world.mbsync(mail, rtt, mbit, **more)

    def raws(self, mail, rtt, single=True):
        """The raw client in all ways."""
        n = self.lanes
        found = {"raw 1": self.raw(mail, rtt)} if single else {}
        found["raw %d" % n] = self.raw(mail, rtt, connections=n)
        found["raw %d, files" % n] = self.raw(mail, rtt, connections=n, store="files")
        found["raw %d, pack" % n] = self.raw(mail, rtt, connections=n, store="pack")
        return found


def seconds(series, name):
    median = series[name].median() if name in series else None
    return "%s ?" % name if median is None else "%s %.3f s" % (name, median)


def ratio(row, text, series, mine, other, bound=None, key="seconds", other_key=None, note=None):
    """A row of medians divided; an error of either side makes it a failed row."""
    for name in (mine, other):
        if series[name].error:
            return Row(row, text, None, bound, error="%s: %s" % (name, series[name].error))
    above, below = series[mine].median(key), series[other].median(other_key or key)
    if not below:
        return Row(row, text, None, bound, error="%s took no measurable time" % other)
    note = note or "%s %.3f s, %s %.3f s" % (mine, above, other, below)
    if key == "seconds" and series[other].median("work_seconds"):
        note += " (%.3f s %s login)" % (
            (series[other].median("work_seconds"), "after") if not other_key else
            (series[other].median(), "with"))
    return Row(row, text, above / below, bound, note=note)


# ---- cold ----


def listed(series, files):
    """A directory has names and sizes before anybody can open a file of it: so be the raw client."""
    text = "cold grep -r : raw sweep, then raw fetch + one file each"
    for name in ("mailfs", "raw sweep", files):
        if series[name].error:
            return Row("cold-grep-listed", text, None, error="%s: %s" % (name, series[name].error))
    sweep, fetch = series["raw sweep"].median("work_seconds"), series[files].median()
    return Row("cold-grep-listed", text, series["mailfs"].median() / (sweep + fetch),
               note="raw sweep after login %.3f s, %s %.3f s" % (sweep, files, fetch))


@group("cold", "cold grep -r over the line", "mixed")
def cold(bench):
    mail, rtt, n = bench.mail("mixed"), bench.rtt, bench.lanes
    series = bench.measure({
        **bench.raws(mail, rtt),
        "raw sweep": bench.raw(mail, rtt, sweep="plain"),
        "mailfs": bench.cold(mail, work.grep, rtt),
        "mailfs, human": bench.cold(mail, work.grep, rtt, name="human"),
        "mbsync best": bench.mbsync(mail, rtt),
        "mbsync best + grep": bench.mbsync(mail, rtt, grep=True),
        "mbsync default": bench.mbsync(mail, rtt, best=False),
    })
    raw, files = "raw %d" % n, "raw %d, files" % n
    peak = series["mailfs"].median("peak")
    return [
        ratio("cold-grep", "cold grep -r : raw fetch + one file each", series, "mailfs", files, 1.3),
        ratio("cold-grep-mbsync", "cold grep -r : mbsync's pull at its best", series, "mailfs",
              "mbsync best", 1.0),
        listed(series, files),
        ratio("cold-grep-raw", "cold grep -r : raw fetch, nothing stored", series, "mailfs", raw),
        ratio("cold-grep-pack", "cold grep -r : raw fetch + packs", series, "mailfs",
              "raw %d, pack" % n),
        ratio("cold-grep-human", "cold grep -r, name=human : raw + files", series,
              "mailfs, human", files),
        ratio("cold-cpu", "CPU of the cold walk : raw fetch", series, "mailfs", raw, 2.0, "cpu"),
        ratio("cold-cpu-files", "CPU of the cold walk : raw fetch + files", series, "mailfs", files,
              None, "cpu"),
        Row("cold-peak", "peak memory of the daemon, cold walk", peak and peak / MIB, None, "MiB",
            error=series["mailfs"].error),
    ]


@group("cold-0ms", "cold grep -r, the server next door", "mixed")
def cold_near(bench):
    mail, n = bench.mail("mixed"), bench.lanes
    series = bench.measure({
        **bench.raws(mail, 0),
        "mailfs": bench.cold(mail, work.grep, 0),
        "mbsync best": bench.mbsync(mail, 0),
    })
    return [
        ratio("near-grep", "cold grep -r, 0 ms : raw fetch + one file each", series, "mailfs",
              "raw %d, files" % n, 1.5),
        ratio("near-grep-pack", "cold grep -r, 0 ms : raw fetch + packs", series, "mailfs",
              "raw %d, pack" % n),
        ratio("near-mbsync", "cold grep -r, 0 ms : mbsync's pull at its best", series, "mailfs",
              "mbsync best"),
    ]


@group("cold-link", "cold grep -r over a narrow link", "mixed")
def cold_link(bench):
    mail, mbit, n = bench.mail("mixed"), bench.options.mbit, bench.lanes
    series = bench.measure({
        "raw %d" % n: bench.raw(mail, bench.rtt, mbit, connections=n),
        "mailfs": bench.cold(mail, work.grep, bench.rtt, mbit),
        "mbsync default": bench.mbsync(mail, bench.rtt, mbit, best=False),
    })
    link = mail.bytes / (mbit * 1e6 / 8)
    took = series["mailfs"].median()
    return [
        Row("link-grep", "cold grep -r, %d Mbit/s : the link's time" % mbit,
            took and took / link, 1.05, error=series["mailfs"].error,
            note="mailfs %.3f s, the bodies alone %.3f s, %s" % (took or 0, link,
                                                                 seconds(series, "raw %d" % n))),
        ratio("link-mbsync", "cold grep -r, %d Mbit/s : mbsync with DEFLATE" % mbit, series,
              "mailfs", "mbsync default"),
    ]


@group("cold-small", "cold grep -r of many small messages", "small")
def cold_small(bench):
    mail, rtt, n = bench.mail("small"), bench.rtt, bench.lanes
    series = bench.measure({
        **bench.raws(mail, rtt, single=False),
        "mailfs": bench.cold(mail, work.grep, rtt),
        "mbsync best": bench.mbsync(mail, rtt),
    })
    return [
        ratio("small-grep", "cold grep -r, small : mbsync's pull at its best", series, "mailfs",
              "mbsync best", 0.5),
        ratio("small-floor", "raw fetch + packs, small : mbsync's pull", series, "raw %d, pack" % n,
              "mbsync best"),
        ratio("small-grep-raw", "cold grep -r, small : raw fetch", series, "mailfs", "raw %d" % n),
        ratio("small-grep-files", "cold grep -r, small : raw fetch + one file each", series,
              "mailfs", "raw %d, files" % n),
        ratio("small-cpu", "CPU of the cold walk, small : raw fetch", series, "mailfs",
              "raw %d" % n, 2.0, "cpu"),
    ]


@group("cold-walks", "other ways to walk a folder", "mixed")
def cold_walks(bench):
    mail = bench.mail("mixed")
    walks = {"grep -r": work.grep, "tar c": work.tar, "rsync": work.rsync_to(bench.world),
             "find -exec head": work.head, "4 readers": work.readers, "backwards": work.backwards}
    series = bench.measure({name: bench.cold(mail, do, bench.rtt) for name, do in walks.items()})
    return [ratio("walk-" + re.sub(r"\W+", "-", name), "cold %s : cold grep -r" % name, series, name,
                  "grep -r", 2.0) for name in walks if name != "grep -r"]


# ---- warm ----


PLACES = ("local", "passthrough", "floor", "mailfs ro", "mailfs rw")


class WarmMounts:
    """The places that are compared when all is cached: local files, plain FUSE, two mounts."""

    def __init__(self, bench, mail, do):
        self.bench = bench
        self.mail = mail
        self.places = {"local": mail.folder}
        self.aborts = {"local": None}
        self.pids = {}
        self.errors = {}
        self.open = []
        self.do = do

    def __enter__(self):
        try:
            self._enter(self.bench.world.plain_mount("passthrough", self.mail.folder), "passthrough")
            self._enter(self.bench.world.plain_mount("floor", self.mail.folder), "floor")
            self._mail("mailfs ro", ("ro",))
            self._mail("mailfs rw", ())
        except BaseException:
            self.__exit__()
            raise
        return self

    def _enter(self, one, name):
        one.__enter__()
        self.open.append(one)
        self.places[name] = one.folder if hasattr(one, "folder") else one.path
        self.aborts[name] = getattr(one, "abort", None)
        self.pids[name] = one.pid
        return one

    def _mail(self, name, options):
        """Mounted twice: the first time fills the cache and earns the account's trust."""
        world = self.bench.world
        home = world.new_home()
        try:
            if self.do:
                with world.mount(self.mail, 0, options=options, home=home) as first:
                    self.do(first.folder, self.mail, first.abort)
            self._enter(world.mount(self.mail, 0, options=options, home=home), name)
        except Failed as failure:
            self.errors[name] = str(failure)
            self.bench.say("  %s: %s" % (name, failure))

    def contenders(self, label, do, before=None):
        """One work in all places; before(): what precedes each run, untimed.

        Without it, the same work: what was cached may have been reclaimed since (DAMON does that
        within seconds), and then one place would be measured warm and the other cold.
        """

        def one(name):
            def run():
                if name in self.errors:
                    raise Failed(self.errors[name])
                work_here = lambda: do(self.places[name], self.mail, self.aborts[name])
                (before or work_here)()
                return self._measured(name, work_here)

            return run

        return {"%s: %s" % (label, name): one(name) for name in PLACES}

    def _measured(self, name, do):
        """With the CPU and the peak memory of who serves the place."""
        if name not in self.pids:
            return do()
        before = measure.cpu_of(self.pids[name])
        sample = do()
        sample.more["command_cpu"] = sample.cpu
        sample.cpu += measure.cpu_of(self.pids[name]) - before
        sample.peak = measure.memory_of(self.pids[name])["VmHWM"]
        return sample

    def warm_up(self, *works):
        for name, folder in self.places.items():
            for do in works:
                try:
                    do(folder, self.mail, self.aborts[name])
                except Failed as failure:
                    self.errors[name] = str(failure)

    def __exit__(self, *_exc):
        while self.open:
            self.open.pop().__exit__()


@group("warm", "warm grep -r and tar", "mixed")
def warm(bench):
    mail = bench.mail("mixed")
    rows = []
    with WarmMounts(bench, mail, work.grep) as places:
        places.warm_up(work.grep, work.tar)
        for label, do in (("grep", work.grep), ("tar", work.tar)):
            series = bench.measure(places.contenders(label, do))
            rows += warm_rows("warm-" + label, "warm " + label, label, series, 1.1, 2.5)
    return rows


def warm_rows(name, text, label, series, read_only, read_write):
    local = label + ": local"
    return [
        ratio(name + "-ro", text + ", read-only mount : local", series, label + ": mailfs ro",
              local, read_only),
        ratio(name + "-rw", text + ", read-write mount : local", series, label + ": mailfs rw",
              local, read_write),
        ratio(name + "-passthrough", text + ", plain FUSE : local", series, label + ": passthrough",
              local),
        ratio(name + "-floor", text + ", least of FUSE with opens : local", series,
              label + ": floor", local),
        ratio(name + "-rw-floor", text + ", read-write mount : least of FUSE", series,
              label + ": mailfs rw", label + ": floor"),
    ]


@group("dropped", "the same with the page cache dropped (needs root)", "mixed")
def dropped(bench):
    if not measure.can_drop_caches():
        return [Row("dropped", "page cache dropped", None, error="only root can drop it")]
    mail = bench.mail("mixed")
    rows = []
    with WarmMounts(bench, mail, work.grep) as places:
        for label, do in (("grep", work.grep), ("tar", work.tar)):
            series = bench.measure(places.contenders(label, do, measure.drop_caches))
            rows += warm_rows("dropped-" + label, "page cache dropped, " + label, label, series,
                              1.2, None)
    return rows


@group("warm-ls", "warm ls, ls -l, find -newer", "mixed", "small")
def warm_ls(bench):
    rows = []
    for kind in ("small",) if bench.options.quick else ("mixed", "small"):
        mail = bench.mail(kind)
        reference = os.path.join(mail.folder, "%d.eml" % (mail.count // 2))
        works = {"ls": work.many_ls, "ls -l": work.many_ls_long,
                 "find -newer": work.many_find_newer(reference, mail.count - mail.count // 2)}
        with WarmMounts(bench, mail, None) as places:
            places.warm_up(*works.values())
            for label, do in works.items():
                full = "%s of %d" % (label, mail.count)
                series = bench.measure(places.contenders(full, do))
                name = "%s-%s" % (re.sub(r"\W+", "-", label), kind)
                rows += warm_rows(name, "warm " + full, full, series, 1.0, 1.0)
    return rows


# ---- listing ----


@group("first-ls", "the first ls of a large folder", "small")
def first_ls(bench):
    mail, rtt = bench.mail("small"), bench.rtt
    series = bench.measure({
        "raw sweep": bench.raw(mail, rtt, sweep="plain"),
        "raw sweep, heads": bench.raw(mail, rtt, sweep="heads"),
        "mailfs, uid": bench.cold(mail, work.ls, rtt),
        "mailfs, human": bench.cold(mail, work.ls, rtt, name="human"),
        "sweep, uid": bench.cold(mail, work.look_for_nothing, rtt),
        "sweep, human": bench.cold(mail, work.look_for_nothing, rtt, name="human"),
    })
    return [
        ratio("first-ls-uid", "first ls of %d, name=uid : raw sweep" % mail.count, series,
              "mailfs, uid", "raw sweep", 1.3, other_key="work_seconds"),
        ratio("first-ls-human", "first ls of %d, name=human : raw sweep with heads" % mail.count,
              series, "mailfs, human", "raw sweep, heads", 1.5, other_key="work_seconds"),
        ratio("first-sweep-uid", "a name that is not there, name=uid : raw sweep", series,
              "sweep, uid", "raw sweep", other_key="work_seconds"),
        ratio("first-sweep-human", "a name that is not there, name=human : raw sweep with heads",
              series, "sweep, human", "raw sweep, heads", other_key="work_seconds"),
    ]


@group("remount", "remount of a large folder, to ls", "small")
def remount(bench):
    mail, rtt, world = bench.mail("small"), bench.rtt, bench.world
    home = world.new_home()
    log = os.path.join(world.server.home(mail.user), "dovecot.rawlog")
    with world.mount(mail, rtt, home=home) as mount:
        work.ls(mount.folder, mail, mount.abort)
        time.sleep(1)  # what is still to be stored

    def again(*options):
        shutil.rmtree(log, ignore_errors=True)
        world.server.rawlog(mail.user)
        try:
            with world.mount(mail, rtt, home=home, options=options) as mount:
                sample = mount.measured(lambda: work.ls(mount.folder, mail, mount.abort))
                sample.more["ls_seconds"] = sample.seconds
                sample.seconds += mount.mount_seconds
            verbs, sweeps = commands(world.server.commands(mail.user))
            if not verbs:
                raise Failed("the server has recorded no commands")
            sample.more.update(verbs=verbs, sweeps=sweeps)
            return sample
        finally:
            shutil.rmtree(log, ignore_errors=True)

    series = bench.measure({
        "raw login + EXAMINE": bench.raw(mail, rtt, login_only=True),
        "mailfs mount + ls": lambda: again("auth=login"),
        "mailfs mount + ls, SCRAM": again,
    })
    mine = series["mailfs mount + ls"]
    if mine.error:
        return [Row("remount", "remount to ls", None, 0.5, "s", error=mine.error)]
    least = series["raw login + EXAMINE"].median()
    last = mine.samples[-1].more
    return [
        Row("remount", "remount of %d to ls, beyond login + SELECT" % mail.count,
            mine.median() - least, 0.5, "s",
            "mount + ls %.3f s, of it ls %.3f s; raw login + EXAMINE %.3f s" % (
                mine.median(), mine.median("ls_seconds"), least)),
        Row("remount-scram", "the same with SCRAM, two round trips more",
            series["mailfs mount + ls, SCRAM"].median() and
            series["mailfs mount + ls, SCRAM"].median() - least, None, "s",
            error=series["mailfs mount + ls, SCRAM"].error),
        Row("remount-sweeps", "sweeps of the folder at a remount", mine.median("sweeps"), 0, "",
            ", ".join("%s %d" % pair for pair in sorted(last["verbs"].items()))),
    ]


def commands(texts):
    """({verb: count}, sweeps) of what Dovecot has recorded of a client."""
    verbs, sweeps = {}, 0
    for text in texts:
        for line in text.split(b"\n"):
            found = re.match(rb"(?:\d+\.\d+ )?\S+ ((?:UID )?[A-Z=]+)(.*)", line)
            if not found or found.group(1) == b"OK":
                continue
            verb = found.group(1).decode()
            verbs[verb] = verbs.get(verb, 0) + 1
            is_all = re.match(rb" (?:\S*,)?1:(\d+|\*)", found.group(2))
            if "FETCH" in verb and is_all and b"CHANGEDSINCE" not in line:
                sweeps += 1
    return verbs, sweeps


# ---- memory ----


@group("memory", "memory of the daemon", "small", "idle")
def memory(bench):
    rows = [idle_row(bench), folder_row(bench, bench.mail("small"))]
    if bench.options.million:
        rows.append(folder_row(bench, bench.mail("tiny")))
    return rows


def resident(bench, mail, do):
    def one():
        with bench.world.mount(mail, 0) as mount:
            sample = do(mount.folder, mail, mount.abort)
            time.sleep(2)
            sample.more.update(measure.memory_of(mount.pid))
            sample.peak = sample.more["VmHWM"]
            return sample

    return one


def memory_row(bench, name, text, mail, bound):
    series = bench.measure({name: resident(bench, mail, work.ls)}, 1 if bench.options.quick else 3)[name]
    if series.error:
        return Row(name, text, None, bound / MIB, "MiB", error=series.error)
    return Row(name, text, series.median("VmRSS") / MIB, bound / MIB, "MiB",
               "peak %.1f MiB, anonymous %.1f MiB" % (series.median("VmHWM") / MIB,
                                                      series.median("RssAnon") / MIB))


def idle_row(bench):
    return memory_row(bench, "memory-idle", "memory of an idle mount", bench.mail("idle"), 15 * MIB)


def folder_row(bench, mail):
    return memory_row(bench, "memory-%d" % mail.count, "memory with %d messages listed" % mail.count,
                      mail, 64 * mail.count + 20 * MIB)


# ---- one large message ----


@group("large", "one message of 27 MB", "large")
def large(bench):
    mail, rtt, world = bench.mail("large"), bench.rtt, bench.world
    size = os.path.getsize(os.path.join(mail.folder, "1.eml"))
    proxy = world.proxy(rtt)

    # An account must have earned its trust: before, open() fetches the whole message. Over the same
    # line, for another port is another account.
    trusted = world.new_home()
    with world.mount(mail, rtt, home=trusted) as mount:
        for number in range(2, mail.count + 1):
            work.cat(os.path.join(mount.folder, "%d.eml" % number),
                     os.path.getsize(os.path.join(mail.folder, "%d.eml" % number)), mount.abort)
        time.sleep(1)  # what is still to be stored

    def on_mount(do):
        def one():
            home = world.copy_home(trusted)
            with world.mount(mail, rtt, home=home) as mount:
                work.ls(mount.folder, mail, mount.abort)
                before = proxy.settled()
                sample = mount.measured(
                    lambda: do(os.path.join(mount.folder, "1.eml"), mount.abort))
                after = proxy.settled()
                sample.more["wire"] = after["down"] - before["down"]
                return sample

        return one

    series = bench.measure({
        "raw": lambda: work_only(world.raw(mail, rtt, last=1)),
        "head -c 1000": on_mount(lambda path, abort: work.read_start(path, 1000, abort)),
        "cat": on_mount(lambda path, abort: work.cat(path, size, abort)),
    })
    head = series["head -c 1000"]
    wire = head.median("wire")
    return [
        Row("large-head", "head -c 1000 of %d MB, on the wire" % (size // 1000000),
            wire and wire / 1000, 300, "KB", error=head.error, note=seconds(series, "head -c 1000")),
        ratio("large-cat", "cat of %d MB : raw fetch after login" % (size // 1000000), series, "cat",
              "raw", 1 / 0.9),
    ]


def work_only(sample):
    """The mount is logged in already: so be the raw client."""
    return Sample(sample.more["work_seconds"], sample.cpu, sample.peak, total=sample.seconds,
                  busy=sample.more["busy"])
