# SPDX-License-Identifier: MIT
"""What the mount tests share: ways to read a file, the truth about a mailbox, small servers."""

import collections
import ctypes
import errno
import hashlib
import io
import os
import re
import select
import struct
import subprocess
import sys
import tarfile
import time

import mounting
from mounting import run

SLOW = mounting.SLOW
LIBC = ctypes.CDLL(None, use_errno=True)
UID = re.compile(r"(?:\.|^)(\d+)\.eml$")

# Ends in 0, or in the errno of what failed, whatever the program would have said.
PROBE = """
import os, sys, mmap
def by_read(path, size):
    fd = os.open(path, os.O_RDONLY)
    while True:
        data = os.read(fd, size)
        if not data:
            return
        sys.stdout.buffer.write(data)
def by_mmap(path):
    fd = os.open(path, os.O_RDONLY)
    size = os.fstat(fd).st_size
    if size:
        sys.stdout.buffer.write(mmap.mmap(fd, size, mmap.MAP_PRIVATE, mmap.PROT_READ)[:])
try:
    kind, path = sys.argv[1:3]
    by_mmap(path) if kind == "mmap" else by_read(path, int(kind))
    sys.stdout.buffer.flush()
except OSError as error:
    os._exit(error.errno)
"""


def probe(path, kind="4096", timeout=20):
    """(errno, bytes) of reading a file in a child: read() of so many bytes, or "mmap"."""
    done = run([sys.executable, "-c", PROBE, str(kind), path], timeout, check=False)
    return done.returncode, done.stdout


def errno_of(path, timeout=20):
    return probe(path, timeout=timeout)[0]


# Ways to read one file: function(path, scratch) -> (exit code, bytes).


def by_cat(path, _scratch):
    done = run(["cat", "--", path], check=False)
    return done.returncode, done.stdout


def by_cp(path, scratch):
    return copied(["cp", "--", path], scratch)


def by_dd(path, scratch):
    target = os.path.join(str(scratch), "dd")
    done = run(["dd", "if=" + path, "of=" + target, "bs=777", "status=none"], check=False)
    return done.returncode, take(target)


def by_rsync(path, scratch):
    return copied(["rsync", "-a", "--no-owner", "--no-group", "--", path], scratch)


def by_tar(path, _scratch):
    folder, name = os.path.split(path)
    done = run(["tar", "-C", folder, "-cf", "-", "--", name], check=False)
    try:
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            member = archive.getmembers()[0]
            return done.returncode, archive.extractfile(member).read()
    except (tarfile.TarError, IndexError):
        return done.returncode or 1, b""


def by_mmap(path, _scratch):
    return probe(path, "mmap")


def by_read(path, _scratch):
    return probe(path, "1013")


TOOLS = {"cat": by_cat, "cp": by_cp, "dd": by_dd, "tar": by_tar, "rsync": by_rsync,
         "mmap": by_mmap, "read": by_read}


def copied(command, scratch):
    target = os.path.join(str(scratch), "copy")
    done = run(command + [target], check=False)
    return done.returncode, take(target)


def take(path):
    """The bytes of a file of ours, which is then removed."""
    if not os.path.exists(path):
        return b""
    with open(path, "rb") as file:
        data = file.read()
    os.unlink(path)
    return data


# Whole trees: function(path, scratch) -> {path relative to the tree: bytes}.


def tree_by_cat(path, _scratch):
    names = files_of(path)
    script = 'while IFS= read -r -d "" f; do cat -- "$f" || exit 1; printf "\\0\\1end\\1\\0"; done'
    out = run(["bash", "-c", script], 120, cwd=path,
              stdin=b"".join(os.fsencode(name) + b"\0" for name in names)).stdout
    return dict(zip(names, out.split(b"\0\1end\1\0")[:-1], strict=True))


def tree_by_cp(path, scratch):
    run(["cp", "-r", "--", path + "/.", str(scratch)], 120)
    return tree_of(scratch)


def tree_by_tar(path, _scratch):
    out = run(["tar", "-C", path, "-cf", "-", "."], 120).stdout
    with tarfile.open(fileobj=io.BytesIO(out)) as archive:
        return {os.path.normpath(member.name): archive.extractfile(member).read()
                for member in archive.getmembers() if member.isfile()}


def tree_by_rsync(path, scratch):
    run(["rsync", "-a", "--no-owner", "--no-group", path + "/", str(scratch)], 120)
    return tree_of(scratch)


TREE_TOOLS = {"cat": tree_by_cat, "cp": tree_by_cp, "tar": tree_by_tar, "rsync": tree_by_rsync}


def files_of(path):
    out = run(["find", path, "-type", "f", "-printf", "%P\\0"], 60).stdout
    return sorted(os.fsdecode(name) for name in out.split(b"\0")[:-1])


def tree_of(path):
    """Every file of a local directory."""
    found = {}
    for folder, _folders, names in os.walk(str(path)):
        for name in names:
            full = os.path.join(folder, name)
            with open(full, "rb") as file:
                found[os.path.relpath(full, str(path))] = file.read()
    return found


def sums(tree):
    """{(folder, uid): SHA-256} of a tree whose names end in the UID."""
    result = {}
    for path, data in tree.items():
        folder, name = os.path.split(path)
        key = (folder, uid_of(name))
        assert key not in result, "%s twice" % (key,)
        result[key] = hashlib.sha256(data).hexdigest()
    return result


# The truth.


def truth(server, folder):
    """{uid: bytes} of one folder of a Dovecot, by one call of doveadm."""
    out = server.doveadm("-f", "pager", "fetch", "-u", server.user, "uid size.physical text",
                         "mailbox", server.vname(folder), "all")
    found = {}
    at = 0
    while at < len(out):
        head = re.compile(rb"\f?\n?uid: (\d+)\nsize\.physical: (\d+)\ntext:\n").match(out, at)
        assert head, "doveadm wrote %r" % out[at : at + 80]
        end = head.end() + int(head.group(2))
        found[int(head.group(1))] = re.sub(rb"(?<!\r)\n", b"\r\n", out[head.end() : end])
        at = out.find(b"\f", end) + 1 or len(out)
        if not out[at:].strip():
            break
    return found


def true_sums(server, folders):
    return {(folder, uid): hashlib.sha256(data).hexdigest()
            for folder in folders for uid, data in truth(server, folder).items()}


def all_flags(server, folders):
    return {folder: server.flags(folder) for folder in folders}


# The mount.


def uid_of(name):
    found = UID.search(name)
    assert found, "no UID in %r" % name
    return int(found.group(1))


def files(mount, *folder):
    """{uid: path} of the messages listed in a folder."""
    return {uid_of(name): mount.join(*folder, name) for name in mount.list(*folder)
            if name.endswith(".eml")}


def refresh(mount, folder="", check=True):
    """Tells the mount to look at the server; returns when it has. False: it failed."""
    command = ("refresh " + folder).strip()
    done = run(["sh", "-c", 'printf "%s\\n" "$1" > "$2"', "sh", command, mount.join(".mailfs", "ctl")],
               check=check)
    return done.returncode == 0


def wait_until(condition, timeout=10, what="that"):
    end = time.monotonic() + timeout * SLOW
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    assert condition(), "%s does not come" % what


def wait_readable(path, data, timeout=15):
    """Until a file reads as these bytes; never may it read as others."""
    def reads():
        code, got = probe(path)
        assert code != 0 or got == data, "other bytes than the message's"
        return code == 0
    wait_until(reads, timeout, "reading " + path)


def stat_lines(mount, fields="%P %i %T@ %s %m %A@", *folder):
    """A line per file and directory; the root's own is left out."""
    out = run(["find", mount.join(*folder), "-mindepth", "1", "-printf", fields + "\\n"], 60).stdout
    return sorted(out.decode("utf-8", "surrogateescape").splitlines())


def cache_files(mount):
    """Everything under the cache directory, by relative path."""
    root = os.path.join(mount.home, "cache")
    return sorted(os.path.relpath(os.path.join(folder, name), root)
                  for folder, folders, names in os.walk(root) for name in names)


def raises(code, function, *arguments):
    """The call fails with this errno."""
    try:
        function(*arguments)
    except OSError as error:
        assert error.errno == code, "%s instead of %s" % (errno.errorcode.get(error.errno),
                                                          errno.errorcode[code])
        return
    raise AssertionError("no error, but %s was due" % errno.errorcode[code])


def raw_getxattr(path, name, size):
    """getxattr(2) with a buffer of so many bytes: the length, or minus errno."""
    buffer = ctypes.create_string_buffer(max(size, 1))
    got = LIBC.getxattr(os.fsencode(path), os.fsencode(name), buffer, ctypes.c_size_t(size))
    return got if got >= 0 else -ctypes.get_errno()


def raw_listxattr(path, size):
    buffer = ctypes.create_string_buffer(max(size, 1))
    got = LIBC.listxattr(os.fsencode(path), buffer, ctypes.c_size_t(size))
    return got if got >= 0 else -ctypes.get_errno()


def resources(mount):
    """(threads of the daemon, {kind of open file: how many})."""
    base = "/proc/%d/" % mount.pid
    kinds = collections.Counter()
    for name in os.listdir(base + "fd"):
        try:
            kinds[re.sub(r"[\d\[\]]+$", "", os.readlink(base + "fd/" + name))] += 1
        except FileNotFoundError:
            pass  # closed meanwhile
    return len(os.listdir(base + "task")), kinds


CREATE, DELETE, ATTRIB = 0x100, 0x200, 0x4
MOVED = 0xC0


class Watch:
    """inotify(7) of one directory: [(mask, name)]."""

    def __init__(self, path):
        self.fd = LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert LIBC.inotify_add_watch(self.fd, os.fsencode(path),
                                      ctypes.c_uint32(CREATE | DELETE | ATTRIB | MOVED)) >= 0
        self.events = []

    def read(self, timeout=0.0):
        while select.select([self.fd], [], [], timeout)[0]:
            data = os.read(self.fd, 65536)
            while data:
                _wd, mask, _cookie, length = struct.unpack_from("iIII", data)
                name = data[16:16 + length].rstrip(b"\0").decode()
                self.events.append((mask, name))
                data = data[16 + length:]
        return self.events

    def wait(self, event, timeout=15):
        wait_until(lambda: event in self.read(0.05), timeout, "%r" % (event,))

    def close(self):
        os.close(self.fd)


# Messages and scripted servers.


def mail(subject="Hello", size=0, sender="Ann Lee <ann@example.org>", tail=b""):
    """A message; at least `size` bytes where that is given."""
    head = ("From: %s\r\nTo: demo@localhost\r\nSubject: %s\r\nMessage-ID: <%s@example.org>\r\n"
            "Date: Tue, 02 Jan 2024 14:30:00 +0000\r\n\r\n"
            % (sender, subject, hashlib.md5(subject.encode()).hexdigest())).encode()
    line = b"The budget of this quarter is on its way and we should talk about it.\r\n"
    body = line * (max(size - len(head) - len(tail), 0) // len(line) + 1)
    if size:
        body = body[: max(size - len(head) - len(tail), 0)]
    return head + body + tail


def is_body(line):
    """Is this command a fetch of a body?"""
    return bool(re.search(rb"BODY\.PEEK\[\]", line, re.I))


BODY_FETCH = rb"(?i)BODY\.PEEK\[\]"


def body_fetches(server):
    """The commands that asked for bodies."""
    return [command for command in list(server.commands)
            if command.name == "UID FETCH" and is_body(command.line)]


def popen(command, **more):
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **more)
