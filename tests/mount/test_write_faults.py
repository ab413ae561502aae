# SPDX-License-Identifier: MIT
"""Servers that refuse, lie about and cut what is written: the errno, the reason, and the
messages that are there at the end. On the scripted server (its faults)."""

import errno
import os
import tempfile

import pytest

from mounting import run
from tools import files, mail, raises, refresh, wait_until

# Lines that would do harm as commands.
EVIL = b"A1 DELETE INBOX\r\nA2 LOGOUT\r\n* BYE\r\n.\r\n+ go\r\nA3 UID EXPUNGE 1:*\r\n" * 40


def evil(subject):
    return mail(subject, tail=EVIL)


def state_of(path):
    return os.getxattr(path, "user.mailfs.state").decode()


def flags_of(path):
    return os.getxattr(path, "user.mailfs.flags").decode()


def reasons(m):
    return "\n".join(m.status()["reasons"])


def bodies(server, folder="INBOX"):
    return sorted(message.raw for message in server.account[folder].messages)


def settle(m, timeout=30):
    wait_until(lambda: not m.read(".mailfs", "pending"), timeout, "an empty journal")


def no_byte_was_a_command(server):
    """WR-3: what the server has read as commands is none of a body's lines."""
    for command in list(server.commands):
        assert command.tag not in (b"A1", b"A2", b"A3", b"*", b".", b"+"), command
        assert command.name != "?", command
    assert server.count("DELETE") == 0 and b"INBOX" in server.account.folders


def save(m, data, name="new.eml", folder="INBOX"):
    """Writes a file and asks for the verdict: an errno, or 0."""
    fd = os.open(m.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    verdict = 0
    for call in (lambda: os.write(fd, data), lambda: os.fsync(fd), lambda: os.close(fd)):
        try:
            call()
        except OSError as error:
            verdict = verdict or error.errno
    return verdict


@pytest.fixture
def world(imap_server, mount):
    """make(count, *faults, options=[...]): a server with so many messages, and a mount."""

    def make(count=0, *faults, options=(), capabilities=None, prepare=None):
        server = imap_server()
        for at in range(1, count + 1):
            server.account["INBOX"].add(mail("mail %d" % at))
        server.account.add("Archive")
        server.account.add("Trash", attributes=["\\Trash"])
        server.faults.update(faults)
        server.late = 0.3
        if capabilities:
            server.capabilities = capabilities.split()
        if prepare:
            prepare(server)
        m = mount(server, ["poll=0", *options])
        m.list("INBOX")
        return server, m

    return make


# 33. APPEND.


REFUSALS = {
    "no": (lambda c, tag, _line: c.no(tag, "[NOPERM] not you") or False, errno.EACCES),
    "too big": (lambda c, tag, _line: c.no(tag, "[TOOBIG] large") or False, errno.EFBIG),
    "gone": (lambda c, tag, _line: c.no(tag, "[TRYCREATE] no such") or False, errno.ENOENT),
    "plain": (lambda c, tag, _line: c.no(tag, "I do not like it") or False, errno.EIO),
    "bad": (lambda c, tag, _line: c.bad(tag, "what?") or False, errno.EIO),
    "quota": (lambda c, tag, _line: c.no(tag, "[OVERQUOTA] full") or False, errno.EDQUOT),  # remembered, so the last
}


def test_wr2_wr3_a_refusal_before_the_plus(world):
    server, m = world()
    for at, (kind, (refusal, wanted)) in enumerate(REFUSALS.items()):
        server.on("LITERAL", refusal, match=rb"(?i)\A\S+ APPEND")
        name = "%d.txt" % at
        assert (kind, save(m, evil(kind), name)) == (kind, wanted)
        server.off("LITERAL")
        wait_until(lambda: state_of(m.join("INBOX", name)).startswith("failed: "))
        assert m.read("INBOX", name) == evil(kind)  # still there
        assert b"failed" in m.read(".mailfs", "pending")
    assert bodies(server) == []
    no_byte_was_a_command(server)
    assert server.count("APPEND") <= len(REFUSALS)  # never repeated blindly


@pytest.mark.parametrize("fault", ["append-late", "append-no-uid", "append-uid-0",
                                   "append-other-validity", "append-bye"])
def test_wr3_wr4_wr5_odd_answers_still_mean_one_copy(world, fault):
    server, m = world(2, fault)
    assert save(m, evil(fault)) == 0
    settle(m)
    assert bodies(server) == sorted([evil(fault), mail("mail 1"), mail("mail 2")])
    assert m.read("INBOX", "new.eml") == evil(fault)
    assert len(m.list("INBOX")) == 3
    no_byte_was_a_command(server)


@pytest.mark.parametrize("fault", ["append-lost", "append-dropped", "append-halfway"])
def test_wr5_one_copy_whether_the_server_has_stored_it_or_not(world, fault):
    server, m = world(1, fault)
    fd = os.open(m.join("INBOX", "new.eml"), os.O_WRONLY | os.O_CREAT)
    os.write(fd, evil(fault))
    os.close(fd)
    assert server.wait_for("APPEND", 20)
    server.faults.clear()
    refresh(m, check=False)
    wait_until(lambda: evil(fault) in bodies(server), 40)
    settle(m, 40)
    assert bodies(server) == sorted([evil(fault), mail("mail 1")])
    assert m.read("INBOX", "new.eml") == evil(fault)
    if fault != "append-halfway":  # there the rest was on its way, by invitation
        no_byte_was_a_command(server)


# 34. COPY and MOVE.


NO_MOVE = "IMAP4rev1 UIDPLUS IDLE AUTH=PLAIN"


@pytest.mark.parametrize("capabilities", [None, NO_MOVE], ids=["move", "copy"])
@pytest.mark.parametrize("fault", ["copyuid-none", "copyuid-empty", "copyuid-short",
                                   "copyuid-descending"])
def test_id4_wr7_ex2_odd_answers_to_a_move_bind_no_wrong_name(world, fault, capabilities):
    server, m = world(4, fault, capabilities=capabilities)
    paths = files(m, "INBOX")
    for uid in (1, 2, 3):
        os.rename(paths[uid], m.join("Archive", os.path.basename(paths[uid])))
    settle(m)
    wanted = sorted(os.path.basename(paths[uid]) for uid in (1, 2, 3))
    wait_until(lambda: m.list("Archive") == wanted)
    assert bodies(server) == [mail("mail 4")]
    assert bodies(server, "Archive") == sorted(mail("mail %d" % at) for at in (1, 2, 3))
    for uid in (1, 2, 3):  # each name has its own bytes
        assert m.read("Archive", os.path.basename(paths[uid])) == mail("mail %d" % uid)
    assert len(m.list("INBOX")) == 1


@pytest.mark.parametrize("capabilities", [None, NO_MOVE], ids=["move", "copy"])
@pytest.mark.parametrize("fault", ["copy-nothing", "copy-half", "move-keeps", "move-silent",
                                   "copy-lost"])
def test_wr7_ex2_a_move_that_fails_loses_nothing(world, fault, capabilities):
    server, m = world(2, fault, capabilities=capabilities)
    path = files(m, "INBOX")[1]
    before = mail("mail 1")
    done = run(["mv", path, m.join("Archive")], 40, check=False)
    server.faults.clear()
    refresh(m, check=False)
    settle(m, 40)
    held = [folder for folder in ("INBOX", "Archive") if before in bodies(server, folder)]
    assert held and mail("mail 2") in bodies(server)
    if done.returncode == 0:
        assert "Archive" in held
    assert bodies(server, "Archive").count(before) <= 1
    for folder in held:
        assert before in [m.read(folder, name) for name in m.list(folder)]


def test_wr7_mv_over_a_message_that_was_given_its_name(world):
    server, m = world()
    for name in ("one", "two"):
        assert save(m, mail(name), name) == 0
    settle(m)
    os.rename(m.join("INBOX", "one"), m.join("INBOX", "two"))
    settle(m)
    assert m.list("INBOX") == ["two"] and m.read("INBOX", "two") == mail("one")
    assert bodies(server) == [mail("one")] and bodies(server, "Trash") == [mail("two")]


# 35. STORE.


def test_fl1_flags_that_the_server_ignores_go_back(world):
    server, m = world(1, "store-ignored")
    path = files(m, "INBOX")[1]
    os.setxattr(path, "user.mailfs.flags", b"+\\Flagged")
    settle(m)
    wait_until(lambda: flags_of(path) == "")
    assert "flag" in reasons(m).lower()


def test_fl1_flags_that_are_refused_go_back(world):
    server, m = world(1, "store-no", options=["flags=sync"])
    path = files(m, "INBOX")[1]
    raises(errno.EINVAL, os.setxattr, path, "user.mailfs.flags", b"+\\Flagged")
    assert flags_of(path) == "" and "not these flags" in reasons(m)
    assert server.account["INBOX"].get(1).flags == set()


@pytest.mark.parametrize("fault", ["store-modified", "store-no-uid", "store-loud"])
def test_fl1_odd_answers_to_store_keep_what_is_true(world, fault):
    server, m = world(2, fault, options=["flags=sync"])
    path = files(m, "INBOX")[1]
    os.setxattr(path, "user.mailfs.flags", b"+\\Flagged")
    settle(m)
    assert server.account["INBOX"].get(1).flags == {"\\Flagged"}
    assert flags_of(path) == "\\Flagged" and flags_of(files(m, "INBOX")[2]) == ""


@pytest.mark.parametrize("was_stored", [True, False])
def test_wr5_a_cut_store_is_repeated(world, was_stored):
    server, m = world(2)

    def cut(c, _tag, _line):
        if was_stored:
            c.capture()
        c.fin()

    server.on("UID STORE", cut, times=1)
    path = files(m, "INBOX")[2]
    os.setxattr(path, "user.mailfs.flags", b"+\\Flagged")
    wait_until(lambda: server.count("UID STORE") >= 1)
    refresh(m, check=False)
    wait_until(lambda: server.account["INBOX"].get(2).flags == {"\\Flagged"}, 30)
    settle(m)
    assert flags_of(path) == "\\Flagged"


# FL-1, FL-5.


def test_fl1_keywords_that_cannot_be_kept_are_eperm(world):
    def prepare(server):
        server.account["INBOX"].permanent_flags = ["\\Seen", "\\Flagged", "$Junk"]

    server, m = world(1, prepare=prepare)
    path = files(m, "INBOX")[1]
    raises(errno.EPERM, os.setxattr, path, "user.mailfs.flags", b"+work")
    raises(errno.EPERM, os.setxattr, path, "user.mailfs.answered", b"1")
    os.setxattr(path, "user.mailfs.flags", b"+$Junk +\\Seen")
    settle(m)
    assert server.account["INBOX"].get(1).flags == {"$Junk", "\\Seen"}
    assert not reasons(m)


def test_fl1_no_permanent_flags_at_all_is_unknown(world):
    def prepare(server):
        server.account["INBOX"].permanent_flags = []

    server, m = world(1, prepare=prepare)
    path = files(m, "INBOX")[1]
    raises(errno.EPERM, os.setxattr, path, "user.mailfs.flags", b"+work")
    # The server refuses the system flag as well; what is shown goes back.
    os.setxattr(path, "user.mailfs.flags", b"+\\Seen")
    settle(m)
    wait_until(lambda: flags_of(path) == "")


def test_fl5_read_only_folders_are_erofs_and_look_it(world):
    def prepare(server):
        server.account["INBOX"].read_only = True

    server, m = world(1, prepare=prepare)
    path = files(m, "INBOX")[1]
    assert os.stat(path).st_mode & 0o777 == 0o400
    assert os.stat(m.join("INBOX")).st_mode & 0o777 == 0o500
    m.list("Archive")
    raises(errno.EROFS, os.setxattr, path, "user.mailfs.seen", b"1")
    raises(errno.EROFS, os.chmod, path, 0o700)
    raises(errno.EROFS, os.open, m.join("INBOX", "new"), os.O_WRONLY | os.O_CREAT)
    raises(errno.EROFS, os.unlink, path)
    raises(errno.EROFS, os.rename, path, m.join("Archive", "x"))
    assert not server.writes() and bodies(server) == [mail("mail 1")]


# 36. EXPUNGE.


def test_ex1_wr6_uid_expunge_refused_and_foreign_deleted_messages_survive(world):
    server, m = world(3, "uid-expunge-bad", options=["delete=expunge"])
    server.account["INBOX"].set_flags(3, {"\\Deleted"})
    refresh(m)
    raises(errno.EPERM, os.unlink, files(m, "INBOX")[1])
    assert mail("mail 3") in bodies(server) and mail("mail 2") in bodies(server)
    assert server.count("EXPUNGE") == 0 and server.count("CLOSE") == 0
    server.account["INBOX"].set_flags(1, set())
    server.account["INBOX"].set_flags(3, set())
    refresh(m)
    os.unlink(files(m, "INBOX")[2])  # now nobody else's is marked
    assert bodies(server) == [mail("mail 1"), mail("mail 3")]


def test_wr6_expunge_that_removes_nothing_is_no_success(world):
    server, m = world(2, "expunge-keeps", options=["delete=expunge"])
    path = files(m, "INBOX")[1]
    raises(errno.EIO, os.unlink, path)
    assert len(bodies(server)) == 2
    os.stat(path)


def test_wr6_a_foreign_expunge_meanwhile_is_not_ours(world):
    server, m = world(4, "expunge-foreign", options=["delete=expunge"])
    os.unlink(files(m, "INBOX")[1])
    assert bodies(server) == sorted([mail("mail 2"), mail("mail 3")])
    wait_until(lambda: len(m.list("INBOX")) == 2)


# 37. Folders.


def test_wr8_nm9_folder_changes_that_go_wrong(world):
    server, m = world(0, "create-hidden")
    try:
        os.mkdir(m.join("New"))
    except OSError as error:
        assert error.errno in (errno.EIO, errno.ENOENT)
    server.faults.clear()
    server.account.folders.pop(b"New", None)
    refresh(m)
    # Made by somebody else, and not seen here yet.
    server.account.add("Other")
    raises(errno.EEXIST, os.mkdir, m.join("Other"))
    os.stat(m.join("Other"))  # mkdir -p looks, then
    os.mkdir(m.join("Mine"))
    server.faults.add("delete-no")
    raises(errno.EINVAL, os.rmdir, m.join("Mine"))
    assert "Mine" in m.list() and b"Mine" in server.account.folders
    server.faults.clear()
    os.mkdir(m.join("Mine", "inside"))
    server.faults.add("rename-half")
    raises(errno.ETIMEDOUT, os.rename, m.join("Mine"), m.join("Yours"))
    # Shown is what the server has.
    wait_until(lambda: "Yours" in m.list(), 20)
    assert m.list("Mine") == ["inside"] and m.list("Yours") == []


# Disk full.


@pytest.mark.skipif(os.getuid() != 0, reason="mounts a tmpfs")
@pytest.mark.may_skip
def test_wr2_disk_full_is_enospc_and_nothing_is_lost(imap_server, mount):
    server = imap_server()
    server.account["INBOX"].add(mail("mail 1"))
    m = mount(server, ["poll=0"], start=False)
    state = os.path.join(m.home, "state")
    run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "none", state])
    try:
        m.start()
        wanted = mail("small", 3000, tail=b"\r\n")
        assert save(m, wanted, "small.eml") == 0
        with tempfile.NamedTemporaryFile() as file:
            file.write(mail("large", 8 << 20))
            file.flush()
            done = run(["cp", file.name, m.join("INBOX", "large.eml")], check=False)
        assert done.returncode != 0 and b"No space left" in done.stderr
        assert m.read("INBOX", "small.eml") == wanted
        os.unlink(m.join("INBOX", "large.eml"))
        assert save(m, mail("after"), "after.eml") == 0
        assert bodies(server) == sorted([mail("mail 1"), wanted, mail("after")])
        m.stop()
    finally:
        m.cleanup()
        run(["umount", state], check=False)


# ID-1.


def test_id1_flags_of_another_uidvalidity_are_never_sent(world):
    server, m = world(2)
    path = files(m, "INBOX")[1]
    server.refuse()
    server.drop()
    m.wait_status(lambda status: status["state"] != "online")
    os.setxattr(path, "user.mailfs.flags", b"+\\Flagged")
    inbox = server.account["INBOX"]
    inbox.uidvalidity += 1
    inbox.messages = []
    inbox.add(mail("another"), uid=1)
    server.start()
    refresh(m, check=False)
    m.wait_status(lambda status: status["state"] == "online", 30)
    wait_until(lambda: any(b"another" in m.read("INBOX", name) for name in m.list("INBOX")), 20)
    assert server.count("UID STORE") == 0 and inbox.get(1).flags == set()
    assert reasons(m)
