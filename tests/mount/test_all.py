# SPDX-License-Identifier: MIT
"""mailfs --all: several accounts below one mount point, in one process; one that fails hurts no other."""

import errno
import json
import os
import signal

import pytest

import mounting
from mailgen import Mail
from mounting import run
from tools import errno_of, mail, raises, wait_until


class Accounts:
    """mailfs.conf, and one mount of all that is in it."""

    def __init__(self, mount):
        self.make = mount
        self.mount = mount("--all", password=None, start=False)
        self.sections = {}

    def add(self, name, server, protocol="imap", user="demo", port=None, **keys):
        url, options = mounting.source_of(server, user=user, protocol=protocol)
        if port:
            url = "imaps://%s@localhost:%d" % (user, port)
        keys = dict(option.split("=", 1) for option in options) | {"password": "secret", "name": "uid"} | keys
        lines = ["source = " + url]
        lines += ["%s = %s" % (key.replace("_", "-"), value) for key, value in keys.items() if value]
        self.sections[name] = lines
        self.write()

    def write(self):
        directory = os.path.join(self.mount.home, "config", "mailfs")
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, "mailfs.conf")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            for name, lines in self.sections.items():
                file.write("[account %s]\n%s\n\n" % (name, "\n".join(lines)))

    def start(self):
        return self.mount.start()


@pytest.fixture
def accounts(mount):
    return Accounts(mount)


@pytest.fixture
def server(make_dovecot):
    made = make_dovecot(users=("demo", "other"), pop3=True)
    made.add("INBOX", [Mail(mail("One")), Mail(mail("Two"))])
    made.add("INBOX", [Mail(mail("Pop"))], user="other")
    return made


@pytest.fixture
def three(accounts, server):
    """An IMAP account, a POP3 account, and one with a wrong password."""
    accounts.add("work", server)
    accounts.add("pop", server, protocol="pop3", user="other")
    accounts.add("wrong", server, password="not this one")
    return accounts


def part(mount, name):
    return {one["account"]: one for one in mount.status()["account-list"]}[name]


def ctl(mount, *words, check=True):
    program = os.path.join(os.path.dirname(mount.binary), "mailfsctl")
    done = run([program, *words], env=mount.env(), check=check)
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    return done


def test_each_account_is_a_directory(three, server):
    m = three.start()
    assert m.list() == ["pop", "work", "wrong"]
    assert m.list("work", "INBOX") == ["1.eml", "2.eml"]
    assert m.read("work", "INBOX", "1.eml") == server.fetch("INBOX", 1)
    assert [m.read("pop", name) for name in m.list("pop")] == [server.fetch("INBOX", 1, user="other")]
    assert run(["ls", "-la", m.path]).stdout.count(b"\n") == 6
    assert m.stop() < mounting.STOP_LIMIT


def test_one_wrong_password_hurts_no_other(three):
    m = three.start()
    raises(errno.EACCES, os.listdir, m.join("wrong"))
    status = m.status()
    assert (status["accounts"], status["accounts-online"]) == (3, 2)
    assert part(m, "wrong")["state"] == "login refused"
    assert "wrong: login refused" in m.stderr
    assert m.read("wrong", ".mailfs", "status").startswith(b"account: wrong\n")


def test_failures_of_every_kind(accounts, server, mount):
    held = mount(server, ["name=uid"])
    accounts.add("good", server)
    accounts.add("unknown-key", server, colour="red")
    accounts.add("no-password", server, password="")
    accounts.add("away", server, port=1)
    accounts.add("locked", server)
    cache = os.path.join(accounts.mount.home, "cache", "mailfs")
    os.makedirs(cache)
    os.symlink(os.path.join(held.home, "cache", "mailfs", os.listdir(held.join("..", "cache", "mailfs"))[0]),
               os.path.join(cache, "locked"))
    m = accounts.start()
    assert m.list() == ["away", "good", "locked", "no-password", "unknown-key"]
    assert m.list("good", "INBOX") == ["1.eml", "2.eml"]
    raises(errno.EHOSTUNREACH, os.listdir, m.join("away"))
    raises(errno.EIO, os.listdir, m.join("unknown-key"))
    for name in ("locked", "no-password"):
        with pytest.raises(OSError):
            os.listdir(m.join(name))
    assert "colour" in part(m, "unknown-key")["failure"]
    assert part(m, "locked")["state"] == part(m, "no-password")["state"] == "failed"
    for name in ("unknown-key", "no-password", "away", "locked"):
        assert "mailfs: %s: " % name in m.stderr
    raises(errno.EIO, os.mkdir, m.join("unknown-key", "folder"))
    assert run(["find", m.path, "-type", "f"], check=False).stdout.count(b".eml") == 2


def test_a_failed_account_belongs_to_the_same_user(accounts, server):
    accounts.add("good", server)
    accounts.add("unknown-key", server, colour="red")
    accounts.mount.options += ["uid=1234", "gid=4321", "umask=077"]
    m = accounts.start()
    for path in (m.path, m.join("good"), m.join("unknown-key")):
        attr = os.stat(path)
        assert (attr.st_uid, attr.st_gid, attr.st_mode & 0o077) == (1234, 4321, 0), path


def test_a_mount_of_failures_fails(accounts, server):
    accounts.add("one", server, colour="red")
    accounts.add("two", server, password="")
    failure = accounts.mount.fails()
    assert failure.code == 78 and "one: " in failure.stderr and "two: " in failure.stderr


def test_no_accounts_are_a_mistake(accounts):
    accounts.write()
    failure = accounts.mount.fails()
    assert failure.code == 78 and "there are no accounts" in failure.stderr


def test_an_account_comes_back(three, server):
    m = three.start()
    three.add("wrong", server)
    os.kill(m.pid, signal.SIGHUP)
    wait_until(lambda: part(m, "wrong")["state"] == "online", what="the login")
    wait_until(lambda: os.path.isdir(m.join("wrong", "INBOX")), what="the folders")
    assert m.list("wrong", "INBOX") == ["1.eml", "2.eml"]


def test_a_wrong_configuration_is_put_right(accounts, server):
    accounts.add("good", server)
    accounts.add("other", server, user="other", colour="red")
    m = accounts.start()
    del accounts.sections["other"][-1]
    accounts.write()
    os.kill(m.pid, signal.SIGHUP)
    wait_until(lambda: part(m, "other")["state"] == "online", what="the account")
    wait_until(lambda: os.path.isdir(m.join("other", "INBOX")), what="the folders")
    assert m.list("other", "INBOX") == ["1.eml"]
    with open(m.join("other", "INBOX", "new.eml"), "wb") as file:
        file.write(mail("New"))
    wait_until(lambda: len(server.uids("INBOX", user="other")) == 2, what="the upload")


def test_changes_stay_in_their_account(accounts, server):
    accounts.add("demo", server, delete="expunge")
    accounts.add("other", server, user="other", ro="yes")
    m = accounts.start()
    os.mkdir(m.join("demo", "Folder"))
    os.rename(m.join("demo", "INBOX", "1.eml"), m.join("demo", "Folder", "moved.eml"))
    os.setxattr(m.join("demo", "INBOX", "2.eml"), "user.mailfs.flags", b"+\\Flagged")
    assert server.uids("INBOX") == [2] and server.uids("Folder") == [1]
    raises(errno.EROFS, os.remove, m.join("other", "INBOX", "1.eml"))
    raises(errno.EROFS, os.mkdir, m.join("other", "Folder"))
    raises(errno.EXDEV, os.rename, m.join("demo", "Folder"), m.join("other", "Folder"))
    raises(errno.EXDEV, os.rename, m.join("other", "INBOX", "1.eml"), m.join("demo", "INBOX", "1.eml"))
    raises(errno.EPERM, os.rename, m.join("demo"), m.join("else"))
    raises(errno.EPERM, os.mkdir, m.join("third"))
    raises(errno.EPERM, os.rmdir, m.join("demo"))
    raises(errno.EPERM, open, m.join("file"), "w")
    os.remove(m.join("demo", "INBOX", "2.eml"))
    assert server.uids("INBOX") == [] and server.uids("INBOX", user="other") == [1]


def test_mv_between_accounts_copies_and_removes(accounts, server):
    accounts.add("demo", server, delete="expunge")
    accounts.add("other", server, user="other")
    m = accounts.start()
    data = server.fetch("INBOX", 1)
    run(["mv", m.join("demo", "INBOX", "1.eml"), m.join("other", "INBOX", "came.eml")])
    wait_until(lambda: len(server.uids("INBOX", user="other")) == 2, what="the copy")
    assert server.fetch("INBOX", 2, user="other") == data and server.uids("INBOX") == [2]
    assert m.read("other", "INBOX", "came.eml") == data


def test_inodes_are_the_accounts(accounts, server):
    accounts.add("demo", server)
    accounts.add("same", server)
    m = accounts.start()
    inodes = [os.stat(m.join(name, "INBOX", "1.eml")).st_ino for name in ("demo", "same")]
    assert inodes[0] != inodes[1]
    m.stop()
    del accounts.sections["demo"]
    accounts.write()
    accounts.start()
    assert os.stat(m.join("same", "INBOX", "1.eml")).st_ino == inodes[1]


def test_signals_reach_all(three, server):
    m = three.start()
    m.list("work", "INBOX"), m.list("pop")
    server.add("INBOX", [Mail(mail("Late"))])
    server.add("INBOX", [Mail(mail("Late"))], user="other")
    os.kill(m.pid, signal.SIGUSR1)
    wait_until(lambda: len(m.list("work", "INBOX")) == 3 and len(m.list("pop")) == 2, what="new mail")


def test_mailfsctl_knows_the_top_and_each_account(three, server):
    m = three.start()
    assert "accounts-online: 2" in ctl(m, "status", m.path).stdout
    assert ctl(m, "status", m.join("pop")).stdout.startswith("account: pop\n")
    assert ctl(m, "list").stdout.split()[::2] == ["work", "pop", "wrong"]
    ctl(m, "prefetch", m.join("work"))
    wait_until(lambda: part(m, "work")["cache-messages"] == 2, what="the cache")
    assert " 2 of 2 " in ctl(m, "cache", "work").stdout
    ctl(m, "cache", "--clear", "work")
    assert part(m, "work")["cache-messages"] == 0
    server.add("INBOX", [Mail(mail("Late"))])
    ctl(m, "refresh", m.path, "work/INBOX")
    assert len(m.list("work", "INBOX")) == 3
    assert ctl(m, "refresh", m.path, "nothing", check=False).returncode == 66
    ctl(m, "refresh", m.path)
    ctl(m, "offline", m.join("work"))
    assert part(m, "work")["state"] == "offline" and part(m, "pop")["state"] != "offline"
    ctl(m, "offline", m.path)
    assert m.status()["accounts-online"] == 0
    with open(m.join("work", "INBOX", "later.eml"), "wb") as file:
        file.write(mail("Later"))
    wait_until(lambda: "work:" in ctl(m, "pending", m.path).stdout, what="a draft")
    row = ctl(m, "pending", m.path).stdout.split("\t")
    assert row[3] == "work/INBOX"
    ctl(m, "online", m.path)
    assert m.status()["accounts-online"] == 2
    wait_until(lambda: len(server.uids("INBOX")) == 4, what="the upload")
    assert ctl(m, "umount", m.join("work"), check=False).returncode == 64
    ctl(m, "umount", m.path)
    assert not mounting.is_mounted(m.path)


def test_events_of_all_accounts_at_the_top(three, server):
    m = three.start()
    stream = os.open(m.join(".mailfs", "events"), os.O_RDONLY | os.O_NONBLOCK)
    seen = b""

    def reads():
        nonlocal seen
        try:
            seen += os.read(stream, 65536)
        except BlockingIOError:
            pass
        return [(line["event"], line["folder"]) for line in map(json.loads, seen.splitlines())
                if line["event"] == "new"]

    m.list("work", "INBOX"), m.list("pop")
    server.add("INBOX", [Mail(mail("Late"))])
    server.add("INBOX", [Mail(mail("Late"))], user="other")
    ctl(m, "refresh", m.path)
    wait_until(lambda: sorted(reads()) == [("new", "pop"), ("new", "work/INBOX")], what="both events")
    os.close(stream)


def test_it_takes_no_source(accounts, server):
    accounts.add("demo", server)
    binary, path = accounts.mount.binary, accounts.mount.path
    for words in (["--all"], ["--all", "work", path], ["--all", "-o", "passfd=0", path]):
        assert run([binary, *words], check=False, env=accounts.mount.env()).returncode == 64
