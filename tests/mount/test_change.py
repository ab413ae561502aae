# SPDX-License-Identifier: MIT
"""Flags, moves, removals and folders, on a real Dovecot."""

import errno
import os
import re
import time

import pytest

import mailgen
from mounting import run
from tools import SLOW, files, mail, raises, refresh, truth, wait_until

CAPS = {"all": {}, "plain": {"capability": "IMAP4rev1"}}
DATE = 1700000000


def mails(count, word="mail", flags=()):
    return [mailgen.Mail(mail("%s %d" % (word, at), 400 + at), flags, DATE + at * 60)
            for at in range(1, count + 1)]


def settle(mount, timeout=30):
    wait_until(lambda: not mount.read(".mailfs", "pending"), timeout, "an empty journal")


def commands(server, word):
    """How many commands of this name clients have sent."""
    text = b"".join(server.commands())
    assert b" LOGOUT" in text, "nothing was recorded"
    return len(re.findall(rb"(?im)^\S+ " + word.encode() + rb"\b", text))


def flags_are(server, folder, wanted):
    wait_until(lambda: server.flags(folder) == wanted, 15,
               "flags %r instead of %r" % (wanted, server.flags(folder)))


@pytest.fixture(params=sorted(CAPS))
def world(request, mount, make_dovecot):
    server = make_dovecot({"INBOX": mails(5), "Archive": [], "Trash": []}, **CAPS[request.param])
    return server, mount(server)


def get(path, name):
    return os.getxattr(path, name).decode()


# Flags.


def test_flags_by_attribute_reach_the_server(world):
    server, m = world
    path = files(m, "INBOX")[1]
    os.setxattr(path, "user.mailfs.flags", b"+\\Flagged +work")
    assert get(path, "user.mailfs.flags") == "\\Flagged work"  # at once
    flags_are(server, "INBOX", {uid: frozenset({"\\Flagged", "work"} if uid == 1 else ())
                                for uid in range(1, 6)})
    os.setxattr(path, "user.mailfs.flags", b"\\Seen $Forwarded")
    wait_until(lambda: server.flags("INBOX")[1] == {"\\Seen", "$Forwarded"})
    os.setxattr(path, "user.xdg.tags", b"one,two")
    wait_until(lambda: server.flags("INBOX")[1] == {"\\Seen", "$Forwarded", "one", "two"})
    os.setxattr(path, "user.mailfs.seen", b"0")
    os.setxattr(path, "user.mailfs.junk", b"1")
    wait_until(lambda: server.flags("INBOX")[1] == {"$Forwarded", "$Junk", "one", "two"})
    os.removexattr(path, "user.mailfs.flags")
    wait_until(lambda: server.flags("INBOX")[1] == frozenset())
    assert get(path, "user.mailfs.flags") == ""
    settle(m)


def test_mode_and_access_time_are_flags(world):
    server, m = world
    path = files(m, "INBOX")[2]
    os.chmod(path, 0o700)
    run(["touch", "-a", path])
    wait_until(lambda: server.flags("INBOX")[2] == {"\\Flagged", "\\Seen"})
    assert os.stat(path).st_mode & 0o777 == 0o700
    assert os.stat(path).st_atime > 0
    run(["touch", "-a", "-d", "@0", path])
    os.chmod(path, 0o600)
    wait_until(lambda: server.flags("INBOX")[2] == frozenset())
    assert os.stat(path).st_atime == 0 and os.stat(path).st_mode & 0o777 == 0o600


def test_what_cannot_be_set_on_a_message_changes_nothing(world):
    server, m = world
    path = files(m, "INBOX")[3]
    before = os.stat(path)
    os.chmod(path, 0o644)
    os.utime(path, (5, 5))
    os.chown(path, -1, -1)
    after = os.stat(path)
    assert (before.st_mtime, before.st_mode) == (after.st_mtime, after.st_mode)
    time.sleep(0.5)
    assert server.flags("INBOX")[3] == frozenset()


def test_ctime_rises_with_a_change_of_flags_and_stays_over_remounts(world):
    _server, m = world
    path = files(m, "INBOX")[3]
    before = os.stat(path).st_ctime_ns
    os.setxattr(path, "user.mailfs.seen", b"1")
    after = os.stat(path).st_ctime_ns
    assert after > before
    settle(m)
    m.stop()
    m.start()
    assert os.stat(path).st_ctime_ns == after


def test_fl2_wrong_values_have_the_errno_of_the_table(world):
    server, m = world
    path = files(m, "INBOX")[1]
    name = "user.mailfs.flags"
    for value in (b"\\Recent", b"\\Bogus", b"a(b", b"x\r\nA1 DELETE INBOX", b"a\0b", b"+a b",
                  b"{5}", b"caf\xc3\xa9", b"a" * 65):
        raises(errno.EINVAL, os.setxattr, path, name, value)
    raises(errno.E2BIG, os.setxattr, path, name, b"a " * 2049)
    raises(errno.EINVAL, os.setxattr, path, "user.mailfs.seen", b"yes")
    raises(errno.EPERM, os.setxattr, path, "user.mailfs.uid", b"7")
    os.setxattr(path, "user.mailfs.uid", b"1")  # what it is already
    os.setxattr(path, "user.mime_type", b"message/rfc822")
    raises(errno.EPERM, os.setxattr, path, "user.mime_type", b"text/plain")
    raises(errno.EOPNOTSUPP, os.setxattr, path, "trusted.x", b"1")
    raises(errno.EOPNOTSUPP, os.setxattr, path, "security.x", b"1")
    raises(errno.ENODATA, os.removexattr, path, "user.other")
    time.sleep(0.5)
    assert server.flags("INBOX")[1] == frozenset()
    assert len(server.uids("INBOX")) == 5


def test_flags_survive_kill_9(mount, make_dovecot):
    server = make_dovecot({"INBOX": mails(50)})
    m = mount(server)
    paths = files(m, "INBOX")
    server.pause()
    for uid in range(1, 51):
        os.setxattr(paths[uid], "user.mailfs.flags", b"+\\Flagged")
    m.kill9()
    server.resume()
    m.remount()
    wait_until(lambda: all("\\Flagged" in flags for flags in server.flags("INBOX").values()), 20)
    settle(m)


def test_flags_sync_answers_when_the_server_has(mount, make_dovecot):
    server = make_dovecot({"INBOX": mails(3)})
    m = mount(server, ["flags=sync"])
    os.setxattr(files(m, "INBOX")[1], "user.mailfs.flags", b"+\\Flagged")
    assert server.flags("INBOX")[1] == {"\\Flagged"}


def test_seen_read_marks_what_is_read(mount, make_dovecot):
    server = make_dovecot({"INBOX": mails(3)})
    m = mount(server, ["seen=read"])
    run(["cat", files(m, "INBOX")[2]])
    wait_until(lambda: server.flags("INBOX")[2] == {"\\Seen"})
    assert server.flags("INBOX")[1] == frozenset()


@pytest.mark.deadline(120)
def test_ten_thousand_changes_are_few_commands(mount, make_dovecot):
    server = make_dovecot({"INBOX": mails(10000)})
    server.rawlog()
    m = mount(server, ["name=uid"])
    m.list("INBOX", timeout=60)
    run("chmod u+x %s/*.eml" % m.join("INBOX"), 90)
    wait_until(lambda: sum("\\Flagged" in one for one in server.flags("INBOX").values()) == 10000, 60)
    settle(m)
    m.stop()
    assert 1 <= commands(server, "UID STORE") <= 200


def test_fl5_rights_of_an_acl_show_as_modes_and_fail_early(mount, make_dovecot, tmp_path):
    server = make_dovecot({"INBOX": mails(2), "Shared": mails(2)}, extra="""
mail_plugins = acl
plugin {
  acl = vfile
}
protocol imap {
  mail_plugins = acl imap_acl
}
""")
    server.doveadm("acl", "set", "-u", server.user, "Shared", "owner", "lookup", "read", check=False)
    server.doveadm("acl", "set", "-u", server.user, "Shared", "user=" + server.user, "lookup", "read")
    m = mount(server)
    path = files(m, "Shared")[1]
    m.list("Shared")
    wait_until(lambda: os.stat(path).st_mode & 0o777 == 0o400)
    raises(errno.EACCES, os.setxattr, path, "user.mailfs.seen", b"1")
    raises(errno.EACCES, os.open, m.join("Shared", "new.eml"), os.O_WRONLY | os.O_CREAT)
    raises(errno.EACCES, os.unlink, path)
    assert len(server.uids("Shared")) == 2


# Moving and removing.


def test_wr7_mv_moves_the_message(world):
    server, m = world
    paths = files(m, "INBOX")
    wanted = truth(server, "INBOX")[1]
    name = os.path.basename(paths[1])
    run(["mv", paths[1], m.join("Archive")])
    assert server.uids("INBOX") == [2, 3, 4, 5]
    assert list(truth(server, "Archive").values()) == [wanted]
    assert m.list("Archive") == [name]
    assert m.read("Archive", name) == wanted
    assert name not in m.list("INBOX")
    raises(errno.ENOENT, os.stat, paths[1])


def test_mv_within_a_folder_is_only_a_name(world):
    server, m = world
    path = files(m, "INBOX")[1]
    os.rename(path, m.join("INBOX", "better name"))
    assert "better name" in m.list("INBOX") and len(m.list("INBOX")) == 5
    assert server.uids("INBOX") == [1, 2, 3, 4, 5]
    assert m.read("INBOX", "better name") == truth(server, "INBOX")[1]
    os.stat(path)  # the name that it had goes on resolving
    os.stat(m.join("INBOX", "1.eml"))


def test_mv_over_a_message_replaces_it(world):
    server, m = world
    paths = files(m, "INBOX")
    wanted = truth(server, "INBOX")
    os.rename(paths[1], paths[2])
    wait_until(lambda: server.uids("INBOX") == [1, 3, 4, 5])
    assert m.read("INBOX", os.path.basename(paths[2])) == wanted[1]


def test_rm_moves_to_the_trash(world):
    server, m = world
    wanted = truth(server, "INBOX")[3]
    os.unlink(files(m, "INBOX")[3])
    assert server.uids("INBOX") == [1, 2, 4, 5]
    assert list(truth(server, "Trash").values()) == [wanted]
    os.unlink(m.join("Trash", m.list("Trash")[0]))
    assert server.uids("Trash") == []


def test_nm10_rm_without_a_trash_folder_is_refused(mount, imap_server):
    server = imap_server()
    server.account["INBOX"].add(mail("stays"))
    m = mount(server)
    m.list("INBOX")
    path = sorted(files(m, "INBOX").values())[0]
    raises(errno.EPERM, os.unlink, path)
    assert any("delete=expunge" in reason for reason in m.status()["reasons"])
    assert not server.writes()


def test_delete_expunge_and_no(mount, make_dovecot):
    server = make_dovecot({"INBOX": mails(3), "Trash": []})
    m = mount(server, ["delete=expunge"])
    os.unlink(files(m, "INBOX")[2])
    assert server.uids("INBOX") == [1, 3] and server.uids("Trash") == []
    m.stop()
    other = mount(server, ["delete=no"])
    raises(errno.EPERM, os.unlink, files(other, "INBOX")[1])
    assert any("delete=no" in reason for reason in other.status()["reasons"])
    assert server.uids("INBOX") == [1, 3]


@pytest.mark.parametrize("option", ["exclude=Junk;Trash", "include=INBOX", "subscribed"])
def test_rm_moves_to_a_trash_that_is_not_shown(mount, make_dovecot, option):
    server = make_dovecot({"INBOX": mails(2), "Trash": []})
    server.doveadm("mailbox", "unsubscribe", "-u", server.user, "Trash")
    wanted = truth(server, "INBOX")[1]
    m = mount(server, [option])
    assert "Trash" not in m.list()
    os.unlink(files(m, "INBOX")[1])
    assert server.uids("INBOX") == [2]
    assert list(truth(server, "Trash").values()) == [wanted]
    assert "Trash" not in m.list() and not os.path.exists(m.join("Trash"))
    assert "Trash" not in [row["folder"] for row in m.status()["folder-list"]]
    m.stop()
    assert "Trash" in mount(server, home=m.home).list()


def test_foreign_deleted_messages_survive_our_expunge(world):
    server, m = world
    server.doveadm("flags", "add", "-u", server.user, "\\Deleted", "mailbox", "INBOX", "uid", "4")
    m.list("INBOX")
    try:
        os.unlink(files(m, "INBOX")[2])
    except OSError as error:
        assert error.errno == errno.EPERM  # without UIDPLUS it cannot be done (EX-1)
    assert 4 in server.uids("INBOX") and {1, 3, 5} <= set(server.uids("INBOX"))


@pytest.mark.deadline(120)
def test_a_thousand_moves_are_few_commands(mount, make_dovecot):
    server = make_dovecot({"INBOX": mails(1000), "Archive": []})
    server.rawlog()
    m = mount(server)
    m.list("INBOX")
    run("mv %s/*.eml %s/" % (m.join("INBOX"), m.join("Archive")), 90)
    wait_until(lambda: len(server.uids("Archive")) == 1000, 60)
    settle(m)
    assert server.uids("INBOX") == [] and len(m.list("Archive")) == 1000
    m.stop()
    assert 1 <= commands(server, "UID MOVE") <= 10


@pytest.mark.deadline(180)
@pytest.mark.parametrize("options", [["name=uid"], []])
def test_what_a_burst_moved_is_there_at_once(mount, make_dovecot, options):
    server = make_dovecot({"INBOX": mails(100), "Archive": [], "Trash": []})
    m = mount(server, options)
    here, there = m.join("INBOX"), m.join("Archive")
    bodies = sorted(truth(server, "INBOX").values())
    m.list("INBOX")
    for _ in range(3):
        run("mv %s/* %s/" % (here, there), 60)
        assert len(os.listdir(there)) == 100 and os.listdir(here) == []
        here, there = there, here
    names = os.listdir(here)
    run("mv %s/* %s/; cat %s/* > %s/all; mv %s/%s %s/" % (here, there, there, m.home, there, names[0],
                                                         here), 60)
    assert os.path.getsize(os.path.join(m.home, "all")) == sum(map(len, bodies))
    assert os.listdir(here) == [names[0]]
    run("rm %s/*" % there, 60)
    assert os.listdir(there) == []
    settle(m)
    assert len(server.uids("Trash")) == 99


@pytest.mark.deadline(120)
def test_rm_r_of_a_folder_of_thousands(mount, make_dovecot):
    server = make_dovecot({"INBOX": [], "Old": mails(2000), "Trash": []})
    server.rawlog()
    m = mount(server, ["delete=expunge"])
    run(["rm", "-r", m.join("Old")], 90)
    assert "Old" not in server.folders()
    m.stop()
    assert 1 <= commands(server, "UID EXPUNGE") <= 40


def test_moves_offline_are_refused_and_files_are_queued(mount, make_dovecot):
    server = make_dovecot({"INBOX": mails(2), "Archive": [], "Trash": []})
    m = mount(server)
    paths = files(m, "INBOX")
    m.list("Archive")
    server.halt()
    m.wait_status(lambda status: status["state"] != "online")
    raises(errno.EHOSTUNREACH, os.unlink, paths[1])
    raises(errno.EHOSTUNREACH, os.rename, paths[1], m.join("Archive", "x"))
    raises(errno.EHOSTUNREACH, os.mkdir, m.join("New"))
    os.setxattr(paths[1], "user.mailfs.flags", b"+\\Flagged")
    server.restart()
    refresh(m, check=False)
    wait_until(lambda: server.flags("INBOX")[1] == {"\\Flagged"}, 20)
    assert server.uids("INBOX") == [1, 2]


# Folders.


def test_mkdir_rmdir_and_rename_of_folders(world):
    server, m = world
    os.makedirs(m.join("Projects", "Größe", "2024"))
    assert {"Projects", "Projects/Größe", "Projects/Größe/2024"} <= set(server.folders())
    subscribed = server.doveadm("mailbox", "list", "-s", "-u", server.user).decode().splitlines()
    assert "Projects/Größe/2024" in subscribed
    run(["mv", files(m, "INBOX")[1], m.join("Projects", "Größe", "2024")])
    os.rename(m.join("Projects", "Größe"), m.join("Projects", "Size"))
    assert "Projects/Size/2024" in server.folders()
    assert "Projects/Größe" not in server.folders()
    assert len(m.list("Projects", "Size", "2024")) == 1
    raises(errno.ENOTEMPTY, os.rmdir, m.join("Projects"))
    raises(errno.ENOTEMPTY, os.rmdir, m.join("Projects", "Size", "2024"))
    os.makedirs(m.join("Projects", "empty"))
    os.rmdir(m.join("Projects", "empty"))
    assert "Projects/empty" not in server.folders()
    raises(errno.EEXIST, os.mkdir, m.join("Projects", "Size"))


def test_nm1_a_new_folder_has_the_name_that_was_asked_for_or_is_refused(world):
    server, m = world
    os.mkdir(m.join("100%"))
    os.mkdir(m.join("100%", "a%252Fb"))  # as a folder called a%2Fb is shown
    os.rename(m.join("100%"), m.join("x%2Eeml"))
    assert m.list("x%2Eeml") == ["a%252Fb"]
    assert "x.eml/a%2Fb" in server.folders()
    before = server.folders()
    for name in ("y.eml", "q%41", "a%2Fb", "%", "%0A", "%FF", "%79"):
        raises(errno.EINVAL, os.mkdir, m.join(name))
        raises(errno.EINVAL, os.rename, m.join("x%2Eeml"), m.join(name))
    assert server.folders() == before
    assert any("under this name" in reason for reason in m.status()["reasons"])


def test_nm9_inbox_and_folders_in_the_way_are_protected(world):
    server, m = world
    os.mkdir(m.join("Other"))
    raises(errno.EPERM, os.rename, m.join("INBOX"), m.join("Elsewhere"))
    raises(errno.EPERM, os.rmdir, m.join("INBOX")) if not server.uids("INBOX") else None
    raises(errno.ENOTEMPTY, os.rename, m.join("Archive"), m.join("Other"))
    raises(errno.EINVAL, os.rename, m.join("Other"), m.join("Other", "inside"))
    assert {"INBOX", "Archive", "Other"} <= set(server.folders())


def test_nm8_a_folder_named_with_a_star_is_removed_alone(world):
    server, m = world
    os.mkdir(m.join("T*"))
    os.mkdir(m.join("Tx"))
    run(["mv", files(m, "INBOX")[1], m.join("Tx")])
    os.rmdir(m.join("T*"))
    assert "Tx" in server.folders() and "T*" not in server.folders()
    assert len(server.uids("Tx")) == 1


def test_two_mounts_cannot_be_joined_by_rename(mount, make_dovecot):
    server = make_dovecot({"INBOX": mails(1)}, users=("demo", "other"))
    one = mount(server)
    two = mount(server, user="other")
    raises(errno.EXDEV, os.rename, files(one, "INBOX")[1], two.join("INBOX", "x"))


@pytest.mark.deadline(180)
@pytest.mark.parametrize("capability", [None, "IMAP4rev1"])
def test_two_clients_changing_flags_converge(mount, make_dovecot, capability):
    """Done-when 3 in small: the same flags and the same set; nobody's flag is lost."""
    import random
    seconds = float(os.environ.get("MAILFS_CONVERGE_SECONDS", "8"))
    rng = random.Random(7)
    server = make_dovecot({"INBOX": mails(500)}, capability=capability)
    # Without UIDPLUS nothing is expunged while others have marked messages (EX-1): one at a time.
    m = mount(server, ["poll=1", "delete=expunge"] + (["confirm=each"] if capability else []))
    paths = files(m, "INBOX")
    other = server.connect()
    other.select("INBOX")
    ours, theirs, left = {}, {}, list(range(1, 501))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        uid = rng.choice(left)
        sign = rng.choice("+-")
        # Each side has keywords of its own: whatever the order, none may be lost.
        os.setxattr(paths[uid], "user.mailfs.flags", b"%sours" % sign.encode())
        ours[uid] = sign == "+"
        uid = rng.choice(left)
        sign = rng.choice("+-")
        other.uid("STORE", str(uid), sign + "FLAGS.SILENT", "(theirs)")
        theirs[uid] = sign == "+"
        chance = rng.random() if len(left) > 250 else 1
        if chance < 0.02:
            os.unlink(paths.pop(left.pop(rng.randrange(len(left)))))
        elif chance < 0.04:
            uid = left.pop(rng.randrange(len(left)))
            del paths[uid]
            other.uid("STORE", str(uid), "+FLAGS.SILENT", "(\\Deleted)")
            other.uid("EXPUNGE", str(uid)) if not capability else other.expunge()
    settle(m, 60)
    other.logout()
    refresh(m)
    wanted = {uid: frozenset(([] if not ours.get(uid) else ["ours"])
                             + ([] if not theirs.get(uid) else ["theirs"]))
              for uid in left}
    assert server.flags("INBOX") == wanted
    wait_until(lambda: sorted(m.list("INBOX")) == sorted(map(os.path.basename, paths.values())), 30)
    shown = {uid: frozenset(get(path, "user.mailfs.flags").split()) for uid, path in paths.items()}
    assert shown == wanted
