# SPDX-License-Identifier: MIT
"""Other users of the machine: what they may see of the mail, and what they can do to the cache."""

import errno
import os
import re
import stat
import sys

import pytest

from mounting import MountFailed, run
from tools import mail, popen, refresh, wait_until

NOBODY = 65534
STRANGER = 12345
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be somebody else")
pytestmark = [needs_root, pytest.mark.may_skip]

# Each way to look at the mount, as somebody: prints name and errno.
LOOK = """
import os, sys
folder, path = sys.argv[1:]
ways = {
    "list": lambda: os.listdir(folder),
    "stat": lambda: os.stat(path),
    "open": lambda: os.open(path, os.O_RDONLY),
    "xattr": lambda: os.getxattr(path, "user.mailfs.uid"),
    "enter": lambda: os.chdir(folder),
    "status": lambda: open(os.path.dirname(folder) + "/.mailfs/status").read(),
    "ctl": lambda: open(os.path.dirname(folder) + "/.mailfs/ctl", "w").write("refresh"),
}
for name, way in ways.items():
    try:
        way()
        print(name, 0)
    except OSError as error:
        print(name, error.errno)
"""


def as_user(uid, command, **more):
    return run(["setpriv", "--reuid=%d" % uid, "--regid=%d" % uid, "--clear-groups"] + command, check=False,
               **more)


def look(uid, mount):
    """{way: errno} of what a user gets. The way to the mount point is open to all."""
    os.chmod(mount.home, 0o755)
    done = as_user(uid, [sys.executable, "-c", LOOK, mount.join("INBOX"), mount.join("INBOX", "1.eml")])
    found = dict(line.split() for line in done.stdout.decode().splitlines())
    assert len(found) == 7, done.stderr
    return {way: int(code) for way, code in found.items()}


@pytest.fixture
def server(imap_server):
    one = imap_server()
    one.account["INBOX"].add(mail("one", 500))
    return one


# SEC-50: only the owner sees the mail.


def test_SEC_50_by_default_nobody_else_gets_in(mount, server):
    m = mount(server, ["name=uid"])
    assert m.read("INBOX", "1.eml") == mail("one", 500)
    assert set(look(NOBODY, m).values()) == {errno.EACCES}


@pytest.mark.parametrize("owner", [0, STRANGER])
def test_SEC_50_allow_other_lets_modes_decide(mount, server, owner):
    """Also when the owner has just read it: the verdict is not remembered for others."""
    m = mount(server, ["name=uid", "allow_other", "uid=%d" % owner, "gid=%d" % owner])
    with open("/proc/self/mountinfo") as file:
        line = next(line for line in file if m.path in line)
    assert "default_permissions" in line and "allow_other" in line
    assert m.read("INBOX", "1.eml") == mail("one", 500)
    assert set(look(owner, m).values()) == {0}
    assert set(look(NOBODY, m).values()) == {errno.EACCES}
    assert set(look(owner, m).values()) == {0}


def test_SEC_50_root_with_allow_other_must_say_for_whom(mount, server):
    failure = mount(server, ["allow_other"], start=False).fails()
    assert failure.code == 64 and "uid=" in failure.stderr


def test_SEC_50_SEC_52_what_is_started_is_closed_to_others(mount, server):
    """Neither memory nor files of the daemon are for other users, though they can see it run."""
    m = mount(server, ["name=uid"])
    for name in ("mem", "environ", "maps", "fd", "cwd"):
        done = as_user(NOBODY, ["ls" if name in ("fd",) else "readlink" if name == "cwd" else "cat",
                                "/proc/%d/%s" % (m.pid, name)])
        assert done.returncode != 0 and not done.stdout, name


# SEC-40: somebody else prepares or swaps the place of the cache.


def place(tmp_path, mode=0o1777):
    """A directory that everybody may write to, as /tmp is."""
    shared = str(tmp_path / "shared")
    os.mkdir(shared)
    os.chmod(shared, mode)
    for path in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        os.chmod(path, 0o755)
    return shared


def contents(path):
    return sorted(os.path.join(folder, name) for folder, folders, names in os.walk(path)
                  for name in folders + names)


def start_in(mount, server, shared):
    """Starts with shared/mailfs as the place of caches; (mount, None) or (mount, failure)."""
    m = mount(server, ["name=uid"], start=False, environment={"XDG_CACHE_HOME": shared})
    try:
        m.start()
    except MountFailed as failure:
        assert failure.code in (66, 73, 75, 77, 78), failure
        assert failure.stderr.strip()
        return m, failure
    return m, None


def test_SEC_40_parent_of_another_user_shows_them_nothing(mount, server, tmp_path):
    """Root can go into a closed directory of a user. What it makes there is root's alone."""
    shared = place(tmp_path)
    cache = os.path.join(shared, "mailfs")
    os.mkdir(cache, 0o700)
    os.chown(cache, NOBODY, NOBODY)
    m, failure = start_in(mount, server, shared)
    if failure:
        return
    assert m.read("INBOX", "1.eml") == mail("one", 500)
    m.stop()
    assert contents(cache)
    for path in contents(cache):
        assert os.lstat(path).st_uid == 0 and stat.S_IMODE(os.lstat(path).st_mode) & 0o077 == 0, path
    # They may put a directory of theirs in its place: then it is refused.
    mine = os.path.join(cache, os.listdir(cache)[0])
    os.rename(mine, mine + ".away")
    os.mkdir(mine, 0o700)
    os.chown(mine, NOBODY, NOBODY)
    with pytest.raises(MountFailed) as refused:
        m.remount()
    assert refused.value.code in (66, 73, 75, 77, 78)
    assert contents(mine) == []


@pytest.mark.parametrize("what", ["open directory", "link", "dangling link", "file", "fifo"])
def test_SEC_40_cache_that_another_user_has_prepared_is_refused(mount, server, tmp_path, what):
    shared = place( tmp_path)
    cache, trap = os.path.join(shared, "mailfs"), os.path.join(shared, "trap")
    os.mkdir(trap)
    if what == "open directory":
        os.mkdir(cache)
        os.chmod(cache, 0o777)
    elif what == "link":
        os.symlink(trap, cache)
    elif what == "dangling link":
        os.symlink(os.path.join(trap, "made"), cache)
    elif what == "fifo":
        os.mkfifo(cache)
    else:
        open(cache, "w").close()
    for path in (trap, cache):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    _m, failure = start_in(mount, server, shared)
    assert failure, "it took what another user has prepared"
    assert contents(trap) == []
    assert not os.path.isdir(cache) or contents(cache) == []


def test_SEC_40_open_directory_of_our_own_is_refused(mount, server, tmp_path):
    shared = place( tmp_path)
    cache = os.path.join(shared, "mailfs")
    os.mkdir(cache)
    os.chmod(cache, 0o777)
    m, failure = start_in(mount, server, shared)
    if failure is None:  # made private at once is as good
        assert stat.S_IMODE(os.stat(cache).st_mode) & 0o077 == 0


def test_SEC_40_directory_that_everybody_may_swap_is_refused(mount, server, tmp_path):
    """Without the sticky bit another user renames our directory away and puts theirs there."""
    shared = place( tmp_path, mode=0o777)
    _m, failure = start_in(mount, server, shared)
    assert failure and contents(shared) in ([], [os.path.join(shared, "mailfs")])


SWAP = """
import os, sys
shared = sys.argv[1]
os.chdir(shared)
print("on", flush=True)
while True:
    for step in (lambda: os.mkdir("mailfs", 0o777), lambda: os.rmdir("mailfs"),
                 lambda: os.symlink("trap", "mailfs"), lambda: os.unlink("mailfs")):
        try:
            step()
        except OSError:
            pass
"""


def test_SEC_40_place_that_is_swapped_while_it_starts(mount, server, tmp_path):
    """Whoever wins: nothing of ours lands in what belongs to another user."""
    shared = place( tmp_path)
    trap = os.path.join(shared, "trap")
    os.mkdir(trap)
    os.chmod(trap, 0o777)
    os.chown(trap, NOBODY, NOBODY)
    swapper = popen(["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups",
                     sys.executable, "-c", SWAP, shared])
    swapper.stdout.readline()
    try:
        for _round in range(12):
            m, failure = start_in(mount, server, shared)
            assert contents(trap) == []
            if failure is None:
                assert os.stat(os.path.join(shared, "mailfs")).st_uid == 0
                break
    finally:
        swapper.kill()
        swapper.communicate(timeout=5)
    assert contents(trap) == []


def test_SEC_40_files_linked_from_elsewhere_are_private(mount, server, tmp_path):
    """A hard link to a cache file, made by somebody else, shows them nothing."""
    m = mount(server, ["name=uid"])
    assert m.read("INBOX", "1.eml") == mail("one", 500)
    os.chmod(m.home, 0o755)
    tried = 0
    for folder, _folders, names in os.walk(os.path.join(m.home, "cache", "mailfs")):
        for name in names:
            done = as_user(NOBODY, ["ln", os.path.join(folder, name), "/tmp/mailfs-linked-%d" % os.getpid()])
            assert done.returncode != 0 and b"Permission denied" in done.stderr, done.stderr
            tried += 1
    assert tried >= 2


# SEC-38: no text of anybody reaches a shell.


def test_SEC_38_helper_runs_without_a_shell(mount, server, tmp_path):
    marker = tmp_path / "touched"
    m = mount("work", ["name=uid", "tls=none"], start=False, password=None)
    path = os.path.join(m.home, "config", "mailfs")
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, "mailfs.conf"), "w") as file:
        file.write("[account work]\nsource = imap://demo@localhost:%d\n"
                   "password-command = printf 'secret\\n%%s' ; touch %s `touch %s` $(touch %s) | touch %s\n"
                   % ((server.port,) + (marker,) * 4))
    os.chmod(file.name, 0o600)
    m.start()
    assert m.read("INBOX", "1.eml") == mail("one", 500)
    assert server.logins[0][:3] == ("demo", "secret", True)
    assert not marker.exists()


def test_SEC_38_helper_inherits_nothing_and_names_of_folders_run_nothing(mount, imap_server, tmp_path):
    marker = tmp_path / "touched"
    server = imap_server()
    names = ["`touch %s`" % marker, "$(touch %s)" % marker, ";touch %s;" % marker]
    for name in names:
        server.account.add(name.replace("/", "_").encode()).add(mail("in " + name, 300))
    seen = tmp_path / "seen"
    helper = tmp_path / "helper"
    helper.write_text("#!/bin/sh\nls -l /proc/self/fd > %s\npwd >> %s\necho secret\n" % (seen, seen))
    helper.chmod(0o755)
    m = mount("work", ["name=uid", "tls=none"], start=False, password=None)
    path = os.path.join(m.home, "config", "mailfs")
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, "mailfs.conf"), "w") as file:
        file.write("[account work]\nsource = imap://demo@localhost:%d\npassword-command = %s\n"
                   % (server.port, helper))
    os.chmod(file.name, 0o600)
    m.start()
    run(["ls", "-lR", m.path])
    # A second login, now that the cache, the mount and a connection are open.
    server.drop()
    wait_until(lambda: refresh(m, check=False), 10, "the connection")
    text = seen.read_text()
    assert text.splitlines()[-1] == "/"
    open_files = re.findall(r" (\d+) -> (\S+)", text)
    assert {int(fd) for fd, _target in open_files} <= {0, 1, 2, 3}
    assert not re.search(r"socket:|/dev/fuse|index\.db|eventfd", text), text
    assert not marker.exists()
