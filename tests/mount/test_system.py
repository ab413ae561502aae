# SPDX-License-Identifier: MIT
"""mailfs as part of a system: mount(8), /etc/fstab, umount(8), the service manager."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

import mounting
from mounting import run
from test_cli import write_config

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                    "src", "data")

def needs_root(test):
    mark = pytest.mark.skipif(os.getuid() != 0, reason="only root may call mount(8) this way")
    return pytest.mark.may_skip(mark(test))


@pytest.fixture
def server(imap_server):
    one = imap_server()
    one.account["INBOX"].add(b"Subject: hello\r\n\r\nbody\r\n", uid=7)
    return one


class System:
    """A mount namespace of its own, whose /sbin has the names that a package installs. Nothing of it
    is seen, or stays, outside."""

    SETUP = """
        mkdir "$1/sbin" && mount --bind "$(readlink -f /sbin)" "$1/sbin" &&
        mount -t tmpfs -o mode=755 sbin "$(readlink -f /sbin)" &&
        ln -s "$1"/sbin/* /sbin/ &&
        for name in $3; do ln -s "$2" "/sbin/$name" || exit; done && echo ready && read -r _
    """

    def __init__(self, one, has_helpers):
        self.one = one
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", self.SETUP, "sh",
             one.home, one.binary, "mailfs" if not has_helpers else "mount.mailfs mount.fuse.mailfs"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"ready\n"

    def call(self, *command, check=True):
        # In /, as at boot, where account names like "home" look like files.
        return run(["nsenter", "--mount=/proc/%d/ns/mnt" % self.holder.pid, *command], 30, check=check,
                   env=self.one.env(), cwd="/")

    def text(self, *command):
        return self.call(*command).stdout.decode()

    def fstab(self, line):
        path = os.path.join(self.one.home, "fstab")
        with open(path, "w", encoding="utf-8") as file:
            file.write(line + "\n")
        return path

    def count(self):
        return self.text("cat", "/proc/self/mountinfo").count(" %s " % self.one.path)

    def stop(self):
        self.call("umount", self.one.path, check=False)
        self.holder.stdin.close()
        self.holder.wait(10)


@pytest.fixture
def system(mount, server):
    """system(options of the account, has_helpers): an account named home, and a System."""
    made = []

    def make(keys="", has_helpers=True):
        one = mount(server, password=None, start=False, foreground=False)
        write_config(one, "[account home]\nsource = %s\ntls = none\npassword = secret\nname = uid\n%s"
                     % (one.source, keys))
        made.append(System(one, has_helpers))
        return made[-1]

    yield make
    for one in made:
        one.stop()
        deadline = time.monotonic() + 10 * mounting.SLOW
        while one.one.pids() and time.monotonic() < deadline:
            time.sleep(0.01)


@needs_root
def test_fstab_from_mount_a_to_umount(system):
    here = system()
    fstab = here.fstab("home %s fuse.mailfs noexec,user,_netdev,nofail,x-systemd.automount,ro 0 0"
                       % here.one.path)
    here.call("mount", "-a", "-T", fstab)
    assert here.text("ls", here.one.join("INBOX")) == "7.eml\n"
    assert here.text("findmnt", "-n", "-o", "FSTYPE,SOURCE", here.one.path).split() == \
        ["fuse.mailfs", "demo@localhost:"]
    here.call("mount", "-a", "-T", fstab)  # once more changes nothing
    assert here.count() == 1
    here.call("umount", here.one.path)
    assert here.count() == 0
    assert here.one._wait_gone(mounting.STOP_LIMIT)


@needs_root
@pytest.mark.parametrize("kind, source, has_helpers", [
    ("fuse.mailfs", "home", True), ("mailfs", "home", True),
    ("fuse.mailfs", "home", False), ("fuse", "mailfs#home", False),
])
def test_all_ways_of_mount_8(system, kind, source, has_helpers):
    here = system(has_helpers=has_helpers)
    here.call("mount", "-t", kind, source, here.one.path, "-o", "noauto,users,_netdev,exact-size,nodev")
    assert here.text("cat", here.one.join("INBOX", "7.eml")) == "Subject: hello\r\n\r\nbody\r\n"
    here.call("umount", here.one.path)
    assert here.count() == 0


@needs_root
def test_typo_in_fstab_is_told(system):
    here = system()
    fstab = here.fstab("home %s fuse.mailfs nmae=uid 0 0" % here.one.path)
    done = here.call("mount", "-a", "-T", fstab, check=False)
    assert done.returncode != 0
    assert b"unknown option: nmae" in done.stderr
    # Sloppy is for what other systems know.
    here.call("mount", "-s", "-t", "fuse.mailfs", "home", here.one.path, "-o", "nmae=uid")


@needs_root
def test_boot_with_the_server_down_and_coming_up_later(system, server):
    here = system("poll = 1\n")
    # Once before, so that there is a cache.
    here.call("mount", "-a", "-T", here.fstab("home %s fuse.mailfs _netdev 0 0" % here.one.path))
    here.call("cat", here.one.join("INBOX", "7.eml"))
    here.call("umount", here.one.path)
    assert here.one._wait_gone(mounting.STOP_LIMIT)
    fstab = here.fstab("home %s fuse.mailfs _netdev,nofail,delay_connect 0 0" % here.one.path)
    server.refuse()
    server.drop()
    here.call("mount", "-a", "-T", fstab)  # the machine boots
    assert here.text("cat", here.one.join("INBOX", "7.eml")).endswith("body\r\n")
    server.account["INBOX"].add(b"Subject: new\r\n\r\nnew\r\n", uid=8)
    server.start()
    os.kill(here.one.pid, signal.SIGUSR1)
    deadline = time.monotonic() + 20 * mounting.SLOW
    while here.text("ls", here.one.join("INBOX")) != "7.eml\n8.eml\n":
        assert time.monotonic() < deadline, here.text("cat", here.one.join(".mailfs", "status"))
        time.sleep(0.1)


@needs_root
def test_log_of_the_background_goes_to_the_journal(system, tmp_path):
    here = system("poll = 0\n")
    here.call("mount", "-t", "tmpfs", "run", "/run")
    here.call("mkdir", "-p", "/run/systemd/journal")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "socket"))
        journal.settimeout(20 * mounting.SLOW)
        here.call("mount", "--bind", str(tmp_path), "/run/systemd/journal")
        here.call("mount", "-t", "fuse.mailfs", "home", here.one.path, "-o", "ro", "-v")
        os.kill(here.one.pid, signal.SIGTERM)
        seen = b""
        while b"MESSAGE=home: stopped\n" not in seen:
            seen = journal.recv(65536)
    assert b"PRIORITY=6\n" in seen and b"SYSLOG_IDENTIFIER=mailfs\n" in seen
    assert b"MAILFS_LAYER=home\n" in seen


# The service manager.


class Manager:
    """What listens on $NOTIFY_SOCKET."""

    def __init__(self, address):
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1))
        self.socket.settimeout(20 * mounting.SLOW)
        self.seen = []

    def wait_for(self, word):
        """The datagrams up to one with this line in it."""
        while word not in "\n".join(self.seen[-1:]).split("\n"):
            self.seen.append(self.socket.recv(4096).decode())
        return self.seen.pop()


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    one = Manager(str(tmp_path / "notify") if request.param == "path" else "@mailfs-test-%d" % os.getpid())
    yield one
    one.socket.close()


def test_service_start_reload_stop(mount, server, manager):
    one = mount(server, ["name=uid"], environment={"NOTIFY_SOCKET": manager.address})
    manager.wait_for("READY=1")
    assert mounting.is_mounted(one.path)
    assert [text for text in manager.seen if not text.startswith("STATUS=")] == []
    os.kill(one.pid, signal.SIGHUP)
    assert "MONOTONIC_USEC=" in manager.wait_for("RELOADING=1")
    manager.wait_for("READY=1")
    server.refuse()
    server.drop()
    while not manager.seen or not manager.seen[-1].startswith("STATUS=offline: "):
        manager.seen.append(manager.socket.recv(4096).decode())
    one.asked_to_die = True
    os.kill(one.pid, signal.SIGTERM)
    manager.wait_for("STOPPING=1")
    assert one.process.wait(mounting.STOP_LIMIT) == 0


def test_service_is_not_ready_before_it_has_mounted(mount, imap_server, manager):
    server = imap_server(tls="implicit")
    one = mount(server, password="wrong", start=False, environment={"NOTIFY_SOCKET": manager.address})
    # The unit file has RestartPreventExitStatus=64 77 78.
    assert one.fails().code == 77
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            assert "READY" not in manager.socket.recv(4096).decode()


def test_commands_do_not_inherit_the_manager(mount, server, manager):
    one = mount(server, password=None, start=False, environment={"NOTIFY_SOCKET": manager.address})
    write_config(one, "[account work]\nsource = %s\ntls = none\npassword-command = "
                 "sh -c 'echo ${NOTIFY_SOCKET-secret}'\n" % one.source)
    one.source, one.options = "work", []
    one.start()


@pytest.mark.may_skip
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_unit_file_is_clean(mailfs_binary, tmp_path):
    with open(os.path.join(DATA, "mailfs@.service.in"), encoding="utf-8") as file:
        text = file.read()
    assert re.search(r"^RestartPreventExitStatus=64 77 78$", text, re.M)
    # Where it is tested there are no manual pages, and the program lies elsewhere.
    text = re.sub(r"^Documentation=.*\n", "", text, flags=re.M)
    path = tmp_path / "mailfs@work.service"
    path.write_text(text.replace("@bindir@/mailfs", mailfs_binary))
    done = run(["systemd-analyze", "--user", "verify", str(path)], 30, check=False,
               env=dict(os.environ, XDG_RUNTIME_DIR=str(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert not [line for line in (done.stdout + done.stderr).decode().splitlines() if "mailfs" in line]
