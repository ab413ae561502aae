# SPDX-License-Identifier: MIT
"""Mounting mailfs in tests: start, look, stop, kill, and never leave a mount behind.

    mount = Mount(binary, scratch, "imaps://demo@localhost:993", ["tls-ca=FILE"], "secret")
    mount.start()
    run(["cat", mount.path + "/INBOX/1.eml"], timeout=10).stdout
    mount.status()["state"]
    mount.stop()

Whatever may hang goes through run(): a child that gets killed, not the test process.
"""

import atexit
import errno
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse
import uuid

# Sanitizers make everything slower: deadlines are multiplied.
SLOW = float(os.environ.get("MAILFS_TEST_SLOW", "1"))
STOP_LIMIT = 5 * SLOW

KEEPER = "mailfs-keeper"
REPORT = re.compile(r"ERROR: (?:Address|Leak|Thread|Memory)Sanitizer|runtime error:"
                    r"|SUMMARY: \w*Sanitizer|AddressSanitizer:DEADLYSIGNAL")


class MountFailed(Exception):
    """mailfs ended before it had mounted anything: code and stderr tell why."""

    def __init__(self, code, stderr):
        super().__init__("mailfs exited with %s:\n%s" % (code, stderr))
        self.code = code
        self.stderr = stderr


def run(command, timeout=20, check=True, cwd=None, stdin=None, env=None):
    """A child with a limit; stdout and stderr as bytes. It and its children die at the limit."""
    child = subprocess.Popen(command, shell=isinstance(command, str), cwd=cwd, env=env,
                             stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        out, err = child.communicate(stdin, timeout * SLOW)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        try:
            child.communicate(timeout=2)
        except subprocess.TimeoutExpired:
            pass  # stuck in the kernel until the mount is aborted
        raise
    done = subprocess.CompletedProcess(command, child.returncode, out, err)
    if check and done.returncode != 0:
        raise AssertionError("%r exited with %d:\n%s" % (command, done.returncode,
                                                         err.decode("utf-8", "replace")))
    return done


def end_on_sigterm():
    """SIGTERM ends the tests as Ctrl-C does: fixtures clean up, no server or mount is left."""

    def interrupt(_number, _frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def mounts():
    """{mount point: (device minor, file system type)}; the topmost where they are stacked."""
    found = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            words = line.split(" ")
            path = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal.group(1), 8)), words[4])
            kind = words[words.index("-") + 1]
            found[path] = (int(words[2].split(":")[1]), kind)
    return found


def is_mounted(path):
    return os.path.abspath(path) in mounts()


def find_binary():
    """MAILFS_BINARY, else the newest mailfs in a build directory of the tree; None = nowhere."""
    if os.environ.get("MAILFS_BINARY"):
        return os.path.abspath(os.environ["MAILFS_BINARY"])
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    found = [path for pattern in ("build*/mailfs", "build*/src/mailfs", "build*/src/*/mailfs")
             for path in glob.glob(os.path.join(root, pattern)) if os.access(path, os.X_OK)]
    found = [path for path in found if os.path.isfile(path)]
    return max(found, key=os.path.getmtime) if found else None


def source_of(server, tls=None, user="demo", folder="", host=None, protocol="imap"):
    """(URL, options) for a Dovecot or a scripted server. tls: implicit, starttls, none."""
    is_dovecot = hasattr(server, "imaps_port")
    protocol = getattr(server, "protocol", protocol)
    tls = tls or ("implicit" if is_dovecot else server.tls or "none")
    if is_dovecot:
        port = getattr(server, protocol + ("s_port" if tls == "implicit" else "_port"))
    else:
        port = server.port
    scheme = protocol + ("s" if tls == "implicit" else "")
    host = host or ("localhost" if server.host == "127.0.0.1" else server.host)
    url = "%s://%s@%s:%d%s" % (scheme, urllib.parse.quote(user, safe=""), host, port,
                               "/" + folder if folder else "")
    options = ["tls=none"] if tls == "none" else ["tls-ca=" + server.ca_file]
    return url, options


begun = set()  # mounts of this process that were started and not cleaned up


def cleanup_all():
    """At exit, for tests that were interrupted before they could clean up."""
    for mount in list(begun):
        mount.cleanup()


atexit.register(cleanup_all)


class Mount:
    """One mailfs process and its mount point.

    path      the mount point       home       holds cache, state and config (env() points there)
    process   set while it runs in the foreground (-f)
    """

    def __init__(self, binary, scratch, source, options=(), password="secret", foreground=True,
                 arguments=(), environment=None):
        self.binary = binary
        self.home = scratch or tempfile.mkdtemp(prefix="mailfs-test-")
        self.path = os.path.join(self.home, "Mail")
        self.source = source
        self.options = list(options)
        self.password = password
        self.foreground = foreground
        self.arguments = list(arguments)
        self.environment = dict(environment or {})
        self.token = uuid.uuid4().hex
        self.process = None
        self.asked_to_die = False
        self.runs = 0
        self.problems = []
        for sub in ("Mail", "cache", "state", "config", "runtime", "sanitizer"):
            os.makedirs(os.path.join(self.home, sub), mode=0o700, exist_ok=True)

    # Starting.

    def env(self):
        env = {key: value for key, value in os.environ.items()
               if not key.startswith(("XDG_", "MAILFS_", "SSL_CERT", "DBUS_"))}
        report = os.path.join(self.home, "sanitizer", "report")
        env.update({
            "HOME": self.home,
            "XDG_CACHE_HOME": os.path.join(self.home, "cache"),
            "XDG_STATE_HOME": os.path.join(self.home, "state"),
            "XDG_CONFIG_HOME": os.path.join(self.home, "config"),
            "XDG_RUNTIME_DIR": os.path.join(self.home, "runtime"),
            "MAILFS_TEST_TOKEN": self.token,
            "NO_COLOR": "1",
            "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:handle_abort=1:exitcode=99:log_path="
                            + report,
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99:log_path=" + report,
            "LSAN_OPTIONS": os.environ.get("LSAN_OPTIONS", ""),
        })
        env.update(self.environment)
        return env

    def command(self, passfd):
        options = list(self.options)
        if passfd is not None:
            options.append("passfd=%d" % passfd)
        command = [self.binary] + (["-f"] if self.foreground else []) + self.arguments
        if options:
            command += ["-o", ",".join(options)]
        return command + [self.source, self.path]

    def start(self, timeout=20):
        """Returns once mounted; MountFailed if the program ends before."""
        begun.add(self)
        self.runs += 1
        self.asked_to_die = False
        before = mounts().get(self.path)
        was_dead = before is not None and self._is_dead()
        self._spawn()
        deadline = time.monotonic() + timeout * SLOW
        while time.monotonic() < deadline:
            code = self.process.poll()
            # The dead mount of a killed run does not count. The new one may have its device number,
            # so first it must be gone, then something be there: not the other way round.
            is_dead = was_dead and self._is_dead()
            now = mounts().get(self.path)
            if was_dead:
                mounted = now is not None and not is_dead
            else:
                mounted = now is not None and (now != before or (code == 0 and not self.foreground))
            if code is not None and (self.foreground or code != 0):
                raise MountFailed(code, self.stderr)
            if mounted and (self.foreground or code == 0):
                return self
            time.sleep(0.01)
        raise MountFailed("no mount in time", self.stderr)

    def _is_dead(self):
        """Does every call fail that reaches the daemon, as when it was killed? stat() may be
        answered from what the kernel remembers."""
        try:
            os.statvfs(self.path)
        except OSError as error:
            return error.errno in (errno.ENOTCONN, errno.ECONNABORTED)
        return False

    def _spawn(self):
        passfd = None
        if self.password is not None:
            passfd, write_end = os.pipe()
            os.write(write_end, self.password.encode() + b"\n")
            os.close(write_end)
        with open(self.stderr_path(), "ab") as err:
            self.process = subprocess.Popen(
                self.command(passfd), env=self.env(), cwd="/", stdin=subprocess.DEVNULL,
                stdout=err, stderr=err, start_new_session=True,
                pass_fds=() if passfd is None else (passfd,))
        if passfd is not None:
            os.close(passfd)

    def fails(self, timeout=30):
        """For mounts that must not succeed: the MountFailed, with code and stderr."""
        try:
            self.start(timeout)
        except MountFailed as failure:
            assert not is_mounted(self.path), "failed, yet mounted"
            return failure
        raise AssertionError("it mounted, although it should not have")

    # Looking.

    def stderr_path(self):
        return os.path.join(self.home, "stderr.%d" % self.runs)

    @property
    def stderr(self):
        """What the program has written, of the last start."""
        try:
            with open(self.stderr_path(), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def pids(self):
        """Our daemon's processes, found by the token in their environment. Not the keeper, which ends
        when they have ended."""
        if self.foreground:
            return [self.process.pid] if self.process and self.process.poll() is None else []
        needle = ("MAILFS_TEST_TOKEN=" + self.token).encode()
        found = []
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) == os.getpid():
                continue
            try:
                with open("/proc/%s/environ" % name, "rb") as file:
                    if needle not in file.read().split(b"\0"):
                        continue
                with open("/proc/%s/stat" % name) as file:
                    head, _, rest = file.read().rpartition(")")
                if rest.split()[0] == "Z" or head.endswith("(" + KEEPER):
                    continue
            except OSError:
                continue
            found.append(int(name))
        return found

    @property
    def pid(self):
        pids = self.pids()
        assert pids, "mailfs is not running:\n" + self.stderr
        return min(pids)

    def is_running(self):
        return bool(self.pids())

    def status(self, timeout=10):
        """.mailfs/status.json, parsed."""
        return json.loads(run(["cat", os.path.join(self.path, ".mailfs", "status.json")],
                              timeout).stdout)

    def wait_status(self, condition, timeout=20):
        """Polls status() until condition(status) is true; returns the status."""
        deadline = time.monotonic() + timeout * SLOW
        while True:
            status = self.status()
            if condition(status):
                return status
            assert time.monotonic() < deadline, "status stays %r" % status
            time.sleep(0.05)

    def join(self, *parts):
        return os.path.join(self.path, *parts)

    def read(self, *parts, timeout=20):
        """The bytes of a file, read by a child."""
        return run(["cat", "--", self.join(*parts)], timeout).stdout

    def list(self, *parts, timeout=20):
        """Names in a directory, sorted, read by a child."""
        out = run(["find", self.join(*parts), "-mindepth", "1", "-maxdepth", "1",
                   "-printf", "%f\\0"], timeout).stdout
        return sorted(out.decode("utf-8", "surrogateescape").split("\0")[:-1])

    def memory(self):
        """Resident bytes of the daemon."""
        with open("/proc/%d/status" % self.pid) as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) * 1024

    # Ending.

    def stop(self, number=signal.SIGTERM):
        """A clean end: unmounted, exit code 0, in time. Returns the seconds it took."""
        self.asked_to_die = True
        pids = self.pids()
        assert pids, "mailfs was gone before it was stopped:\n" + self.stderr
        start = time.monotonic()
        for pid in pids:
            os.kill(pid, number)
        assert self._wait_gone(STOP_LIMIT + 10), "mailfs does not end:\n" + self.stderr
        took = time.monotonic() - start
        assert not is_mounted(self.path), "ended, but still mounted"
        if self.foreground:
            assert self.process.returncode == 0, \
                "exit code %s:\n%s" % (self.process.returncode, self.stderr)
        assert took < STOP_LIMIT, "took %.1f s to end" % took
        self.check_reports()
        return took

    def kill9(self):
        """Sudden death. The mount point stays behind, dead, as it does in life."""
        self.asked_to_die = True
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        assert self._wait_gone(5)

    def remount(self, **more):
        """Starts again on the same mount point with the same cache."""
        return self.start(**more)

    def clear_cache(self):
        """Removes the cache directory (not while mounted)."""
        shutil.rmtree(os.path.join(self.home, "cache"))
        os.makedirs(os.path.join(self.home, "cache"), mode=0o700)

    def _wait_gone(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.pids():
                return True
            time.sleep(0.01)
        return not self.pids()

    def check_reports(self):
        """Sanitizer reports fail the test."""
        texts = [self.stderr]
        for path in glob.glob(os.path.join(self.home, "sanitizer", "report*")):
            with open(path, encoding="utf-8", errors="replace") as file:
                texts.append(file.read())
        for text in texts:
            assert not REPORT.search(text), "sanitizer report:\n" + text[-6000:]

    def abort(self):
        """Breaks our own FUSE connection: every call waiting in it returns."""
        here = mounts().get(self.path)
        if here and here[1].startswith("fuse"):
            try:
                with open("/sys/fs/fuse/connections/%d/abort" % here[0], "w") as file:
                    file.write("1")
            except OSError:
                pass

    def cleanup(self):
        """Ends what is left, in any state. Returns complaints (crashes, reports)."""
        crashed = self._crash()
        self.asked_to_die = True
        self._end_processes()
        for _ in range(5):
            if not is_mounted(self.path):
                break
            self.unmount()
        complaints = [crashed] if crashed else []
        try:
            self.check_reports()
        except AssertionError as report:
            complaints.append(str(report))
        if is_mounted(self.path):
            complaints.append("cannot unmount " + self.path)
        begun.discard(self)
        return complaints

    def remove(self):
        """Removes the directory, never descending into a mount."""
        if not is_mounted(self.path):
            shutil.rmtree(self.home, ignore_errors=True)

    def _crash(self):
        code = self.process.poll() if self.process else None
        if code is not None and code < 0 and not self.asked_to_die:
            return "mailfs died of signal %d:\n%s" % (-code, self.stderr)
        return None

    def _end_processes(self):
        for number, seconds in ((signal.SIGTERM, STOP_LIMIT), (signal.SIGKILL, 5)):
            pids = self.pids()
            for pid in pids:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            if not pids or self._wait_gone(seconds):
                break
            self.abort()

    def unmount(self):
        """fusermount3 first, lazily if it must be."""
        for command in (["fusermount3", "-u", self.path], ["fusermount3", "-uz", self.path],
                        ["umount", "-l", self.path]):
            try:
                if subprocess.run(command, capture_output=True, timeout=10).returncode == 0:
                    return
            except (OSError, subprocess.TimeoutExpired):
                pass

    def report(self):
        """For failed tests: status and log."""
        try:
            status = run(["cat", self.join(".mailfs", "status")], 2, check=False).stdout.decode()
        except subprocess.TimeoutExpired:
            status = "(does not answer)"
        return "--- status of %s\n%s\n--- stderr\n%s" % (self.path, status, self.stderr[-8000:])
