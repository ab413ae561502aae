# SPDX-License-Identifier: MIT
"""Writing, as users of all kinds do it: names that are taken, folders that left memory, messages that
are still on their way."""

import ctypes
import errno
import os

import pytest

import mailgen
from mounting import run
from tools import files, mail, raises, truth, wait_until

DATE = 1700000000
CAPS = {"all": {}, "plain": {"capability": "IMAP4rev1"}}
TINY = {"MAILFS_LOADED_MAX": "1"}  # only the folder that was used last stays in memory
LIBC = ctypes.CDLL(None, use_errno=True)
NOREPLACE, EXCHANGE = 1, 2


def mails(count, word="mail"):
    return [mailgen.Mail(mail("%s %d" % (word, at), 400 + at), (), DATE + at * 60)
            for at in range(1, count + 1)]


def settle(mount, timeout=30):
    wait_until(lambda: not mount.read(".mailfs", "pending"), timeout, "an empty journal")


def rename(source, target, flags=0):
    if LIBC.renameat2(-100, os.fsencode(source), -100, os.fsencode(target), flags) != 0:
        raise OSError(ctypes.get_errno(), source)


# Names that are taken.


def test_mv_over_a_message_that_may_not_go_changes_nothing(mount, make_dovecot):
    server = make_dovecot({"INBOX": mails(3), "Archive": mails(1, "old")})
    m = mount(server, ["delete=no"])
    paths, old = files(m, "INBOX"), files(m, "Archive")[1]
    os.rename(paths[3], m.join("INBOX", "given"))
    before = m.list("INBOX"), m.list("Archive")
    raises(errno.EPERM, os.rename, paths[1], paths[2])
    raises(errno.EPERM, os.rename, paths[1], m.join("INBOX", "given"))
    raises(errno.EPERM, os.rename, m.join("INBOX", "given"), paths[1])
    raises(errno.EPERM, os.rename, paths[1], old)
    assert (m.list("INBOX"), m.list("Archive")) == before
    for uid, path in ((1, paths[1]), (2, paths[2]), (3, m.join("INBOX", "given"))):
        assert m.read("INBOX", os.path.basename(path)) == truth(server, "INBOX")[uid]
    assert server.uids("INBOX") == [1, 2, 3] and server.uids("Archive") == [1]


def test_a_refused_replacement_gives_the_names_back(mount, imap_server):
    server = imap_server()
    for at in (1, 2, 3):
        server.account["INBOX"].add(mail("mail %d" % at))
    server.account.add("Trash", attributes=["\\Trash"])
    m = mount(server, ["poll=0"])
    paths = files(m, "INBOX")
    one, two = m.join("INBOX", "one"), m.join("INBOX", "two")
    os.rename(paths[1], one)
    os.rename(paths[2], two)
    for verb in ("UID MOVE", "UID COPY"):
        server.on(verb, lambda c, tag, _line: c.no(tag, "[NOPERM] not you"))
    raises(errno.EACCES, os.rename, one, two)
    assert m.read("INBOX", "one") == mail("mail 1") and m.read("INBOX", "two") == mail("mail 2")
    raises(errno.EACCES, os.rename, paths[3], two)
    assert m.read("INBOX", "two") == mail("mail 2")
    assert sorted(m.list("INBOX")) == sorted(["one", "two", os.path.basename(paths[3])])


def test_flags_of_renameat2(mount, make_dovecot):
    server = make_dovecot({"INBOX": mails(3), "Archive": [], "Trash": []})
    m = mount(server)
    paths = files(m, "INBOX")
    raises(errno.EEXIST, rename, paths[1], paths[2], NOREPLACE)
    raises(errno.EINVAL, rename, paths[1], paths[2], EXCHANGE)
    rename(paths[1], m.join("INBOX", "free"), NOREPLACE)
    rename(paths[2], m.join("Archive", "free"), NOREPLACE)
    assert server.uids("INBOX") == [1, 3] and len(server.uids("Archive")) == 1
    assert m.read("INBOX", "free") == truth(server, "INBOX")[1]


# Folders that left memory.


@pytest.mark.parametrize("caps", sorted(CAPS))
def test_what_is_in_the_way_is_found_in_a_folder_that_left_memory(mount, make_dovecot, caps):
    folders = {name: mails(3, name) for name in ("INBOX", "A", "B")}
    server = make_dovecot({**folders, "Trash": []}, **CAPS[caps])
    m = mount(server, environment=TINY)
    paths = {name: files(m, name) for name in folders}
    bodies = {name: truth(server, name) for name in folders}
    m.list("INBOX")
    wait_until(lambda: m.status()["folders-loaded"] == 1, what="that A and B left memory")
    os.rename(paths["A"][1], paths["B"][2])
    raises(errno.EEXIST, os.mkdir, paths["A"][2])
    raises(errno.EEXIST, os.open, paths["A"][2], os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    raises(errno.EEXIST, rename, paths["INBOX"][1], paths["A"][2], NOREPLACE)
    assert sorted(truth(server, "B").values()) == sorted([bodies["A"][1], bodies["B"][1], bodies["B"][3]])
    assert list(truth(server, "Trash").values()) == [bodies["B"][2]]
    assert m.read("B", os.path.basename(paths["B"][2])) == bodies["A"][1]
    assert len(m.list("B")) == 3 and len(m.list("A")) == 2


# Messages that are still on their way.


@pytest.mark.parametrize("env", [{}, TINY], ids=["", "tiny"])
def test_what_a_burst_moved_can_be_changed_at_once(mount, make_dovecot, env):
    server = make_dovecot({"INBOX": mails(20), "Archive": mails(1, "old"), "Trash": []})
    m = mount(server, ["name=uid"], environment=env)
    m.list("Archive")
    paths = files(m, "INBOX")
    for uid in range(1, 21):
        path = m.join("Archive", "moved-%d" % uid)
        os.rename(paths[uid], path)
        os.chmod(path, 0o700)
        os.setxattr(path, "user.mailfs.flags", b"+\\Answered")
    settle(m)
    assert server.uids("INBOX") == [] and len(server.uids("Archive")) == 21
    changed = frozenset({"\\Flagged", "\\Answered"})
    assert sorted(server.flags("Archive").values(), key=len)[1:] == [changed] * 20


# Folders that are renamed.


@pytest.mark.parametrize("caps", sorted(CAPS))
def test_a_renamed_folder_keeps_its_bodies(mount, make_dovecot, caps):
    server = make_dovecot({"INBOX": [], "Old": mails(20), "Old/Below": mails(20, "below")}, **CAPS[caps])
    m = mount(server)
    wanted = {name: [m.read("Old", *name, one) for one in m.list("Old", *name) if one.endswith(".eml")]
              for name in ((), ("Below",))}
    with open(m.join("Old", m.list("Old")[0]), "rb") as held:
        first = held.read(100)
        before = m.status()["bodies-fetched"]
        os.rename(m.join("Old"), m.join("New"))
        raises(errno.ENOENT, os.stat, m.join("Old"))
        held.seek(0)
        assert held.read(100) == first
    for name in wanted:
        assert [m.read("New", *name, one) for one in m.list("New", *name) if one.endswith(".eml")] \
            == wanted[name]
    assert m.status()["bodies-fetched"] == before
