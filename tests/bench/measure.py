# SPDX-License-Identifier: MIT
"""Running things and taking their measure: seconds, CPU, peak memory, medians, interleaving."""

import os
import re
import select
import signal
import statistics
import subprocess
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A contender did not do its work, or not in time, or did it wrongly."""


class Sample:
    """One run. cpu: user + system seconds of all that belongs to the contender; peak: bytes."""

    def __init__(self, seconds, cpu=0.0, peak=0, **more):
        self.seconds = seconds
        self.cpu = cpu
        self.peak = peak
        self.more = more

    def as_dict(self):
        return dict({"seconds": round(self.seconds, 6), "cpu": round(self.cpu, 6),
                     "peak": self.peak}, **self.more)


class Series:
    """The runs of one contender in one group."""

    def __init__(self):
        self.samples = []
        self.error = None

    def median(self, key="seconds"):
        """None if there is nothing to take it of."""
        values = [self._value(sample, key) for sample in self.samples]
        values = [value for value in values if value is not None]
        return statistics.median(values) if values else None

    @staticmethod
    def _value(sample, key):
        return sample.more.get(key) if key not in ("seconds", "cpu", "peak") else getattr(sample, key)

    def spread(self):
        """(least, most) seconds."""
        values = [sample.seconds for sample in self.samples]
        return (min(values), max(values)) if values else (None, None)


running = set()  # children of run(), for cleanup


class Child:
    """A process in a session of its own whose end is waited for with a limit and with rusage."""

    def __init__(self, command, cwd, env):
        self.out = tempfile.TemporaryFile()
        self.err = tempfile.TemporaryFile()
        self.begin = time.monotonic()
        self.begin_busy = busy_cpu()
        self.process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                                        stdout=self.out, stderr=self.err, start_new_session=True)
        self.pid = self.process.pid
        self.pidfd = os.pidfd_open(self.pid)
        self.seconds = self.code = self.usage = self.busy = None
        self.peak = 0
        running.add(self)

    def watch(self, timeout):
        """wait(), looking at the peak memory from time to time.

        ru_maxrss will not do: it begins with what we had when we forked.
        """
        deadline = time.monotonic() + timeout
        while not self.wait(0.05) and time.monotonic() < deadline:
            try:
                self.peak = memory_of(self.pid).get("VmHWM", self.peak)
            except OSError:
                pass
        return self.code is not None

    def wait(self, timeout):
        """True: it has ended."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        if self.code is None and poll.poll(timeout * 1000):
            self.seconds = time.monotonic() - self.begin
            self.busy = (busy_cpu() - self.begin_busy) / (self.seconds * os.cpu_count())
            _pid, status, self.usage = os.wait4(self.pid, 0)
            self.code = self.process.returncode = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def text(self, file):
        file.seek(0)
        return file.read()

    def close(self):
        """Ends what is left of it, children too."""
        if self.code is None:
            os.killpg(self.pid, signal.SIGKILL)
            self.wait(10)
        running.discard(self)
        for thing in (self.out, self.err):
            thing.close()
        os.close(self.pidfd)


def run(command, timeout=900, cwd=None, env=None, good=(0,), on_timeout=None, want_peak=False):
    """A child (a list, or a string for bash) to its end: (Sample, its stdout).

    CPU is that of the child and everything it waited for; busy: the share of all CPUs of the machine
    that was used meanwhile, by whomever. on_timeout() is for children that hang in a mount: it must
    break it. want_peak: peak memory of the child itself.
    """
    if isinstance(command, str):
        command = ["bash", "-o", "pipefail", "-c", command]
    child = Child(command, cwd, env)
    try:
        if not (child.watch if want_peak else child.wait)(timeout):
            if on_timeout:
                on_timeout()
            raise Failed("no end after %d s: %s" % (timeout, shown(command)))
        if child.code not in good:
            raise Failed("%s ended with %s: %s" % (
                shown(command), child.code,
                child.text(child.err).decode("utf-8", "replace").strip()[-300:]))
        usage = child.usage
        return (Sample(child.seconds, usage.ru_utime + usage.ru_stime, child.peak, busy=child.busy),
                child.text(child.out))
    finally:
        child.close()


def end_children():
    for child in list(running):
        child.close()


def shown(command):
    text = command[-1] if command[0] == "bash" else " ".join(command)
    return text if len(text) < 120 else text[:117] + "..."


# What the kernel knows.


def busy_cpu():
    """Seconds for which the CPUs of the machine have worked, added up."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _iowait, irq, softirq = map(int, file.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / TICK


def cpu_of(pid):
    """user + system seconds so far, of all its threads."""
    with open("/proc/%d/stat" % pid) as file:
        words = file.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / TICK


def memory_of(pid):
    """Bytes: {"VmRSS":, "VmHWM":, "RssAnon":}."""
    with open("/proc/%d/status" % pid) as file:
        pairs = re.findall(r"^(VmRSS|VmHWM|RssAnon):\s+(\d+) kB", file.read(), re.M)
    return {key: int(value) * 1024 for key, value in pairs}


def drop_caches():
    """The page cache, dentries and inodes; only root may."""
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3")


def can_drop_caches():
    return os.access("/proc/sys/vm/drop_caches", os.W_OK)


def interleave(contenders, runs, patience, say):
    """{name: callable that returns a Sample} → {name: Series}; A B C, C B A, A B C …

    Who fails is not asked again, nor who takes longer than `patience` seconds; the others go on.
    """
    series = {name: Series() for name in contenders}
    for turn in range(runs):
        for name in list(contenders) if turn % 2 == 0 else reversed(list(contenders)):
            one = series[name]
            if one.error or (one.samples and one.samples[-1].seconds > patience):
                continue
            os.sync()  # what the one before has left to write is not this one's burden
            try:
                one.samples.append(contenders[name]())
                say("  %d/%d %-28s %8.3f s" % (turn + 1, runs, name, one.samples[-1].seconds))
            except (Failed, OSError, AssertionError, subprocess.SubprocessError) as error:
                one.error = str(error).strip() or type(error).__name__
                say("  %d/%d %-28s FAILED: %s" % (turn + 1, runs, name, one.error))
    return series
