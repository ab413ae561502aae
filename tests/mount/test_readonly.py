# SPDX-License-Identifier: MIT
"""Read-only mounts of trusted accounts: the kernel opens and closes files by itself.

Nobody is asked before a file is read then, so what was true of open() must come true otherwise:
sizes that turn out wrong (SZ-1), names that go (KC-1, KC-3), .mailfs/status.
"""

import errno
import json
import os
import re
import signal

import pytest

from mounting import run
from tools import TOOLS, files, mail, popen, probe, wait_until

HONEST = 32  # so many right sizes earn trust
SIZES = {"big": 10_500, "small": 9500, "one-less": 9999, "zero": 0}


def serve(imap_server, *others):
    """An INBOX with enough honest mail to be trusted, then the others."""
    server = imap_server()
    for raw in [mail("honest %d" % at) for at in range(HONEST)] + list(others):
        server.account["INBOX"].add(raw)
    return server


def trusted(mount, server, *options):
    """A read-only mount that has come to trust the server."""
    m = mount(server, ["name=uid", "ro", "poll=0", "debug", *options])
    for uid in range(1, HONEST + 1):
        m.read("INBOX", "%d.eml" % uid)
    status = m.status()
    assert status["sizes"] == "trusted"
    return m


def asked(mount, *verbs):
    return sum(len(re.findall(r"opcode: %s \(" % verb, mount.stderr)) for verb in verbs)


def look(mount):
    """A look at the server: .mailfs/ctl cannot be written to here."""
    syncs = mount.status()["syncs"]
    os.kill(mount.pid, signal.SIGUSR1)
    wait_until(lambda: mount.status()["syncs"] > syncs, 10, "the look at the server")


# What it is for.


def test_warm_reads_make_no_requests(mount, imap_server):
    server = serve(imap_server)
    m = trusted(mount, server)
    paths = [m.join("INBOX", "%d.eml" % uid) for uid in range(1, HONEST + 1)]
    run(["cat", *paths])  # the first open is the last one
    before = asked(m, "OPEN", "FLUSH", "RELEASE", "READ", "GETATTR", "LOOKUP")
    out = run(["cat", *paths]).stdout
    assert out == b"".join(mail("honest %d" % at) for at in range(HONEST))
    # The status is looked up in between by nobody; the kernel may look at the folders again.
    assert asked(m, "OPEN", "FLUSH", "RELEASE", "READ", "GETATTR", "LOOKUP") - before <= 3


def test_a_remount_of_a_trusted_account_opens_once(mount, imap_server):
    server = serve(imap_server)
    m = trusted(mount, server)
    m.stop()
    m.remount()
    for uid in range(1, HONEST + 1):
        assert m.read("INBOX", "%d.eml" % uid) == mail("honest %d" % (uid - 1))
    assert asked(m, "OPEN") == 1 and asked(m, "RELEASE") == 0


def test_an_open_file_is_closed_before_there_are_no_opens(mount, imap_server):
    """What was opened with a request is released with one, and reads on until then."""
    server = serve(imap_server, mail("long", 300_000))
    m = mount(server, ["name=uid", "ro", "poll=0", "debug"])
    held = os.open(m.join("INBOX", "1.eml"), os.O_RDONLY)
    for uid in range(2, HONEST + 2):
        m.read("INBOX", "%d.eml" % uid)
    assert m.status()["sizes"] == "trusted"
    for _time in range(3):
        m.read("INBOX", "2.eml")
    assert os.pread(held, 10_000, 0) == mail("honest 0")
    os.close(held)
    wait_until(lambda: asked(m, "OPEN") == asked(m, "RELEASE"), 5, "the release")
    m.read("INBOX", "3.eml")
    opens = asked(m, "OPEN")
    for uid in range(1, HONEST + 2):
        m.read("INBOX", "%d.eml" % uid)
    assert asked(m, "OPEN") == opens


def test_read_write_mounts_keep_their_opens(mount, imap_server):
    server = serve(imap_server)
    m = mount(server, ["name=uid", "debug"])
    for _time in range(2):
        for uid in range(1, HONEST + 1):
            m.read("INBOX", "%d.eml" % uid)
    assert asked(m, "OPEN") >= 2 * HONEST
    assert asked(m, "FLUSH") == 0
    assert "Function not implemented" not in m.stderr


# An account that begins to lie.


@pytest.mark.parametrize("how", sorted(SIZES))
def test_SZ_1_lies_that_come_after_the_trust(mount, imap_server, tmp_path, how):
    """Every tool, on sizes that the kernel has and does not ask for again: right or an error."""
    raws = [mail("for " + tool, 10_000, tail=b"last line\r\n") for tool in sorted(TOOLS)]
    server = serve(imap_server, *raws)
    for message in server.account["INBOX"].messages[HONEST:]:
        message.size = SIZES[how]
    m = trusted(mount, server, "prefetch=off")
    run(["ls", "-l", m.join("INBOX")])
    m.read("INBOX", "1.eml")
    paths = [m.join("INBOX", "%d.eml" % (HONEST + 1 + at)) for at in range(len(raws))]
    for tool, path, raw in zip(sorted(TOOLS), paths, raws):
        code, got = TOOLS[tool](path, tmp_path)
        assert code != 0 or got == raw, tool
    assert m.status()["sizes"] == "liar"
    for tool, path, raw in zip(sorted(TOOLS), paths, raws):
        wait_until(lambda: probe(path) == (0, raw), 5, "a right read")
        assert TOOLS[tool](path, tmp_path) == (0, raw), tool
        assert os.stat(path).st_size == len(raw)
    m.stop()
    m.remount()
    assert m.status()["sizes"] == "liar"
    for path, raw in zip(paths, raws):
        assert probe(path) == (0, raw)
    assert asked(m, "OPEN") >= len(raws)


@pytest.mark.parametrize("tool", sorted(TOOLS))
@pytest.mark.parametrize("how", ["big", "small"])
def test_SZ_1_the_first_lie_is_never_cut_short(mount, imap_server, tmp_path, tool, how):
    raw = mail("lie", 10_000, tail=b"last line\r\n")
    server = serve(imap_server, raw)
    server.account["INBOX"].messages[HONEST].size = SIZES[how]
    m = trusted(mount, server, "prefetch=off")
    m.read("INBOX", "1.eml")
    path = m.join("INBOX", "%d.eml" % (HONEST + 1))
    inode = os.stat(path).st_ino
    assert os.stat(path).st_size == SIZES[how]
    code, got = TOOLS[tool](path, tmp_path)
    assert code != 0 or got == raw
    wait_until(lambda: probe(path) == (0, raw), 5, "a right read")
    assert TOOLS[tool](path, tmp_path) == (0, raw)
    after = os.stat(path)
    assert (after.st_size, after.st_ino) == (10_000, inode)


@pytest.mark.parametrize("how", ["big", "small"])
def test_SZ_1_who_holds_the_wrong_size_gets_errors(mount, imap_server, how):
    raw = mail("lie", 10_000, tail=b"last line\r\n")
    server = serve(imap_server, raw)
    server.account["INBOX"].messages[HONEST].size = SIZES[how]
    m = trusted(mount, server, "prefetch=off")
    m.read("INBOX", "1.eml")
    path = m.join("INBOX", "%d.eml" % (HONEST + 1))
    fd = os.open(path, os.O_RDONLY)
    assert os.fstat(fd).st_size == SIZES[how]
    wait_until(lambda: probe(path) == (0, raw), 5, "a right read")
    for offset in (0, 4096, 8192, 9000):
        with pytest.raises(OSError) as failure:
            os.pread(fd, 500, offset)
        assert failure.value.errno in (errno.EIO, errno.ESTALE)
    os.close(fd)
    assert probe(path) == (0, raw)


def test_SZ_1_one_lie_makes_all_sizes_exact(mount, imap_server):
    """Sizes that nobody has asked for since: stat and ls find out, or the mount would lie on."""
    raws = [mail("lie %d" % at, 5000) for at in range(6)]
    server = serve(imap_server, *raws)
    for message in server.account["INBOX"].messages[HONEST:]:
        message.size = 4000
    m = trusted(mount, server, "prefetch=off")
    run(["ls", "-l", m.join("INBOX")])
    paths = [m.join("INBOX", "%d.eml" % (HONEST + 1 + at)) for at in range(len(raws))]
    assert [os.stat(path).st_size for path in paths] == [4000] * 6
    held = os.open(paths[5], os.O_PATH)
    probe(paths[0])
    for path, raw in zip(paths, raws):
        wait_until(lambda: os.stat(path).st_size == 5000, 5, "the exact size")
        assert probe(path) == (0, raw)
    os.close(held)
    out = run(["find", m.join("INBOX"), "-name", "3?.eml", "-size", "5000c"]).stdout
    assert len(out.splitlines()) == 6


# Names.


@pytest.mark.parametrize("name", ["uid", "human"])
def test_KC_1_message_that_goes_is_not_found(mount, imap_server, name):
    server = serve(imap_server)
    m = trusted(mount, server, "name=" + name)
    paths = files(m, "INBOX")
    for path in paths.values():
        assert probe(path)[0] == 0
    held = os.open(paths[1], os.O_RDONLY)
    server.account["INBOX"].expunge(1)
    look(m)
    wait_until(lambda: probe(paths[1])[0] == errno.ENOENT, 5, "the end of the name")
    assert probe(m.join("INBOX", "1.eml"))[0] == errno.ENOENT
    try:
        assert os.pread(held, 10_000, 0) == mail("honest 0"), "of the page cache"
    except OSError as error:
        assert error.errno == errno.ESTALE
    os.close(held)
    assert sorted(files(m, "INBOX")) == list(range(2, HONEST + 1))


def test_ID_1_uidvalidity_changes_under_what_is_cached(mount, imap_server):
    """The mounted folder is the root: it has no name that could be taken away from the kernel."""
    server = serve(imap_server)
    m = mount(server, ["name=uid", "ro", "poll=0"], folder="INBOX")
    for uid in range(1, HONEST + 1):
        m.read("%d.eml" % uid)
    held = os.open(m.join("1.eml"), os.O_RDONLY)
    assert probe(m.join("1.eml")) == (0, mail("honest 0"))
    inbox = server.account["INBOX"]
    inbox.uidvalidity += 1
    inbox.messages = []
    inbox.add(mail("another"), uid=1)
    server.drop()
    os.kill(m.pid, signal.SIGUSR1)
    wait_until(lambda: probe(m.join("1.eml")) == (0, mail("another")), 10, "the new message")
    assert probe(m.join("2.eml"))[0] == errno.ENOENT
    os.close(held)


def test_KC_1_flags_that_change_are_seen(mount, imap_server):
    server = serve(imap_server)
    m = trusted(mount, server)
    path = m.join("INBOX", "1.eml")
    assert probe(path)[0] == 0
    assert os.stat(path).st_mode & 0o100 == 0
    server.account["INBOX"].set_flags(1, ["\\Flagged"])
    look(m)
    wait_until(lambda: os.stat(path).st_mode & 0o100, 3, "the flag")


# .mailfs/status


def test_status_is_new_each_time(mount, imap_server):
    server = serve(imap_server, mail("more"))
    m = trusted(mount, server)
    path = m.join(".mailfs", "status.json")
    before = m.status()
    m.read("INBOX", "%d.eml" % (HONEST + 1))
    assert m.status()["bodies-fetched"] + m.status()["reads-from-cache"] > \
        before["bodies-fetched"] + before["reads-from-cache"]
    assert asked(m, "RELEASE") < HONEST + 5
    assert json.loads(m.read(".mailfs", "status.json"))["sizes"] == "trusted"
    assert b"\nsizes: trusted\n" in m.read(".mailfs", "status")
    assert os.stat(path).st_ino == os.stat(path).st_ino


@pytest.mark.parametrize("options", [["ro"], []])
def test_status_has_its_size_and_stays_while_it_is_read(mount, imap_server, tmp_path, options):
    server = serve(imap_server)
    m = mount(server, ["name=uid"] + options)
    for uid in range(1, HONEST + 1):
        m.read("INBOX", "%d.eml" % uid)
    path = m.join(".mailfs", "status.json")
    for _time in range(2):
        with open(path, "rb", buffering=0) as file:
            parts = [file.read(100)]
            for uid in range(1, 4):
                m.read("INBOX", "%d.eml" % uid)
                m.status()
            while parts[-1]:
                parts.append(file.read(100))
            data = b"".join(parts)
            assert len(data) == os.fstat(file.fileno()).st_size
            assert json.loads(data)["sizes"] == "trusted"
    for tool, by in sorted(TOOLS.items()):
        code, data = by(path, tmp_path)
        assert code == 0 and json.loads(data)["pid"] == m.pid, tool
    assert sorted(os.listdir(m.join(".mailfs"))) == ["ctl", "events", "pending", "status", "status.json"]


def test_status_is_read_by_many_at_once(mount, imap_server):
    server = serve(imap_server)
    m = trusted(mount, server)
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do cat '%s' || exit 1; echo; done" \
        % m.join(".mailfs", "status.json")
    readers = [popen(["sh", "-c", script]) for _at in range(4)]
    for reader in readers:
        out, _err = reader.communicate(timeout=30)
        assert reader.returncode == 0
        found = out.decode().split("\n}\n")[:-1]
        assert len(found) == 10
        for one in found:
            assert json.loads(one + "\n}\n")["sizes"] == "trusted"
