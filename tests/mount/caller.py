# SPDX-License-Identifier: MIT
"""System calls in a child, each with its time: what never may hang must not hang the tests.

    with Caller() as caller:
        answer = caller.ask("read", path)    # open, read to the end, forget the pages, close
        answer.errno, answer.data            # 0 and the bytes; or the errno of what failed
        answer.call, answer.seconds          # the slowest single call
        caller.ask("look", directory, name)  # lookup, stat, readdir, statfs, xattr; .data: names
        caller.ask("forget", directory)      # drops the pages of all files in there

A child that does not answer is killed, and Stuck is raised.
"""

import base64
import errno
import json
import os
import select
import subprocess
import sys
import time

CHILD = r"""
import base64, ctypes, json, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(512)
slowest = ["", 0.0]

def timed(name, function, *arguments):
    begin = time.monotonic()
    try:
        return function(*arguments)
    finally:
        took = time.monotonic() - begin
        if took > slowest[1]:
            slowest[:] = [name, took]

def statx(path):
    # AT_STATX_FORCE_SYNC: the daemon answers, not what the kernel remembers.
    if libc.statx(-100, os.fsencode(path), 0x2000, 0x7ff, buffer) != 0:
        raise OSError(ctypes.get_errno(), "statx")

def forget(path):
    fd = timed("open", os.open, path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)

def read(path):
    fd = timed("open", os.open, path, os.O_RDONLY)
    pieces = []
    try:
        while not pieces or pieces[-1]:
            pieces.append(timed("read", os.read, fd, 131072))
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        timed("close", os.close, fd)
    return base64.b64encode(b"".join(pieces)).decode()

def look(directory, name):
    path = directory + "/" + name
    timed("stat", statx, path)
    names = timed("readdir", os.listdir, directory)
    timed("statfs", os.statvfs, directory)
    timed("listxattr", os.listxattr, path)
    timed("getxattr", os.getxattr, path, "user.mailfs.state")
    return names

def forget_all(directory):
    for name in os.listdir(directory):
        forget(directory + "/" + name)

DO = {"read": read, "look": look, "forget": forget_all}
for line in sys.stdin:
    order = json.loads(line)
    slowest[:] = ["", 0.0]
    code, data = 0, None
    try:
        data = DO[order[0]](*order[1:])
    except OSError as error:
        code = error.errno
    print(json.dumps([code, slowest[0], slowest[1], data]), flush=True)
"""


class Stuck(AssertionError):
    """A call that did not return."""


class Answer:
    def __init__(self, errno_, call, seconds, data):
        self.errno = errno_
        self.call = call
        self.seconds = seconds
        self.data = data

    def __repr__(self):
        return "%s after %.2f s in %s()" % (errno.errorcode.get(self.errno, "OK"), self.seconds, self.call)


class Caller:
    def __init__(self):
        self.child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, start_new_session=True)
        self.rest = b""

    def ask(self, *order, limit=60):
        self.child.stdin.write(json.dumps(order).encode() + b"\n")
        self.child.stdin.flush()
        answer = Answer(*json.loads(self._line(order, time.monotonic() + limit)))
        if order[0] == "read" and answer.errno == 0:
            answer.data = base64.b64decode(answer.data)
        return answer

    def _line(self, order, end):
        while b"\n" not in self.rest:
            ready = select.select([self.child.stdout], [], [], max(0, end - time.monotonic()))[0]
            data = os.read(self.child.stdout.fileno(), 1 << 20) if ready else b""
            if not data:
                with open("/proc/%d/stat" % self.child.pid) as file:
                    state = file.read().rsplit(")", 1)[1].split()[0]
                raise Stuck("%r does not return (state %s)" % (order, state))
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        return line

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.child.kill()
        self.child.stdin.close()
        self.child.stdout.close()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            pass  # in the kernel until the mount is aborted
