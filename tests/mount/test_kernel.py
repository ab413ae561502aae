# SPDX-License-Identifier: MIT
"""What the kernel remembers, what it waits for, and what is left when all is over.

KC cases: traps between the kernel and a FUSE daemon. F cases: claims that hold after any fault.
"""

import errno
import glob
import mmap
import os
import re
import sys
import threading
import time

import pytest

from imap_server import FIN, HANG, RST, reply
from mounting import run
from tools import (BODY_FETCH, SLOW, errno_of, files, mail, popen, probe, refresh, resources,
                   wait_readable, wait_until)


def serve(imap_server, messages, **more):
    server = imap_server(**more)
    for raw in messages:
        server.account["INBOX"].add(raw)
    return server


# KC-1: nothing stale stays in the kernel.


@pytest.mark.parametrize("off", [-500, 500])
@pytest.mark.parametrize("how", ["stat", "ls", "held"])
def test_KC_1_exact_size_replaces_the_remembered_one(mount, imap_server, off, how):
    """The kernel was told the wrong size, by LOOKUP or by READDIRPLUS, and may keep it for long."""
    server = serve(imap_server, [mail("one", 10_000)])
    server.account["INBOX"].messages[0].size = 10_000 + off
    m = mount(server, ["name=uid"])
    path = m.join("INBOX", "1.eml")
    if how == "ls":
        out = run(["find", m.join("INBOX"), "-type", "f", "-printf", "%s"]).stdout
        assert out == b"%d" % (10_000 + off)
    held = os.open(path, os.O_PATH) if how == "held" else None
    assert os.stat(path).st_size == 10_000 + off
    fd = os.open(path, os.O_RDONLY)
    assert os.fstat(fd).st_size == 10_000, "by the time that open() returns"
    assert os.stat(path).st_size == 10_000
    if held is not None:
        assert os.fstat(held).st_size == 10_000
        os.close(held)
    assert len(os.pread(fd, 20_000, 0)) == 10_000
    os.close(fd)


def test_KC_1_flags_and_times_that_change_are_seen(mount, imap_server):
    server = serve(imap_server, [mail("one"), mail("two")])
    m = mount(server, ["name=uid"])
    path = m.join("INBOX", "1.eml")
    fd = os.open(path, os.O_RDONLY)
    before = os.stat(path)
    assert before.st_mode & 0o100 == 0 and os.fstat(fd).st_ctime_ns == before.st_ctime_ns
    server.account["INBOX"].set_flags(1, ["\\Seen", "\\Flagged"])
    refresh(m, "INBOX")
    wait_until(lambda: os.stat(path).st_mode & 0o100, 3, "the flag")
    after = os.stat(path)
    assert after.st_ctime_ns > before.st_ctime_ns and after.st_atime != before.st_atime
    assert os.fstat(fd).st_mode == after.st_mode, "through an open file too"
    assert after.st_mtime_ns == before.st_mtime_ns
    os.close(fd)


def test_KC_1_KC_3_names_that_come_and_go_are_seen(mount, imap_server):
    """Also a name that the kernel was told not to be there."""
    server = serve(imap_server, [mail("one"), mail("two")])
    m = mount(server, ["name=uid"])
    assert errno_of(m.join("INBOX", "3.eml")) == errno.ENOENT
    assert m.list("INBOX") == ["1.eml", "2.eml"]
    count = os.stat(m.join("INBOX")).st_mtime_ns
    server.account["INBOX"].add(mail("three"))
    server.account["INBOX"].expunge(1)
    refresh(m, "INBOX")
    wait_until(lambda: os.path.exists(m.join("INBOX", "3.eml")), 3, "the new name")
    wait_until(lambda: not os.path.exists(m.join("INBOX", "1.eml")), 3, "the end of the old one")
    assert m.list("INBOX") == ["2.eml", "3.eml"]
    assert os.stat(m.join("INBOX")).st_mtime_ns > count


@pytest.mark.parametrize("name", ["uid", "human"])
def test_ID_1_KC_7_name_of_an_open_file_is_another_file_after_a_change(mount, imap_server, name):
    """Nobody lists the folder in between: stat() alone finds the new one."""
    server = serve(imap_server, [mail("one", 500), mail("two", 500)])
    m = mount(server, ["name=" + name])
    paths = files(m, "INBOX")
    old = {uid: os.stat(path).st_ino for uid, path in paths.items()}
    fd = os.open(paths[1], os.O_RDONLY)
    inbox = server.account["INBOX"]
    inbox.uidvalidity += 1
    server.drop()
    wait_until(lambda: refresh(m, "INBOX", check=False), 10, "the connection")
    for uid, path in paths.items():
        wait_until(lambda: os.stat(path).st_ino != old[uid], 3, "another inode of %d" % uid)
    try:
        assert os.pread(fd, 1000, 0) == mail("one", 500)
    except OSError as error:
        assert error.errno == errno.ESTALE
    os.close(fd)


def test_ID_1_KC_7_uidvalidity_changes_under_an_open_and_mapped_file(mount, imap_server):
    """Half of the file was read: the rest is of the same message, or an error."""
    old, new = mail("old", 2_000_000), mail("new", 2_000_000, tail=b"of another message\r\n")
    server = serve(imap_server, [mail("honest %d" % at) for at in range(33)])
    inbox = server.account["INBOX"]
    inbox.add(old)
    m = mount(server, ["name=uid"])
    for uid in range(1, 34):
        m.read("INBOX", "%d.eml" % uid)
    assert m.status()["sizes"] == "trusted"
    path = m.join("INBOX", "34.eml")
    fd = os.open(path, os.O_RDONLY)
    inode = os.fstat(fd).st_ino
    assert os.pread(fd, 50_000, 0) == old[:50_000]
    mapped = mmap.mmap(fd, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ)
    assert mapped[:] == old[:4096]
    inbox.uidvalidity = 4242
    inbox.messages = []
    inbox.add(new, uid=34)
    server.drop()
    wait_until(lambda: refresh(m, "INBOX", check=False), 10, "the connection")
    wait_until(lambda: os.stat(path).st_ino != inode, 5, "another inode")
    wait_readable(path, new)
    for offset in range(0, len(old), 250_000):
        try:
            got = os.pread(fd, 100_000, offset)
        except OSError as error:
            assert error.errno in (errno.ESTALE, errno.EIO, errno.ENOENT), error
            continue
        assert got == old[offset : offset + len(got)] and got, "bytes of another message"
    assert mapped[:] == old[:4096]
    mapped.close()
    os.close(fd)


# KC-2: notifications never meet a lock that they need.


def in_disk_sleep(children):
    found = []
    for child in children:
        try:
            with open("/proc/%d/stat" % child.pid) as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "D":
                    found.append(child.pid)
        except FileNotFoundError:
            pass
    return found


LOOPS = ["ls -lR {0}", "cat {0}/INBOX/*", "find {0} -name '*.eml' -exec stat -t {{}} +",
         "ls {0}/INBOX/999.eml; ls -U {0}/Box", "cp -r {0}/INBOX {1}; rm -rf {1}"]


def test_KC_2_expunges_and_readers_in_parallel(mount, imap_server, tmp_path):
    """For two seconds everything that makes the kernel forget meets everything that asks it."""
    server = serve(imap_server, [mail("number %d" % at, 700) for at in range(30)])
    box = server.account.add("Box")
    m = mount(server, ["name=uid"])
    m.list("INBOX")
    done = [str(tmp_path / ("done %d" % at)) for at in range(len(LOOPS))]
    children = [popen(["sh", "-c", "while :; do %s; echo >> '%s'; done >/dev/null 2>&1"
                       % (loop.format(m.path, tmp_path / "copy"), done[at])])
                for at, loop in enumerate(LOOPS)]
    end = time.monotonic() + 2
    rounds = 0
    while time.monotonic() < end:
        inbox = server.account["INBOX"]
        with_flag = inbox.messages[len(inbox.messages) // 2].uid
        inbox.set_flags(with_flag, ["\\Flagged"])
        for message in list(inbox.messages)[:3]:
            inbox.expunge(message.uid)
        for at in range(3):
            inbox.add(mail("late %d %d" % (rounds, at), 700))
        box.uidvalidity += 1
        box.add(mail("boxed %d" % rounds))
        refresh(m, check=False)
        rounds += 1
    lines = [sum(1 for _line in open(path)) if os.path.exists(path) else 0 for path in done]
    stuck = set(in_disk_sleep(children))
    for child in children:
        child.kill()
    for child in children:
        child.wait(timeout=5 * SLOW)  # what sleeps in the kernel would not die
    assert rounds > 2 and all(lines), (rounds, lines)
    if stuck:
        time.sleep(0.5)
        assert not stuck & set(in_disk_sleep(children))
    wait_until(lambda: refresh(m, check=False), 5, "an answer")
    wait_until(lambda: sorted(files(m, "INBOX")) == [one.uid for one in server.account["INBOX"].messages],
               5, "the list")
    for message in server.account["INBOX"].messages[-4:]:
        assert m.read("INBOX", "%d.eml" % message.uid) == message.raw
    m.stop()


# KC-4: no answer switches a call off.

# What the program does, on a message and a folder; the name of the request in libfuse's log.
CALLS = """
import os, sys, ctypes, errno
verb, path, folder = sys.argv[1:]
control = os.path.dirname(folder) + "/.mailfs"
libc = ctypes.CDLL(None, use_errno=True)
def fallocate():
    fd = os.open(path, os.O_RDONLY)
    if libc.fallocate(fd, 0, ctypes.c_long(0), ctypes.c_long(10)) < 0:
        raise OSError(ctypes.get_errno(), "")
def sync(where):
    fd = os.open(where, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
calls = {
    "GETXATTR": lambda: os.getxattr(path, "user.not.there"),
    "GETXATTR of another": lambda: os.getxattr(path, "security.capability"),
    "LISTXATTR": lambda: os.listxattr(path),
    "SETXATTR": lambda: os.setxattr(path, "user.x", b"1"),
    "SETXATTR of another": lambda: os.setxattr(path, "security.x", b"1"),
    "REMOVEXATTR": lambda: os.removexattr(path, "user.x"),
    "OPEN": lambda: os.open(path, os.O_RDWR),
    "OPENDIR": lambda: os.listdir(folder),
    "CREATE": lambda: os.open(control + "/new", os.O_CREAT | os.O_WRONLY),
    "LOOKUP": lambda: os.stat(folder + "/not there"),
    "MKDIR": lambda: os.mkdir(control + "/new"),
    "MKNOD": lambda: os.mkfifo(folder + "/new"),
    "UNLINK": lambda: os.unlink(path),
    "RMDIR": lambda: os.rmdir(folder),
    "SYMLINK": lambda: os.symlink("x", folder + "/new"),
    "LINK": lambda: os.link(path, folder + "/new"),
    "RENAME": lambda: os.rename(path, control + "/new"),
    "SETATTR": lambda: os.truncate(path, 0),
    "SETATTR of the mode": lambda: os.chmod(path, 0o777),
    "SETATTR of the time": lambda: os.utime(path, (1, 1)),
    "STATFS": lambda: os.statvfs(path),
    "ACCESS": lambda: os.access(path, os.W_OK) or sys.exit(0),
    "FSYNC": lambda: sync(path),
    "FSYNCDIR": lambda: sync(folder),
}
try:
    calls[verb]()
except OSError as error:
    os._exit(error.errno)
"""
REFUSED = {"GETXATTR": errno.ENODATA, "GETXATTR of another": errno.EOPNOTSUPP,
           "SETXATTR of another": errno.EOPNOTSUPP, "LOOKUP": errno.ENOENT,
           "REMOVEXATTR": errno.ENODATA, "RMDIR": errno.ENOTEMPTY}
FINE = ("LISTXATTR", "OPENDIR", "STATFS", "ACCESS", "FSYNC", "FSYNCDIR", "SETATTR of the mode",
        "SETATTR of the time")


def asked(mount, verb):
    """How often the daemon has heard this request."""
    return len(re.findall(r"opcode: %s \(" % re.escape(verb.split(" ")[0]), mount.stderr))


def thread_of(m, name):
    """The directory of a thread in /proc."""
    for task in glob.glob("/proc/%d/task/*" % m.pid):
        with open(task + "/comm", encoding="utf-8") as file:
            if file.read().strip() == name:
                return task
    raise AssertionError("no thread " + name)


def is_stuck(task):
    """In a wait that no signal ends."""
    with open(task + "/stat", encoding="utf-8") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "D"


def test_KC_2_killed_with_something_to_tell_the_kernel(mount, imap_server):
    """A name is to be forgotten in a directory whose lock somebody holds who waits for the daemon.
    All of them end when that is killed."""
    server = serve(imap_server, [mail("one")])
    archive = server.account.add("Archive")
    for word in ("two", "three"):
        archive.add(mail(word))
    m = mount(server, ["name=uid"])
    assert m.list("INBOX") == ["1.eml"] and len(m.list("Archive")) == 2
    fd = os.open(m.join("Archive", "1.eml"), os.O_RDONLY)
    assert os.pread(fd, 10, 0)
    server.on("UID MOVE", lambda c, tag, line: None)
    with popen(["mv", m.join("INBOX", "1.eml"), m.join("Archive", "x.eml")]) as mover:
        try:
            wait_until(lambda: any(command.name == "UID MOVE" for command in server.commands), 10, "mv")
            archive.expunge(1)
            refresh(m, "Archive")
            assert not is_stuck(thread_of(m, "notifier"))
            m.kill9()
            assert mover.wait(5 * SLOW) != 0
        finally:
            m.abort()
    os.close(fd)


def test_KC_2_the_name_of_an_open_file_goes_when_its_directory_is_free(mount, imap_server):
    server = serve(imap_server, [mail("one")])
    archive = server.account.add("Archive")
    for word in ("two", "three"):
        archive.add(mail(word))
    m = mount(server, ["name=uid"])
    assert m.list("INBOX") == ["1.eml"] and len(m.list("Archive")) == 2
    path = m.join("Archive", "1.eml")
    fd = os.open(path, os.O_RDONLY)
    assert os.pread(fd, 10, 0)
    go_on = threading.Event()

    @server.on("UID MOVE")
    def late(c, _tag, _line):
        go_on.wait(10 * SLOW)
        c.default()

    with popen(["mv", m.join("INBOX", "1.eml"), m.join("Archive", "x.eml")]) as mover:
        wait_until(lambda: any(command.name == "UID MOVE" for command in server.commands), 10, "mv")
        archive.expunge(1)
        refresh(m, "Archive")
        go_on.set()
        assert mover.wait(10 * SLOW) == 0
    wait_until(lambda: not os.path.exists(path), 5, "the end of the name")
    assert os.pread(fd, 10, 0)
    os.close(fd)


def test_KC_2_who_tells_the_kernel_keeps_no_file_of_others(mount, imap_server):
    """The notifier may be in the kernel when all other threads are dead: what it holds stays open."""
    server = serve(imap_server, [mail("one")])
    m = mount(server, ["name=uid"])
    m.list("INBOX")
    task = thread_of(m, "notifier")

    def kept():
        return sorted(os.readlink(task + "/fd/" + name) for name in os.listdir(task + "/fd")
                      if int(name) > 2)

    wait_until(lambda: kept() == ["/dev/fuse", "anon_inode:[eventfd]"], 5, "few files")


def test_KC_4_refused_calls_reach_the_daemon_again(mount, imap_server):
    """ENOSYS would be remembered for the life of the mount."""
    server = serve(imap_server, [mail("one"), mail("two")])
    server.account.add("Box").add(mail("boxed"))
    m = mount(server, ["name=uid", "debug", "delete=no"])
    m.read("INBOX", "1.eml")
    wrong = {}
    for verb in re.findall(r'^    "([A-Zof a-z]+)":', CALLS, re.M):
        expected = 0 if verb in FINE else REFUSED.get(verb, errno.EPERM)
        for round_ in (1, 2):
            before = asked(m, verb)
            code = run([sys.executable, "-c", CALLS, verb, m.join("INBOX", "1.eml"), m.join("Box")],
                       check=False).returncode
            if code != expected or asked(m, verb) == before:
                wrong[verb, round_] = (errno.errorcode.get(code, code), asked(m, verb) - before)
    assert not wrong
    assert "Function not implemented" not in m.stderr


def test_KC_4_failed_reads_and_opens_reach_the_daemon_again(mount, imap_server):
    """Each way in which a read fails, and then it works."""
    server = serve(imap_server, [mail("one", 500), mail("two", 500)])
    m = mount(server, ["name=uid", "timeout=1", "debug"])
    m.list("INBOX")
    for answer in ([b"%t NO cannot"], [b"%t BAD what"], [FIN], [HANG]):
        server.on("UID FETCH", reply(*answer), match=BODY_FETCH)
        before = asked(m, "OPEN")
        code, got = probe(m.join("INBOX", "1.eml"))
        assert code not in (0, errno.ENOSYS) and got == b"", answer
        assert asked(m, "OPEN") > before
        server.off()
        server.drop()
        wait_until(lambda: refresh(m, check=False), 10, "the connection")
    assert m.read("INBOX", "1.eml") == mail("one", 500)


# F-10: what a fault costs is given back.


def test_F_10_threads_and_files_return_to_the_idle_number(mount, imap_server):
    server = serve(imap_server, [mail("number %d" % at, 900) for at in range(8)], tls="implicit")
    m = mount(server, ["name=uid", "timeout=1", "connections=2"], password="secret")
    m.list("INBOX")
    assert m.read("INBOX", "8.eml") == mail("number 7", 900)

    def recover():
        server.off()
        server.drop()
        wait_until(lambda: refresh(m, check=False), 10, "the connection")

    recover()
    threads, idle = resources(m)
    for answer in ([HANG], [RST], [b"* 1 FETCH (UID 1 BODY[] {500}\r\nshort", FIN], [b"* BYE\r\n" * 100, FIN],
                   [b"%t NO [LIMIT] rate"], [b"((((((\r\n"], [b"* 1 FETCH (UID 1 BODY[] NIL)\r\n", b"%t OK"]):
        server.on("UID FETCH", reply(*answer), match=BODY_FETCH)
        readers = [popen(["cat", m.join("INBOX", "%d.eml" % uid)]) for uid in (1, 2, 3)]
        readers[0].kill()
        for reader in readers:
            reader.communicate(timeout=10 * SLOW)
        recover()

    def is_idle():
        now, kinds = resources(m)
        return now <= threads and not kinds - idle

    wait_until(is_idle, 5, "idleness: %s, then %s" % (idle, resources(m)[1]))
    assert m.read("INBOX", "1.eml") == mail("number 0", 900)
