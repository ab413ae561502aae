# SPDX-License-Identifier: MIT
"""The network is away: at the start, for a while, by request; and it comes back."""

import concurrent.futures
import errno
import fcntl
import os
import shutil
import signal
import time

import pytest

import mounting
from mailgen import Mail
from mounting import SLOW, run
from tools import LIBC, mail, popen, probe, raises, wait_readable, wait_until

COUNT = 5


def message(number):
    return mail("arrival %d" % number, 600)


def messages(first, last):
    return [Mail(message(number)) for number in range(first, last + 1)]


def names(last):
    return sorted("%d.eml" % uid for uid in range(1, last + 1))


def serve(imap_server, **options):
    server = imap_server(**options)
    for number in range(1, COUNT + 1):
        server.account["INBOX"].add(message(number))
    return server


def warm_up(m):
    """Message 1 is cached, INBOX is known; then the mount ends."""
    m.start()
    assert m.list("INBOX") == names(COUNT)
    assert m.read("INBOX", "1.eml") == message(1)
    m.stop()
    return m


def start_timed(m):
    begin = time.monotonic()
    m.start()
    return time.monotonic() - begin


def fails_at_once(path, code):
    begin = time.monotonic()
    assert probe(path)[0] == code
    assert time.monotonic() - begin < 5 * SLOW  # the deadline of a read is 30


def is_state(state):
    return lambda status: status["state"] == state


def ctl(m, *words, check=True):
    """mailfsctl VERB MOUNTPOINT …"""
    program = os.path.join(m.home, "mailfsctl")
    if not os.path.lexists(program):
        os.symlink(m.binary, program)
    done = run([program, words[0], m.path, *words[1:]], 30, check=False, env=m.env())
    assert not check or done.returncode == 0, done.stderr
    return done


# The start.


@pytest.mark.smoke
def test_start_from_the_cache_while_the_server_is_down(mount, make_dovecot):
    server = make_dovecot({"INBOX": messages(1, COUNT)})
    m = warm_up(mount(server, ["name=uid"], start=False))
    server.halt()
    assert start_timed(m) < 3 * SLOW  # 0.1 s where nobody else works; the bound is 1
    assert m.status()["state"] == "offline"
    assert m.list("INBOX") == names(COUNT)
    assert m.read("INBOX", "1.eml") == message(1)
    fails_at_once(m.join("INBOX", "2.eml"), errno.EHOSTUNREACH)
    server.start()
    wait_readable(m.join("INBOX", "2.eml"), message(2), 20)
    assert m.status()["state"] == "online"


def test_CN_4_start_from_the_cache_while_the_server_says_nothing(mount, imap_server, make_proxy):
    server = serve(imap_server)
    proxy = make_proxy(server.port)
    m = warm_up(mount(server, ["name=uid"], port=proxy.port, start=False))
    proxy.blackhole = True
    # 0.7 s where nobody else works; no timeout of ours is that short.
    assert start_timed(m) < 5 * SLOW
    assert m.status()["state"] == "offline"
    assert m.read("INBOX", "1.eml") == message(1)
    fails_at_once(m.join("INBOX", "2.eml"), errno.EHOSTUNREACH)
    proxy.blackhole = False
    ctl(m, "online")
    assert m.read("INBOX", "2.eml") == message(2)


def test_delayed_connect_mounts_without_cache_and_server(mount, make_dovecot):
    server = make_dovecot({"INBOX": messages(1, COUNT)})
    m = mount(server, ["name=uid", "delay_connect"], start=False)
    server.halt()
    m.start()
    assert m.status()["state"] in ("offline", "connecting")
    m.wait_status(is_state("offline"))
    # An empty account would be a lie that a backup believes.
    raises(errno.EHOSTUNREACH, os.listdir, m.path)
    server.start()
    ctl(m, "online")
    assert "INBOX" in m.list()
    assert m.list("INBOX") == names(COUNT)


@pytest.mark.parametrize("has_folder", [True, False])
def test_delayed_connect_to_a_folder_that_is_not_known_yet(mount, make_dovecot, has_folder):
    server = make_dovecot({"INBOX": [], "Work": messages(1, 2)} if has_folder else {"INBOX": []})
    m = mount(server, ["name=uid", "delay_connect"], folder="Work", start=False)
    server.halt()
    m.start()
    assert os.stat(m.path).st_mode & 0o777 == 0o700
    m.wait_status(is_state("offline"))
    raises(errno.EHOSTUNREACH, os.listdir, m.path)
    raises(errno.EHOSTUNREACH, os.stat, m.join("1.eml"))
    server.start()
    ctl(m, "online")
    if has_folder:
        assert m.list() == names(2)
    else:
        wait_until(lambda: probe(m.join("1.eml"))[0] != 0, 5)


@pytest.mark.parametrize("kind", ["down", "password"])
def test_without_a_cache_it_fails_as_ever(mount, imap_server, kind):
    server = serve(imap_server)
    m = mount(server, ["name=uid"], start=False)
    if kind == "down":
        server.stop()
    else:
        m.password = "wrong"
    assert m.fails().code == (69 if kind == "down" else 77)


def test_certificate_that_is_refused_is_no_absence(mount, imap_server, ca):
    """With a cache too: whoever answers there is not the server."""
    server = serve(imap_server, tls="implicit")
    m = warm_up(mount(server, ["name=uid"], start=False))
    port = server.port
    server.stop()
    other = imap_server(start=False, tls="implicit", pair=ca.issue("other-host", dns=["elsewhere.example"]))
    other.port = port
    other.start()
    assert m.fails().code == 76
    assert other.logins == []


# Refused logins.


def login_count(server):
    return len(server.logins)


def account(m, server, extra):
    path = os.path.join(m.home, "config", "mailfs", "mailfs.conf")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write("[account work]\nsource = %s\ntls = none\nname = uid\n%s\n" % (m.source, extra))
    os.chmod(path, 0o600)


def test_CN_5_refused_login_is_no_absence_and_tried_once(mount, imap_server):
    server = serve(imap_server)
    # One: a second login may be under way when the password changes.
    m = mount(server, ["name=uid", "timeout=5", "poll=0", "connections=1"])
    m.list("INBOX")
    server.users["demo"] = "changed"
    before = login_count(server)
    server.drop()
    m.wait_status(is_state("login refused"))
    fails_at_once(m.join("INBOX", "2.eml"), errno.EACCES)
    assert m.list("INBOX") == names(COUNT)
    # A script that looks for new mail again and again must not lock the account.
    for _ in range(3):
        assert ctl(m, "refresh", check=False).returncode != 0
        os.kill(m.pid, signal.SIGUSR1)
    fails_at_once(m.join("INBOX", "3.eml"), errno.EACCES)
    assert login_count(server) == before + 1
    # The server has been put right: a person says so.
    server.users["demo"] = "secret"
    ctl(m, "online")
    assert m.status()["state"] == "online"
    assert m.read("INBOX", "2.eml") == message(2)


def test_CN_5_another_token_heals_a_refused_login(mount, imap_server):
    server = serve(imap_server)
    m = mount(server, password=None, start=False)
    secret = os.path.join(m.home, "secret")
    with open(secret, "w", encoding="utf-8") as file:
        file.write("secret\n")
    account(m, server, "password-command = cat %s\npoll = 0" % secret)
    m.source, m.options = "work", []
    m.start()
    m.list("INBOX")
    server.users["demo"] = "changed"
    server.drop()
    m.wait_status(is_state("login refused"))
    before = login_count(server)
    with open(secret, "w", encoding="utf-8") as file:
        file.write("changed\n")
    os.kill(m.pid, signal.SIGUSR1)
    m.wait_status(is_state("online"))
    assert {login[1:3] for login in server.logins[before:]} == {("changed", True)}


def test_CN_5_hangup_is_one_more_try(mount, imap_server):
    server = serve(imap_server)
    m = mount(server, password=None, start=False)
    account(m, server, "password = secret\npoll = 0")
    m.source, m.options = "work", []
    m.start()
    server.users["demo"] = "changed"
    server.drop()
    m.wait_status(is_state("login refused"))
    before = login_count(server)
    server.users["demo"] = "secret"
    os.kill(m.pid, signal.SIGHUP)
    m.wait_status(is_state("online"))
    assert login_count(server) == before + 1


# Away and back.


@pytest.mark.deadline(120)
@pytest.mark.parametrize("capability", [None, "IMAP4rev1 ENABLE CONDSTORE IDLE", "IMAP4rev1"],
                         ids=["qresync", "condstore", "plain"])
def test_a_thousand_arrivals_while_it_was_away_are_one_delta(mount, make_dovecot, make_proxy,
                                                             capability):
    server = make_dovecot({"INBOX": messages(1, COUNT)}, capability=capability)
    proxy = make_proxy(server.imaps_port)
    m = mount(server, ["name=uid", "poll=0"], port=proxy.port)
    assert m.list("INBOX") == names(COUNT)
    before = m.status()
    proxy.close_listener()
    proxy.drop()
    m.wait_status(is_state("offline"), 30)
    server.add("INBOX", messages(COUNT + 1, COUNT + 1000))
    server.rawlog()
    proxy.start()
    ctl(m, "online")
    wait_until(lambda: len(m.list("INBOX")) == COUNT + 1000, 60, "the thousand")
    after = m.status()
    assert after["sweeps"] == before["sweeps"], "a full sweep"
    # The wish and the return may each look once; nothing is asked message by message.
    assert after["syncs"] - before["syncs"] <= 4
    m.stop()
    sent = b"".join(server.commands()).upper()
    # From below too: what was not recorded was not counted.
    assert 1 <= sent.count(b"UID FETCH") <= 6, sent
    assert 1 <= sent.count(b"SELECT") <= 6, sent


def test_offline_by_request_has_no_connection_until_online(mount, make_dovecot, make_proxy):
    server = make_dovecot({"INBOX": messages(1, COUNT)})
    proxy = make_proxy(server.imaps_port)
    m = mount(server, ["name=uid", "poll=1"], port=proxy.port)
    m.list("INBOX")
    assert m.read("INBOX", "1.eml") == message(1)
    ctl(m, "offline")
    assert m.status()["state"] == "offline"
    wait_until(lambda: not proxy.open_connections(), 10, "the end of all connections")
    before = len(proxy.connections)
    assert m.read("INBOX", "1.eml") == message(1)
    fails_at_once(m.join("INBOX", "2.eml"), errno.EHOSTUNREACH)
    os.kill(m.pid, signal.SIGUSR1)
    done = ctl(m, "refresh", check=False)
    assert done.returncode == 75
    # Flags and new messages are queued.
    os.chmod(m.join("INBOX", "1.eml"), 0o700)
    with open(m.join("INBOX", "new.eml"), "wb") as file:
        file.write(message(77))
    time.sleep(1.5)  # longer than the first wait of a retry
    assert len(proxy.connections) == before
    assert m.status()["offline-by"] == "request"
    server.add("INBOX", messages(COUNT + 1, COUNT + 1))
    ctl(m, "online")
    assert m.status()["state"] == "online"
    wait_until(lambda: "6.eml" in m.list("INBOX"), 10, "new mail")
    assert m.read("INBOX", "2.eml") == message(2)
    wait_until(lambda: "\\Flagged" in server.flags("INBOX")[1], 10, "the flag")
    wait_until(lambda: len(server.uids("INBOX")) == COUNT + 2, 20, "the new message")


def test_a_read_only_mount_takes_commands_too(mount, imap_server):
    """The kernel refuses the write; mailfsctl has another way."""
    server = serve(imap_server)
    m = mount(server, ["name=uid", "ro", "poll=0"])
    m.list("INBOX")

    def write():
        with open(m.join(".mailfs", "ctl"), "wb", buffering=0) as file:
            file.write(b"refresh\n")
    raises(errno.EROFS, write)
    server.account["INBOX"].add(message(COUNT + 1))
    ctl(m, "refresh", "INBOX")
    assert m.list("INBOX") == names(COUNT + 1)
    ctl(m, "offline")
    assert (m.status()["state"], m.status()["offline-by"]) == ("offline", "request")
    ctl(m, "online")
    assert m.status()["state"] == "online"
    assert ctl(m, "refresh", "Nowhere", check=False).returncode == 66
    ctl(m, "prefetch", "INBOX")
    wait_until(lambda: m.status()["cache-messages"] == COUNT + 1, 20, "all of them")
    # Other ioctls, and this one of other files, mean nothing.
    for path in (m.join(".mailfs", "status"), m.join("INBOX", "1.eml"), m.path):
        fd = os.open(path, os.O_RDONLY)
        raises(errno.ENOTTY, fcntl.ioctl, fd, 0x5401, b"\0" * 64)
        os.close(fd)
    assert server.writes() == []


def test_offline_while_the_server_says_nothing(mount, make_dovecot):
    """What is under way gets two seconds, whatever the server does."""
    server = make_dovecot({"INBOX": messages(1, COUNT)})
    m = mount(server, ["name=uid", "timeout=25"])
    m.list("INBOX")
    server.pause()
    try:
        reader = popen(["cat", m.join("INBOX", "2.eml")])
        m.wait_status(lambda status: status["connections"] >= 1)
        time.sleep(0.3)
        ctl(m, "offline")
        out, err = reader.communicate(timeout=10 * SLOW)
        assert reader.returncode != 0 and out == b"" and b"No route" in err
        m.wait_status(lambda status: status["connections"] == 0)
    finally:
        server.resume()
    ctl(m, "online")
    assert m.read("INBOX", "2.eml") == message(2)


def test_unknown_commands_are_refused(mount, imap_server):
    m = mount(serve(imap_server), ["name=uid"])
    for text in ("", "offlin", "offline INBOX", "online now", "retry", "refresh\0"):
        def write(text=text):
            with open(m.join(".mailfs", "ctl"), "wb", buffering=0) as file:
                file.write(text.encode() + b"\n")
        raises(errno.EINVAL, write)
    done = ctl(m, "refresh", "Nowhere", check=False)
    assert done.returncode == 66
    assert any("no such folder" in reason for reason in m.status()["reasons"])
    program = os.path.join(m.home, "mailfsctl")
    assert run([program, "offline"], check=False).returncode == 64
    assert run([program, "online", m.home], check=False).returncode == 66


# Never hang: the end comes in time whatever the server does, in every phase.


STALLS = {
    "greeting": ("GREETING", None),
    "login": ("AUTHENTICATE", None),
    "list": ("LIST", None),
    "select": ("SELECT", "ls"),
    "body": ("UID FETCH", "cat"),
}


@pytest.mark.parametrize("phase", STALLS)
def test_CN_4_SIGTERM_in_every_phase_of_a_stall(mount, imap_server, phase):
    point, act = STALLS[phase]
    server = serve(imap_server)
    m = warm_up(mount(server, ["name=uid", "timeout=30"], start=False))
    if phase == "select":
        m.clear_cache()
    if act == "cat":
        m.start()
        m.list("INBOX")
    server.on(point, lambda connection, tag, line: connection.hang())
    if act != "cat":
        m.start()
    child = None
    if act == "ls":
        child = popen(["ls", m.join("INBOX")])
    elif act == "cat":
        child = popen(["cat", m.join("INBOX", "3.eml")])
    time.sleep(0.3)
    begin = time.monotonic()
    assert m.read(".mailfs", "status").startswith(b"account")
    assert time.monotonic() - begin < 5 * SLOW
    assert m.stop() < 5 * SLOW
    if child:
        assert child.wait(10 * SLOW) != 0


# Another network.


CLONE_NEWNET = 0x40000000


@pytest.fixture
def network():
    """Calls functions in a network of their own, with nothing but loopback: network(function, ...)."""
    def enter():
        if LIBC.unshare(CLONE_NEWNET) != 0:
            return False
        return run(["ip", "link", "set", "lo", "up"], check=False).returncode == 0

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        if os.getuid() != 0 or not shutil.which("ip") or not thread.submit(enter).result():
            pytest.skip("no network namespaces here")
        yield lambda function, *arguments: thread.submit(function, *arguments).result()


@pytest.mark.may_skip
def test_CN_1_an_address_that_comes_ends_the_waiting(mount, imap_server, network):
    """By what the kernel tells, long before it would be tried again."""
    server = serve(imap_server, start=False)
    network(server.start)
    m = mount(server, ["name=uid", "poll=0"], start=False)
    network(m.start)
    m.list("INBOX")
    server.refuse()
    server.drop()
    m.wait_status(lambda status: status["retry-in-ms"] > 5000, 60)
    network(server.start)
    left = m.status()["retry-in-ms"] / 1000
    begin = time.monotonic()
    network(run, ["ip", "address", "add", "192.0.2.1/24", "dev", "lo"])
    m.wait_status(is_state("online"))
    assert time.monotonic() - begin < left - 1
    assert m.read("INBOX", "2.eml") == message(2)
