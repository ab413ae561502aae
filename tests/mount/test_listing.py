# SPDX-License-Identifier: MIT
"""A big folder is listed as it comes, and never as if a part of it were all."""

import errno
import os
import shutil
import sys
import threading

import pytest

from mounting import run
from tools import SLOW, popen, wait_until

COUNT = 8000
PART = 7000  # messages that all commands but the last one ask for
RAW = b"Subject: one of many\r\n\r\nbody\r\n"

LISTER = """
import os, sys
count = 0
for entry in os.scandir(sys.argv[1]):
    count += 1
    if count == int(sys.argv[2]):
        print("many", flush=True)
print(count, flush=True)
"""


@pytest.fixture
def gate():
    """What comes after the first part waits for it."""
    event = threading.Event()
    yield event
    event.set()


def serve(imap_server, gate):
    server = imap_server()
    for _ in range(COUNT):
        server.account["INBOX"].add(RAW)

    @server.on("UID FETCH", match=rb"FETCH %d:" % (PART + 1))
    def late(c, tag, line):
        gate.wait()
        c.default()

    return server


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["uid", "human"])
def test_first_listing_is_given_as_it_comes(mount, imap_server, gate, name):
    server = serve(imap_server, gate)
    m = mount(server, ["name=" + name])
    lister = popen([sys.executable, "-c", LISTER, m.join("INBOX"), str(PART * 9 // 10)])
    try:
        assert lister.stdout.readline() == b"many\n"
        status = m.status()
        assert status["listing-folders"] == 1
        assert PART <= status["listing-messages"] < status["listing-expected"] == COUNT
        row, = status["folder-list"]
        assert (row["folder"], row["state"], row["total"]) == ("INBOX", "listing", COUNT)
        assert PART <= row["known"] < COUNT
        gate.set()
        assert lister.stdout.readline() == b"%d\n" % COUNT
        assert lister.wait(10 * SLOW) == 0
    finally:
        lister.kill()
        lister.communicate()
    status = m.status()
    assert status["listing-folders"] == status["listing-expected"] == 0
    assert status["folder-list"] == [{"folder": "INBOX", "state": "complete", "known": COUNT, "total": COUNT,
                                      "in-use": True, "cached": 0, "pinned": 0, "bytes": 0}]
    assert "\nfolder: %d of %d, complete: INBOX\n" % (COUNT, COUNT) in m.read(".mailfs", "status").decode()
    assert len(os.listdir(m.join("INBOX"))) == COUNT
    assert status["sweeps"] == 1


def test_message_is_read_while_the_rest_is_listed(mount, imap_server, gate):
    server = serve(imap_server, gate)
    m = mount(server, ["name=uid"])
    lister = popen([sys.executable, "-c", LISTER, m.join("INBOX"), str(PART * 9 // 10)])
    reader = None
    try:
        assert lister.stdout.readline() == b"many\n"
        reader = popen(["cat", m.join("INBOX", "7.eml"), m.join("INBOX", "%d.eml" % COUNT)])
        gate.set()
        assert reader.communicate()[0] == RAW * 2
    finally:
        for process in filter(None, (lister, reader)):
            process.kill()
            process.communicate()


@pytest.mark.deadline(120)
def test_first_listing_that_stops_is_an_error(mount, imap_server, gate, tmp_path):
    server = serve(imap_server, gate)
    m = mount(server, ["name=uid", "timeout=2"])
    with pytest.raises(OSError) as failed:
        os.listdir(m.join("INBOX"))
    assert failed.value.errno in (errno.ETIMEDOUT, errno.EIO, errno.EHOSTUNREACH)
    assert run(["ls", m.join("INBOX")], 60, check=False).returncode != 0
    assert run(["tar", "-cf", str(tmp_path / "part.tar"), m.join("INBOX")], 60,
               check=False).returncode != 0
    if shutil.which("rsync"):
        copy = tmp_path / "copy"
        copy.mkdir()
        (copy / ("%d.eml" % COUNT)).write_bytes(RAW)
        done = run(["rsync", "-rnv", "--delete", m.join("INBOX") + "/", str(copy)], 60, check=False)
        assert done.returncode != 0 and b"deleting" not in done.stdout
    gate.set()

    def is_whole():
        try:
            return len(os.listdir(m.join("INBOX"))) == COUNT
        except OSError:
            return False

    wait_until(is_whole, 30, "the whole listing")
