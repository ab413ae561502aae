# SPDX-License-Identifier: MIT
"""What the daemon may do once it runs: open little, run nothing; and that all goes on working."""

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time

import pytest

import mounting
from mounting import run
from test_add import ADDRESS, DOMAIN, world  # pylint: disable=unused-import
from test_cli import ask_on_a_terminal, write_config

# A kernel without landlock, made by seccomp(2): landlock_create_ruleset() is ENOSYS.
OLD_KERNEL = """
import ctypes, os, struct, sys
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7fff0000)]
text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(text))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(22, 2, ctypes.create_string_buffer(program), 0, 0) != 0:
    sys.exit("seccomp: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
"""


def has_landlock():
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) >= 2


needs_landlock = pytest.mark.may_skip(pytest.mark.skipif(not has_landlock(),
                                                         reason="no landlock in this kernel"))


@pytest.fixture
def server(imap_server):
    one = imap_server()
    one.account["INBOX"].add(b"Subject: hello\r\n\r\nbody\r\n", uid=7)
    return one


def wait_until(condition):
    deadline = time.monotonic() + 20 * mounting.SLOW
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def threads_of(pid):
    """{thread: value of NoNewPrivs}"""
    found = {}
    for thread in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, thread), encoding="utf-8") as file:
            found[thread] = [line.split()[1] for line in file if line.startswith("NoNewPrivs")][0]
    return found


def keepers_of(one):
    """The keepers of this mount: they have its token in their environment."""
    needle = ("MAILFS_TEST_TOKEN=" + one.token).encode()
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/comm" % name, encoding="utf-8") as file:
                if file.read().strip() != mounting.KEEPER:
                    continue
            with open("/proc/%s/environ" % name, "rb") as file:
                if needle in file.read().split(b"\0"):
                    found.append(int(name))
        except OSError:
            pass
    return found


@needs_landlock
@pytest.mark.parametrize("foreground", [True, False])
def test_all_threads_are_confined_and_the_status_says_so(mount, server, foreground):
    one = mount(server, ["name=uid"], foreground=foreground)
    assert one.read("INBOX", "7.eml").endswith(b"body\r\n")
    assert one.status()["confinement"] == "landlock, no new privileges"
    assert b"\nconfinement: landlock, no new privileges\n" in one.read(".mailfs", "status")
    threads = threads_of(one.pid)
    assert len(threads) > 3 and set(threads.values()) == {"1"}
    # The one process that may still run fusermount3.
    keeper, = keepers_of(one)
    assert set(threads_of(keeper).values()) == {"0"}
    one.stop()
    wait_until(lambda: not keepers_of(one))  # it ends with the daemon


@needs_landlock
def test_a_file_elsewhere_is_not_opened(mount, server, tmp_path):
    """Whoever could make the daemon open a file of the user: here by a link in place of its own."""
    one = mount(server, password=None, start=False)
    write_config(one, "[account work]\nsource = %s\ntls = none\npassword = secret\n" % one.source)
    one.source, one.options = "work", []
    one.start()
    path = os.path.join(one.home, "config", "mailfs", "mailfs.conf")
    shutil.copy(path, tmp_path / "elsewhere.conf")
    os.unlink(path)
    os.symlink(tmp_path / "elsewhere.conf", path)
    os.kill(one.pid, signal.SIGHUP)
    wait_until(lambda: "nothing was changed" in one.stderr)
    assert "Permission denied" in one.stderr
    assert one.list() == ["INBOX"]


@needs_landlock
def test_confine_no_is_off(mount, server):
    one = mount(server, ["confine=no"])
    assert one.status()["confinement"] == "off (confine=no)"
    assert set(threads_of(one.pid).values()) == {"0"}


@pytest.mark.may_skip
@pytest.mark.skipif(os.getuid() != 0, reason="only root may install a filter before fusermount3")
def test_kernel_without_landlock(mount, server):
    one = mount(server, ["name=uid"], start=False)
    path = os.path.join(one.home, "old-kernel")
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\nexec %s -c '%s' %s \"$@\"\n" % (sys.executable, OLD_KERNEL, one.binary))
    os.chmod(path, 0o755)
    one.binary = path
    one.start()
    assert one.read("INBOX", "7.eml").endswith(b"body\r\n")
    assert one.status()["confinement"] == "no new privileges; the kernel has no landlock"


def test_commands_run_from_outside(mount, server):
    """Also those of later logins, in a process that is not confined, and without the daemon's files."""
    one = mount(server, password=None, start=False, foreground=False)
    notes = os.path.join(one.home, "notes")
    program = os.path.join(one.home, "tell")
    with open(program, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\ngrep NoNewPrivs /proc/self/status >>%s; ls -l /proc/$$/fd >>%s; echo secret\n"
                   % (notes, notes))
    os.chmod(program, 0o755)
    write_config(one, "[account work]\nsource = %s\ntls = none\npassword-command = %s\npoll = 1\n"
                 % (one.source, program))
    one.source, one.options = "work", ["connections=1"]
    one.start()
    logins = len(server.logins)
    server.drop()
    one.wait_status(lambda status: status["state"] == "online" and len(server.logins) > logins)
    with open(notes, encoding="utf-8") as file:
        text = file.read()
    assert text.count("NoNewPrivs:\t0\n") == len(server.logins)
    assert "socket:" not in text and "fuse" not in text


def kill_keeper(one):
    keeper, = keepers_of(one)
    os.kill(keeper, signal.SIGKILL)
    one.wait_status(lambda status: status["confinement"].endswith("; mailfs-keeper was killed"))
    assert one.stderr.count("mailfs-keeper was killed") == 1


@pytest.mark.parametrize("confine", ["yes", "no"])
def test_without_its_keeper_the_daemon_does_it_or_says_so(mount, server, confine):
    one = mount(server, password=None, start=False)
    write_config(one, "[account work]\nsource = %s\ntls = none\npassword-command = echo secret\nconfine = %s\n"
                 % (one.source, confine))
    one.source, one.options = "work", ["connections=1"]
    one.start()
    kill_keeper(one)
    logins = len(server.logins)
    server.drop()
    os.kill(one.pid, signal.SIGUSR1)
    if confine == "no" or not has_landlock():
        one.wait_status(lambda status: status["state"] == "online" and len(server.logins) > logins)
    else:
        one.wait_status(lambda status: any("mailfs-keeper, which does that, was killed" in reason
                                           for reason in status["reasons"]))
    if confine == "no":
        one.stop()  # and unmounts


def test_a_keeper_that_was_killed_costs_no_mail(mount, server):
    one = mount(server, ["name=uid"])
    kill_keeper(one)
    assert one.read("INBOX", "7.eml").endswith(b"body\r\n")
    os.kill(one.pid, signal.SIGTERM)
    one.asked_to_die = True
    assert one.process.wait(mounting.STOP_LIMIT) == 0  # what stays is a dead mount; the next one heals it
    if has_landlock():
        assert mounting.is_mounted(one.path) and "stays as a dead mount" in one.stderr
    one.start()
    assert one.read("INBOX", "7.eml").endswith(b"body\r\n")


def waits_with_an_order(keeper):
    """Has the daemon sent it something that it has not read? Its socket is the first fd behind stderr."""
    libc = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(keeper)
    fd = libc.syscall(438, process, 3, 0)  # pidfd_getfd
    os.close(process)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    size = fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4)
    os.close(fd)
    return int.from_bytes(size, sys.byteorder) > 0


@pytest.mark.may_skip
@pytest.mark.skipif(os.getuid() != 0, reason="only root sees the sockets of a process")
@pytest.mark.parametrize("when", ["before the mount", "after the mount"])
def test_a_mount_that_nobody_takes_goes_away(mount, server, when):
    """The daemon is killed while it waits for the keeper to mount."""
    one = mount(server, start=False)
    is_held, go_on = threading.Event(), threading.Event()

    def hold(connection, _tag, _line):
        is_held.set()
        go_on.wait(60 * mounting.SLOW)
        connection.greet()

    server.on("GREETING", hold)
    mounting.begun.add(one)
    one._spawn()
    assert is_held.wait(20 * mounting.SLOW)
    keeper, = keepers_of(one)
    os.kill(keeper, signal.SIGSTOP)
    go_on.set()
    wait_until(lambda: waits_with_an_order(keeper))
    os.kill(one.pid, signal.SIGKILL if when == "before the mount" else signal.SIGSTOP)
    os.kill(keeper, signal.SIGCONT)
    if when == "after the mount":
        wait_until(lambda: mounting.is_mounted(one.path))
    one.kill9()
    wait_until(lambda: not keepers_of(one))
    assert not mounting.is_mounted(one.path)


# The same for people: fusermount3 is setuid, and nobody is root.


class Person:
    """Another user, in a mount namespace where /dev/fuse is open to all, as it is on most machines."""

    SETUP = """
        mknod -m 666 "$1/fuse" c 10 229 && mount --bind "$1/fuse" /dev/fuse && chown -R 65534:65534 "$1" &&
        echo ready && read -r _
    """

    def __init__(self, one):
        self.one = one
        self.holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", self.SETUP,
                                        "sh", one.home], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"ready\n"

    def command(self, *command):
        """What runs it as that person, there."""
        return ["nsenter", "--mount=/proc/%d/ns/mnt" % self.holder.pid, "setpriv", "--reuid=65534",
                "--regid=65534", "--clear-groups", *command]

    def call(self, *command, env=None):
        return run(self.command(*command), 30, env=env or self.one.env(), cwd="/").stdout

    def is_mounted(self):
        return (" %s " % self.one.path).encode() in self.call("cat", "/proc/self/mountinfo")

    def stop(self):
        run(["nsenter", "--mount=/proc/%d/ns/mnt" % self.holder.pid, "umount", "-l", self.one.path], check=False)
        self.holder.stdin.close()
        self.holder.wait(10)


@pytest.fixture
def install():
    """install(mount): puts the programs where a person can run them; returns the Person."""
    made = []

    def make(one):
        run(["cp", one.binary, os.path.join(one.home, "mailfs")])
        run(["ln", "-s", "mailfs", os.path.join(one.home, "mailfsctl")])
        made.append(Person(one))
        return made[-1]

    if os.getuid() != 0:
        pytest.skip("only root can be somebody else")
    yield make
    for person in made:
        person.stop()


@pytest.fixture
def person(mount, server, install):
    one = mount(server, password=None, start=False, foreground=False)
    write_config(one, "[account work]\nsource = %s\ntls = none\npassword-command = echo secret\nname = uid\n"
                 % one.source)
    return install(one)


@pytest.mark.may_skip
@pytest.mark.parametrize("end", ["mailfsctl umount", "fusermount3", "TERM"])
def test_not_root_mounts_reads_and_unmounts(person, end):
    one, ctl = person.one, os.path.join(person.one.home, "mailfsctl")
    person.call(os.path.join(one.home, "mailfs"), "work", one.path)
    assert person.call("cat", one.join("INBOX", "7.eml")).endswith(b"body\r\n")
    if has_landlock():
        assert b"confinement: landlock" in person.call(ctl, "status", one.path)
    if end == "TERM":
        os.kill(one.pid, signal.SIGTERM)
    else:
        person.call(*((ctl, "umount") if end == "mailfsctl umount" else (end, "-u")), one.path)
    assert one._wait_gone(mounting.STOP_LIMIT)
    wait_until(lambda: not keepers_of(one))
    assert not person.is_mounted()


@pytest.mark.may_skip
def test_not_root_from_an_empty_home_with_nothing_but_a_password(world, install):
    world.srv("imap." + DOMAIN)
    one = world.one
    home = os.path.join(one.home, "home")
    os.mkdir(home)
    ca = os.path.join(one.home, "ca.pem")
    shutil.copy(one.environment["SSL_CERT_FILE"], ca)
    env = {key: value for key, value in world.env().items() if not key.startswith("XDG_")}
    env.update({"HOME": home, "SSL_CERT_FILE": ca})
    one.env, one.path = lambda: env, os.path.join(home, "Mail")
    person = install(one)
    program, ctl = os.path.join(one.home, "mailfs"), os.path.join(one.home, "mailfsctl")

    def type_password(*command):
        real, one.binary = one.binary, shutil.which("nsenter")
        one.command = lambda _passfd: person.command(*command)
        seen = []
        code = ask_on_a_terminal(one, b"secret\n", seen)
        one.binary = real
        assert code == 0, seen
        return seen[0]

    assert "mailfs %s ~/Mail" % ADDRESS in type_password(ctl, "add", ADDRESS)
    person.call("mkdir", one.path)
    type_password(program, ADDRESS, one.path)
    assert person.call("ls", one.path) == b"INBOX\n"
    assert person.call("cat", one.join("INBOX", "7.eml")).endswith(b"body\r\n")
    assert b"state: online" in person.call(ctl, "status")
    person.call(ctl, "umount", one.path)
    assert one._wait_gone(mounting.STOP_LIMIT) and not person.is_mounted()
    for place in (".config/mailfs", ".cache/mailfs", ".local/state/mailfs"):
        assert os.stat(os.path.join(home, place)).st_mode & 0o777 == 0o700, place
    one.asked_to_die = True
