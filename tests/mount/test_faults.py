# SPDX-License-Identifier: MIT
"""Servers that die, daemons that are killed, readers that give up, mounts that are busy."""

import errno
import hashlib
import os
import random
import signal
import threading
import time

import pytest

import mailgen
from imap_server import HANG, reply
from mounting import is_mounted, run
from tools import (BODY_FETCH, SLOW, body_fetches, errno_of, files, files_of, mail, popen, probe,
                   wait_readable, wait_until)

LOST = (errno.EIO, errno.EHOSTUNREACH, errno.ETIMEDOUT)


def serve(imap_server, messages):
    server = imap_server()
    for raw in messages:
        server.account["INBOX"].add(raw)
    return server


def die_within_the_body_of_2(server, at):
    """The server stops answering for good after so many bytes of that body; 3 may come ahead of it."""
    @server.on("UID FETCH", match=rb"(?i)UID FETCH 2\b.*BODY\.PEEK\[\]", times=1)
    def die(c, tag, line):
        answer = c.capture()
        c.send(answer[:at])
        server.refuse()
        server.drop()
        c.rst()


# The server.


@pytest.mark.smoke
def test_server_is_killed_mid_read(mount, make_dovecot, make_proxy):
    """Error in time, cached mail goes on, reads work again without a remount."""
    raws = [mail("small", 2000), mail("big", 3_000_000), mail("other", 2000)]
    server = make_dovecot({"INBOX": [mailgen.Mail(raw) for raw in raws]})
    proxy = make_proxy(server.imaps_port)
    proxy.down.rate = 300_000
    m = mount(server, ["name=uid", "timeout=6"], port=proxy.port)
    assert m.read("INBOX", "1.eml") == raws[0]
    reader = popen(["cat", m.join("INBOX", "2.eml")])
    before = proxy.bytes_down()
    wait_until(lambda: proxy.bytes_down() > before + 300_000, 10, "the body")
    server.kill9()
    start = time.monotonic()
    out, _err = reader.communicate(timeout=20 * SLOW)
    assert reader.returncode != 0, "short data with success"
    assert raws[1].startswith(out)
    assert time.monotonic() - start < 8 * SLOW
    assert m.read("INBOX", "1.eml") == raws[0]
    start = time.monotonic()
    assert errno_of(m.join("INBOX", "3.eml")) in LOST
    assert time.monotonic() - start < 8 * SLOW
    proxy.down.rate = 0
    server.start()
    wait_readable(m.join("INBOX", "3.eml"), raws[2], 20)
    wait_readable(m.join("INBOX", "2.eml"), raws[1], 20)


def test_mount_heals_by_itself(mount, imap_server):
    """Without a refresh, without a signal: backoff begins at a second."""
    server = serve(imap_server, [mail("one"), mail("two")])
    m = mount(server, ["name=uid", "timeout=5"])
    assert m.read("INBOX", "1.eml") == mail("one")
    server.stop()
    assert errno_of(m.join("INBOX", "2.eml")) in LOST
    wait_until(lambda: m.status()["state"] in ("offline", "connecting"), 5, "the state")
    server.start()
    wait_readable(m.join("INBOX", "2.eml"), mail("two"), 15)
    assert m.status()["state"] == "online"


def test_signal_usr1_connects_at_once(mount, imap_server):
    server = serve(imap_server, [mail("one"), mail("two")])
    m = mount(server, ["name=uid", "timeout=5"])
    m.list("INBOX")
    server.stop()
    for _ in range(3):
        assert errno_of(m.join("INBOX", "2.eml")) in LOST
    server.start()
    server.account["INBOX"].add(mail("three"))
    os.kill(m.pid, signal.SIGUSR1)
    wait_until(lambda: m.list("INBOX") == ["1.eml", "2.eml", "3.eml"], 5, "new mail")


def test_unmount_while_the_server_is_gone(mount, imap_server):
    server = serve(imap_server, [mail("one")])
    m = mount(server, ["name=uid"])
    m.list("INBOX")
    server.stop()
    errno_of(m.join("INBOX", "1.eml"))
    assert m.stop() < 5 * SLOW


@pytest.mark.parametrize("at", [5, 200, 1500])
def test_dying_server_never_means_short_data(mount, imap_server, at):
    raws = [mail("number %d" % number, 2000) for number in range(3)]
    server = serve(imap_server, raws)
    m = mount(server, ["name=uid", "timeout=5"])
    assert m.read("INBOX", "1.eml") == raws[0]
    die_within_the_body_of_2(server, at)
    code, got = probe(m.join("INBOX", "2.eml"))
    assert code in LOST and got == b""
    assert m.read("INBOX", "1.eml") == raws[0]
    server.off()
    server.start()
    wait_readable(m.join("INBOX", "2.eml"), raws[1])


def test_paused_server(mount, make_dovecot):
    """Silent, with its connections open (SIGSTOP)."""
    server = make_dovecot({"INBOX": [mailgen.Mail(mail("one")), mailgen.Mail(mail("two"))]})
    m = mount(server, ["name=uid", "timeout=2"])
    assert m.read("INBOX", "1.eml") == mail("one")
    server.pause()
    try:
        start = time.monotonic()
        assert errno_of(m.join("INBOX", "2.eml")) in LOST
        assert time.monotonic() - start < 8 * SLOW
        assert m.read("INBOX", "1.eml") == mail("one")
    finally:
        server.resume()
    wait_readable(m.join("INBOX", "2.eml"), mail("two"), 20)


# The daemon.


@pytest.mark.deadline(150)
def test_killed_daemon_always_mounts_again_and_serves_exact_bytes(mount, make_dovecot):
    """20 rounds of kill -9 during a first sweep and reads, from one seed."""
    chance = random.Random(2024)
    mails = mailgen.generate(120, seed=5)
    server = make_dovecot(mails, max_userip=200)
    expected = {(folder, uid): one.raw for folder, some in mails.items() for uid, one in enumerate(some, 1)}
    m = mount(server, ["timeout=10"])
    for round_ in range(20):
        if round_ % 7 == 6:
            readers = []
        else:
            folder = chance.choice(list(mails))
            readers = [popen(["find", m.path, "-type", "f", "-size", "+1c"]),
                       popen(["tar", "-C", m.join(folder), "-cf", "/dev/null", "."])]
        time.sleep(chance.random() * 0.6 * SLOW)
        m.kill9()
        for reader in readers:
            reader.communicate(timeout=20)
        if round_ % 5 == 4:
            m.clear_cache()  # so that there is a first sweep again
        m.remount()
        folder = chance.choice(list(mails))
        paths = files(m, folder)
        assert sorted(paths) == list(range(1, len(mails[folder]) + 1)), folder
        for uid in chance.sample(sorted(paths), min(3, len(paths))):
            assert probe(paths[uid]) == (0, expected[folder, uid])
    m.stop()
    m.remount()
    tree = {(os.path.dirname(path), int(path.rsplit(".", 2)[1])): path for path in files_of(m.path)}
    assert set(tree) == set(expected)
    for key in chance.sample(sorted(tree), 40):
        assert probe(m.join(tree[key])) == (0, expected[key])


def test_daemon_killed_while_readers_wait(mount, imap_server):
    server = serve(imap_server, [mail("one")])
    m = mount(server, ["name=uid"])
    m.list("INBOX")
    server.on("UID FETCH", reply(HANG), match=BODY_FETCH)
    reader = popen(["cat", m.join("INBOX", "1.eml")])
    assert server.wait_for(lambda: body_fetches(server))
    m.kill9()
    reader.communicate(timeout=10)
    assert reader.returncode != 0
    server.off()
    m.remount()  # over its own dead mount point
    assert m.read("INBOX", "1.eml") == mail("one")


# Readers.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_reader_can_be_interrupted(mount, imap_server, number):
    server = serve(imap_server, [mail("one"), mail("two")])
    m = mount(server, ["name=uid", "timeout=25"])
    m.list("INBOX")
    server.on("UID FETCH", lambda c, tag, line: (c.sleep(4), c.default()), match=BODY_FETCH, times=1)
    reader = popen(["cat", m.join("INBOX", "1.eml")])
    assert server.wait_for(lambda: body_fetches(server))
    time.sleep(0.1)
    start = time.monotonic()
    reader.send_signal(number)
    reader.communicate(timeout=10)
    assert time.monotonic() - start < 2
    assert reader.returncode == -number
    assert m.read("INBOX", "2.eml") == mail("two")


def test_interrupts_in_a_storm(mount, imap_server):
    """Slow bodies, readers that come and go: every request is answered, nothing leaks (KC-6)."""
    server = serve(imap_server, [mail("number %d" % at, 3000) for at in range(10)])
    m = mount(server, ["name=uid"])
    m.list("INBOX")

    @server.on("UID FETCH", match=BODY_FETCH)
    def slowly(c, tag, line):
        c.sleep(0.05)
        c.default()

    chance = random.Random(6)
    for _ in range(60):
        reader = popen(["cat", m.join("INBOX", "%d.eml" % chance.randrange(1, 11))])
        time.sleep(chance.random() * 0.02)
        reader.send_signal(signal.SIGINT)
        reader.communicate(timeout=10)
    for uid in range(1, 11):
        assert m.read("INBOX", "%d.eml" % uid) == mail("number %d" % (uid - 1), 3000)
    assert m.status()["waiting"] == 0


@pytest.mark.smoke
def test_thirty_readers_of_one_message_are_one_fetch(mount, imap_server):
    raw = mail("slow", 60_000)
    server = serve(imap_server, [raw])
    m = mount(server, ["name=uid"])
    m.list("INBOX")

    @server.on("UID FETCH", match=BODY_FETCH)
    def slowly(c, tag, line):
        c.sleep(1)
        c.default()

    start = time.monotonic()
    readers = [popen(["cat", m.join("INBOX", "1.eml")]) for _ in range(30)]
    for reader in readers:
        out, err = reader.communicate(timeout=20 * SLOW)
        assert (reader.returncode, out) == (0, raw), err
    assert time.monotonic() - start < 5 * SLOW
    assert len(body_fetches(server)) == 1


def test_thirty_slow_messages_do_not_block_the_mount(mount, imap_server):
    server = serve(imap_server, [mail("number %d" % at, 1000) for at in range(31)])
    m = mount(server, ["name=uid", "timeout=20"])
    assert m.read("INBOX", "31.eml") == mail("number 30", 1000)

    @server.on("UID FETCH", match=BODY_FETCH)
    def slowly(c, tag, line):
        c.sleep(0.05)
        c.default()

    readers = [popen(["cat", m.join("INBOX", "%d.eml" % uid)]) for uid in range(1, 31)]
    for _ in range(5):
        start = time.monotonic()
        assert m.read("INBOX", "31.eml") == mail("number 30", 1000)
        run(["ls", "-l", m.join("INBOX")])
        assert time.monotonic() - start < 1 * SLOW
    for uid, reader in enumerate(readers, 1):
        out, err = reader.communicate(timeout=20 * SLOW)
        assert (reader.returncode, out) == (0, mail("number %d" % (uid - 1), 1000)), err


def test_small_message_does_not_wait_for_a_large_one(mount, imap_server):
    server = serve(imap_server, [mail("large", 6_000_000), mail("small", 3000)])
    m = mount(server, ["name=uid", "timeout=50"])
    m.list("INBOX")
    is_read = threading.Event()

    @server.on("UID FETCH", match=rb"(?i)FETCH 1 .*BODY\.PEEK\[\]")
    def large(c, tag, line):
        is_read.wait(30)
        c.default()

    reader = popen(["sha256sum", m.join("INBOX", "1.eml")])
    server.wait_for(lambda: body_fetches(server))
    try:
        assert m.read("INBOX", "2.eml") == mail("small", 3000)
    finally:
        is_read.set()
        out, err = reader.communicate(timeout=20 * SLOW)
    assert (reader.returncode, out[:64]) == \
        (0, hashlib.sha256(mail("large", 6_000_000)).hexdigest().encode()), err


# The end.


@pytest.mark.smoke
def test_SIGTERM_while_a_read_waits(mount, imap_server):
    server = serve(imap_server, [mail("one")])
    m = mount(server, ["name=uid"])
    m.list("INBOX")
    server.on("UID FETCH", reply(HANG), match=BODY_FETCH)
    readers = [popen(["cat", m.join("INBOX", "1.eml")]) for _ in range(5)]
    assert server.wait_for(lambda: body_fetches(server))
    assert m.stop() < 5 * SLOW
    for reader in readers:
        out, _err = reader.communicate(timeout=10)
        assert reader.returncode != 0 and out == b""


def test_SIGTERM_while_the_kernel_waits_to_be_told(mount, imap_server):
    """Look-ups hold a directory that a note is about, and more of them come all the time."""
    server = serve(imap_server, [mail("one")])
    for name in ("Slow", "Slow/Gone", "Other"):
        server.account.add(name)

    def is_selected(name):
        return any(one.name == "SELECT" and name in one.line for one in list(server.commands))

    m = mount(server, ["name=uid", "connections=4"])
    server.on("SELECT", lambda c, tag, line: (c.sleep(0.5), c.default()), match=b"Other", times=1)
    other = popen(["ls", m.join("Other")])
    assert server.wait_for(lambda: is_selected(b"Other"))
    assert os.listdir(m.join("INBOX")) and os.path.isdir(m.join("Slow/Gone"))
    other.communicate(timeout=10)
    server.on("SELECT", reply(HANG), match=b"Slow")
    seekers = [popen(["sh", "-c", "while test -d $0; do stat $0/Slow/%d.eml; done" % at, m.path])
               for at in range(1, 5)]
    assert server.wait_for(lambda: is_selected(b"Slow"))
    del server.account.folders[b"Slow/Gone"]
    os.kill(m.pid, signal.SIGUSR1)
    wait_until(lambda: m.status()["folders"] == 3, 2, "the new folder list")
    try:
        assert m.stop() < 5 * SLOW
    finally:
        for seeker in seekers:
            seeker.kill()
            seeker.communicate(timeout=10)


def test_SIGTERM_while_files_are_open(mount, imap_server):
    server = serve(imap_server, [mail("one")])
    m = mount(server, ["name=uid"])
    fd = os.open(m.join("INBOX", "1.eml"), os.O_RDONLY)
    try:
        assert m.stop() < 5 * SLOW
    finally:
        os.close(fd)


def test_umount_of_a_busy_mount_is_refused_and_harmless(mount, imap_server):
    server = serve(imap_server, [mail("one")])
    m = mount(server, ["name=uid"])
    fd = os.open(m.join("INBOX", "1.eml"), os.O_RDONLY)
    try:
        assert run(["umount", m.path], check=False).returncode != 0
        assert is_mounted(m.path)
        assert m.read("INBOX", "1.eml") == mail("one")
    finally:
        os.close(fd)
    assert run(["fusermount3", "-u", m.path]).returncode == 0
    wait_until(lambda: not m.is_running(), 5, "the daemon's end")
    assert m.process.returncode == 0, m.stderr
    m.remount()
    assert m.read("INBOX", "1.eml") == mail("one")


def test_lazy_umount_ends_the_daemon_when_the_last_file_is_closed(mount, imap_server):
    server = serve(imap_server, [mail("one")])
    m = mount(server, ["name=uid"])
    fd = os.open(m.join("INBOX", "1.eml"), os.O_RDONLY)
    run(["umount", "-l", m.path])
    assert os.pread(fd, 5000, 0) == mail("one")
    os.close(fd)
    wait_until(lambda: not m.is_running(), 5, "the daemon's end")
    assert m.process.returncode == 0, m.stderr


def test_SIGTERM_during_a_refresh_and_a_sweep(mount, imap_server):
    server = serve(imap_server, [mail("number %d" % at) for at in range(50)])
    server.on("UID FETCH", reply(HANG), match=rb"RFC822\.SIZE")
    m = mount(server, ["name=uid"])
    lister = popen(["ls", m.join("INBOX")])
    assert server.wait_for("UID FETCH")
    assert m.stop() < 5 * SLOW
    lister.communicate(timeout=10)
    assert lister.returncode != 0
