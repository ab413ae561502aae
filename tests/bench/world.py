# SPDX-License-Identifier: MIT
"""What is measured lives here: the server, the line to it, mounts, peers. And it all ends here."""

import atexit
import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "fake"))

import corpus
import dovecot
import measure
import mounting
import work
from measure import Failed, Sample
from mounting import end_on_sigterm  # noqa: F401 (for run)

TOOLS = {
    "delay_proxy": [],
    "raw_fetch": ["openssl"],
    "raw_pop3": ["openssl"],
    "passthrough": ["fuse3", "glib-2.0"],
    "floor": ["fuse3", "glib-2.0"],
}


REST = 65  # seconds


class World:
    def __init__(self, options, say):
        self.options = options
        self.say = say
        self.place = claim(os.path.join(os.environ.get("TMPDIR", "/tmp"),
                                        "mailfs-bench-%d" % os.getuid()))
        self.lock = open(os.path.join(self.place, "lock"), "a")
        self.server = None
        self.proxies = {}
        self.mounts = []
        self.plain_mounts = []
        self.tools = os.path.join(self.place, "tools")
        self.scratch = os.path.join(self.place, "scratch")
        self.library = None
        self.binary = None
        self.warmed = set()

    # Life.

    def start(self):
        self._take_lock()
        atexit.register(self.stop)
        self._clear_leftovers()
        self._let_inodes_rest()
        os.makedirs(self.scratch)
        self._build_tools()
        self._find_binary()
        self._start_server()
        return self

    def stop(self):
        measure.end_children()
        for mount in list(self.mounts):
            mount.end()
        for one in list(self.plain_mounts):
            one.end()
        for proxy in self.proxies.values():
            proxy.end()
        self.proxies = {}
        if self.server:
            self.server.halt()
            self.server = None
        self._remove_scratch()

    def clean(self):
        """Forgets all that is kept between runs."""
        self._take_lock()
        self._clear_leftovers()
        remove(self.place)

    def _take_lock(self):
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemExit("bench: another one is running in " + self.place) from None

    def _clear_leftovers(self):
        """What a run that was killed has left: ours by place and by start time."""
        for path in mounting.mounts():
            if path.startswith(self.scratch + "/"):
                subprocess.run(["fusermount3", "-uz", path], capture_output=True, check=False)
        state = dovecot.load_state(os.path.join(self.place, "server"))
        if state:
            old = dovecot.Dovecot.__new__(dovecot.Dovecot)
            old.pid, old.process = state["pid"], None
            old.halt()
        self._remove_scratch()

    def _remove_scratch(self):
        if not os.path.isdir(self.scratch):
            return
        remove(self.scratch)
        os.sync()
        os.utime(self.lock.fileno())

    def _let_inodes_rest(self):
        """See empty(): a minute after the deletion has reached the disk all is well again."""
        rest = os.fstat(self.lock.fileno()).st_mtime + REST - time.time()
        if self.options.small <= 10000 or not 0 < rest <= REST:
            return
        self.say("waiting %d s: an earlier run has just deleted many files" % rest)
        time.sleep(rest)

    def _build_tools(self):
        os.makedirs(self.tools, exist_ok=True)
        headers = [os.path.join(HERE, name) for name in sorted(os.listdir(HERE)) if name.endswith(".h")]
        for name, packages in TOOLS.items():
            source, target = os.path.join(HERE, name + ".c"), os.path.join(self.tools, name)
            if os.path.exists(target) and os.path.getmtime(target) > max(map(os.path.getmtime, [source, *headers])):
                continue
            flags = subprocess.run(["pkg-config", "--cflags", "--libs", *packages],
                                   stdout=subprocess.PIPE, text=True, check=True).stdout.split() \
                if packages else []
            subprocess.run([os.environ.get("CC", "cc"), "-O2", "-Wall", "-o", target + ".new",
                            source, *flags, "-pthread"], check=True)
            os.rename(target + ".new", target)

    def _find_binary(self):
        if self.options.binary:
            self.binary = os.path.abspath(self.options.binary)
        else:
            self.binary = self._build_mailfs()
        if not os.access(self.binary, os.X_OK):
            raise SystemExit("bench: no program " + self.binary)

    def _build_mailfs(self):
        build = os.path.join(self.place, "build")
        self.say("building mailfs in " + build)
        log = os.path.join(self.place, "build.log")
        with open(log, "w") as out:
            steps = [["ninja", "-C", build, "src/cli/mailfs"]]
            if not os.path.exists(os.path.join(build, "build.ninja")):
                steps.insert(0, ["meson", "setup", build, ROOT, "-Dbuildtype=release",
                                 "-Dtests=false"])
            for step in steps:
                if subprocess.run(step, stdout=out, stderr=out, check=False).returncode != 0:
                    raise SystemExit("bench: the build failed, see " + log)
        return os.path.join(build, "src", "cli", "mailfs")

    def _start_server(self):
        # DEFLATE is offered, as real servers do: who takes it on a fast line pays.
        users = [corpus.user(kind, count) for kind, count in self.options.corpora]
        self.server = dovecot.Dovecot(os.path.join(self.place, "server"), users=users,
                                      max_userip=100, compress=True, pop3=True,
                                      extra="rawlog_dir = %h/dovecot.rawlog")
        self.library = corpus.Library(self.place, self.server._own, self.say)
        self.library.homes = os.path.join(self.place, "server", "home")
        os.makedirs(os.path.join(self.place, "local"), exist_ok=True)
        self.server.start()
        self.server.save_state()
        dovecot.started.discard(self.server)  # stop() ends it, after the mounts

    def corpus(self, kind, count):
        """A corpus, with the server's own caches warm: they are not what is measured."""
        found = self.library.get(kind, count)
        if found.user not in self.warmed:
            self.warmed.add(found.user)
            self.raw(found, rtt=0, sweep="heads")
            self.raw(found, rtt=0, last=1)
        return found

    # The line.

    def port(self, rtt, mbit=0):
        """Where a server `rtt` seconds away listens; 0 and 0: the server itself."""
        if rtt == 0 and mbit == 0:
            return self.server.imaps_port
        return self.proxy(rtt, mbit).port

    def proxy(self, rtt, mbit=0):
        key = (rtt, mbit)
        if key not in self.proxies:
            self.proxies[key] = Proxy(os.path.join(self.tools, "delay_proxy"),
                                      self.server.imaps_port, rtt, mbit)
        return self.proxies[key]

    # Contenders.

    def raw(self, mail, rtt, mbit=0, connections=1, store="discard", sweep=None, last=None,
            login_only=False, chunk=0):
        """The raw client: Sample with bytes, messages, login_seconds."""
        command = [os.path.join(self.tools, "raw_fetch"), "--port", str(self.port(rtt, mbit)),
                   "--user", mail.user, "--password", "secret", "--ca", self.server.ca_file,
                   "--connections", str(connections), "--chunk", str(chunk)]
        if last:
            command += ["--last", str(last)]
        if sweep:
            command += ["--sweep", sweep]
        if login_only:
            command += ["--login-only"]
        with self.directory() as place:
            if store != "discard":
                command += ["--store", store, "--dir", place]
            sample, out = measure.run(command)
        told = json.loads(out)
        if not sweep and not login_only and told["messages"] != (last or mail.count):
            raise Failed("raw client got %d messages of %d" % (told["messages"], mail.count))
        if not sweep and not login_only and not last and told["bytes"] != mail.bytes:
            raise Failed("raw client got %d bytes of %d" % (told["bytes"], mail.bytes))
        if sweep and told["responses"] < mail.count:
            raise Failed("raw sweep told of %d messages of %d" % (told["responses"], mail.count))
        return Sample(told["seconds"], told["user"] + told["sys"], told["peak_kb"] * 1024,
                      busy=sample.more["busy"], login_seconds=told["login_seconds"],
                      work_seconds=told["seconds"] - told["login_seconds"], bytes=told["bytes"])

    def mbsync(self, mail, rtt, mbit=0, best=True, grep=False):
        """A pull into an empty Maildir, and a grep of it if asked for.

        best: no DEFLATE, no fsync, everything pipelined (the default depth is unlimited).
        """
        with self.directory() as place:
            config = os.path.join(place, "mbsyncrc")
            maildir = os.path.join(place, "mail")
            os.mkdir(maildir)
            with open(config, "w") as file:
                file.write(MBSYNC.format(
                    port=self.port(rtt, mbit), user=mail.user, ca=self.server.ca_file,
                    place=place, fsync="FSync no\n" if best else "",
                    deflate="DisableExtension COMPRESS=DEFLATE\n" if best else ""))
            sample, _out = measure.run(["mbsync", "-q", "-c", config, "bench"],
                                       env=dict(os.environ, HOME=place), want_peak=True)
            found = len(os.listdir(os.path.join(maildir, "inbox", "new"))) + \
                len(os.listdir(os.path.join(maildir, "inbox", "cur")))
            if found != mail.count:
                raise Failed("mbsync got %d messages of %d" % (found, mail.count))
            if grep:
                extra = work.grep(os.path.join(maildir, "inbox"), mail)
                sample.more["pull_seconds"] = sample.seconds
                sample.seconds += extra.seconds
                sample.cpu += extra.cpu
            return sample

    def mount(self, mail, rtt=0, mbit=0, name="uid", options=(), home=None):
        """A MailMount; use it with `with`. home: of another one, for its cache."""
        source = "imaps://%s@localhost:%d" % (mail.user, self.port(rtt, mbit))
        options = ["name=" + name, "tls-ca=" + self.server.ca_file,
                   "connections=%d" % self.options.connections, *options,
                   *self.options.mount_options]
        return MailMount(self, source, options, home)

    def plain_mount(self, *command):
        """passthrough or floor, with its arguments but for the mountpoint."""
        return PlainMount(self, command)

    def directory(self):
        return Directory(self.scratch)

    def new_home(self):
        """For mounts that come one after another; gone with the world."""
        return tempfile.mkdtemp(prefix="home-", dir=self.scratch)

    def copy_home(self, home):
        copy = self.new_home()
        for sub in ("cache", "state", "config"):
            shutil.copytree(os.path.join(home, sub), os.path.join(copy, sub))
        return copy


MBSYNC = """{fsync}
IMAPAccount bench
Host localhost
Port {port}
User {user}
Pass secret
SSLType IMAPS
CertificateFile {ca}
{deflate}
IMAPStore far
Account bench

MaildirStore near
Path {place}/mail/
Inbox {place}/mail/inbox
SubFolders Verbatim

Channel bench
Far :far:INBOX
Near :near:INBOX
Create Near
Sync Pull
SyncState *
"""


class Directory:
    """A directory whose files are emptied afterwards."""

    def __init__(self, scratch):
        self.path = tempfile.mkdtemp(prefix="dir-", dir=scratch)

    def __enter__(self):
        return self.path

    def __exit__(self, *_exc):
        empty(self.path)


class Proxy:
    """delay_proxy: it ends when its stdin does, so it never outlives us."""

    def __init__(self, program, target, rtt, mbit):
        command = [program, "--target", str(target), "--rtt-us", str(round(rtt * 1e6))]
        if mbit:
            command += ["--mbit", str(mbit)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, start_new_session=True)
        self.port = int(self.process.stdout.readline().split()[1])

    def stats(self):
        """{"connections":, "open":, "up":, "down":}; bytes since its start."""
        self.process.stdin.write("stats\n")
        self.process.stdin.flush()
        words = self.process.stdout.readline().split()
        return dict(zip(words[::2], map(int, words[1::2])))

    def settled(self, quiet=0.4, limit=20):
        """stats(), once no byte has passed for `quiet` seconds."""
        deadline = time.monotonic() + limit
        old, since = self.stats(), time.monotonic()
        while time.monotonic() - since < quiet and time.monotonic() < deadline:
            time.sleep(0.05)
            new = self.stats()
            if new != old:
                old, since = new, time.monotonic()
        return old

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class MailMount:
    """mailfs on a directory. Entering mounts; leaving unmounts and, unless kept, forgets its cache."""

    def __init__(self, world, source, options, home):
        self.world = world
        self.own_home = home is None
        self.home = home or world.new_home()
        self.inner = mounting.Mount(world.binary, self.home, source, options)
        self.mount_seconds = None

    def __enter__(self):
        self.world.mounts.append(self)
        begin = time.monotonic()
        try:
            self.inner.start(60)
        except mounting.MountFailed as failure:
            self.end()
            raise Failed("mount: " + str(failure).strip()[-400:]) from None
        self.mount_seconds = time.monotonic() - begin
        return self

    def __exit__(self, *_exc):
        self.end()

    @property
    def folder(self):
        return self.inner.join("INBOX")

    @property
    def pid(self):
        return self.inner.process.pid

    def abort(self):
        self.inner.abort()

    def measured(self, work):
        """work(): a Sample. Its CPU becomes the daemon's since it was started, its peak too."""
        sample = work()
        if self.inner.process.poll() is not None:
            raise Failed("mailfs ended with %s: %s" % (self.inner.process.returncode,
                                                       self.inner.stderr[-300:]))
        sample.more["command_cpu"] = sample.cpu
        sample.cpu = measure.cpu_of(self.pid)
        sample.peak = measure.memory_of(self.pid)["VmHWM"]
        sample.more["mount_seconds"] = self.mount_seconds
        return sample

    def end(self):
        if self not in self.world.mounts:
            return
        self.world.mounts.remove(self)
        for complaint in self.inner.cleanup():
            self.world.say("  " + complaint.splitlines()[0])
        if self.own_home:
            empty(self.home)


class PlainMount:
    """A file system of one of our tools: what FUSE costs without mail."""

    def __init__(self, world, command):
        self.world = world
        self.command = [os.path.join(world.tools, command[0]), *command[1:]]
        self.path = tempfile.mkdtemp(prefix=command[0] + "-", dir=world.scratch)
        self.process = None

    def __enter__(self):
        self.world.plain_mounts.append(self)
        self.process = subprocess.Popen([*self.command, self.path], stdin=subprocess.DEVNULL,
                                        start_new_session=True)
        deadline = time.monotonic() + 10
        while not mounting.is_mounted(self.path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.end()
                raise Failed("%s does not mount" % self.command[0])
            time.sleep(0.01)
        return self

    def __exit__(self, *_exc):
        self.end()

    @property
    def pid(self):
        return self.process.pid

    def end(self):
        if self not in self.world.plain_mounts:
            return
        self.world.plain_mounts.remove(self)
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if mounting.is_mounted(self.path):
            subprocess.run(["fusermount3", "-uz", self.path], capture_output=True, check=False)


# Places.


def claim(path):
    """The directory is in a public place: it must be ours."""
    os.makedirs(path, mode=0o755, exist_ok=True)
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise SystemExit("bench: %s is not ours" % path)
    os.chmod(path, 0o755)
    return path


def empty(path):
    """Frees the space of a tree, but leaves its files.

    For minutes after many files were deleted, ext4 looks at all of them for each file it creates
    (it does not reuse fresh inodes): 100,000 creates then take 70 s instead of 5. So nothing is
    deleted before the end.
    """
    if holds_mount(path):
        return
    for where, _dirs, names in os.walk(path):
        for name in names:
            full = os.path.join(where, name)
            if stat.S_ISREG(os.lstat(full).st_mode):
                os.truncate(full, 0)


def remove(path):
    """A tree, but never what is mounted in it."""
    if not holds_mount(path):
        shutil.rmtree(path, ignore_errors=True)


def holds_mount(path):
    prefix = path.rstrip("/") + "/"
    return any(mounted == path or mounted.startswith(prefix) for mounted in mounting.mounts())
