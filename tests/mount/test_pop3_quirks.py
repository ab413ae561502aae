# SPDX-License-Identifier: MIT
"""POP3 servers that misbehave as some in the field do: the cases P3-n, on real mounts."""

import errno
import os
import time

import pytest

from pop3_server import FIN, HANG, RST, reply
from tools import (TOOLS, TREE_TOOLS, mail, popen, probe, raises, refresh, run, tree_by_tar,
                   wait_readable, wait_until)

EXPUNGE = ["delete=expunge", "confirm=each"]


def fill(server, count=3, size=3000):
    for at in range(count):
        server.add(mail("subject %d" % at, size + at, tail=b"\r\n"))
    return server


def named(m, subject):
    """The one file with that subject in its name."""
    found = [name for name in eml(m) if subject.replace(" ", "-") in name]
    assert len(found) == 1, "%r: %r" % (subject, m.list())
    return m.join(found[0])


def eml(m):
    return [name for name in m.list() if name.endswith(".eml")]


def bodies(m):
    return sorted(tree_by_tar(m.path, None).values())


def state(path):
    return os.getxattr(path, "user.mailfs.state").decode()


def end_session(server):
    """As a server does that waits no longer."""
    server.drop("fin")


def inodes(m):
    return {name: os.stat(m.join(name)).st_ino for name in eml(m)}


# P3-1: what LIST and STAT count.


SIZES = {"one": 1, "small": 2700, "big": 3500, "huge": 3_000_000_000, "none": 0, "negative": -17,
         "absurd": 10 ** 30}


@pytest.mark.parametrize("how", sorted(SIZES))
def test_P3_1_wrong_sizes_and_every_tool(mount, pop3_server, tmp_path, how):
    server = pop3_server()
    raws = {tool: mail("for " + tool, 3000, tail=b"last line\r\n") for tool in sorted(TOOLS)}
    for raw in raws.values():
        server.add(raw, size=SIZES[how])
    m = mount(server)
    run(["ls", "-l", m.path])
    for tool, raw in raws.items():
        path = named(m, "for " + tool)
        assert TOOLS[tool](path, tmp_path) == (0, raw), tool
        assert os.stat(path).st_size == len(raw)
    m.stop()
    m.remount()
    for tool, raw in raws.items():
        assert os.stat(named(m, "for " + tool)).st_size == len(raw)
        assert m.read(named(m, "for " + tool)) == raw


def test_P3_1_honest_sizes_earn_no_trust(mount, pop3_server, tmp_path):
    """Whoever was right forty times is wrong the next time: no read fails for it."""
    server = fill(pop3_server(), 40)
    raws = {tool: mail("for " + tool, 3000, tail=b"last line\r\n") for tool in sorted(TOOLS)}
    m = mount(server, ["prefetch=off"])
    assert bodies(m) == server.bodies()
    for at, raw in enumerate(raws.values()):
        server.add(raw, size=len(raw) + (-300, 300)[at % 2])
    assert refresh(m)
    for tool, raw in raws.items():
        path = named(m, "for " + tool)
        assert os.stat(path).st_size != len(raw), "it is here already: the test tests nothing"
        assert TOOLS[tool](path, tmp_path) == (0, raw), tool
        assert os.stat(path).st_size == len(raw)
    assert m.status()["reasons"] == []


# P3-2: UIDL.


ODD_UIDLS = {"long": "x" * 71, "endless": "y" * 5000, "slash": "../../etc/passwd", "space": "a b  c",
             "bytes": b"\xff\xfe\x80", "percent": "%s%n%00", "quotes": "'\"`$(id)", "dot": ".", "dots": "..",
             "minus": "-rf", "good": "0123456789abcdef"}


def test_P3_2_unsafe_uidls_name_messages_all_the_same(mount, pop3_server):
    server = pop3_server()
    for name, uidl in ODD_UIDLS.items():
        server.add(mail(name, 3000), uidl=uidl)
    m = mount(server, EXPUNGE)
    assert bodies(m) == server.bodies()
    before = inodes(m)
    assert len(before) == len(ODD_UIDLS)
    m.stop()
    m.remount()
    assert inodes(m) == before
    os.unlink(named(m, "slash"))
    os.unlink(named(m, "bytes"))
    assert len(server.uidls()) == len(ODD_UIDLS) - 2
    assert bodies(m) == server.bodies()


@pytest.mark.parametrize("how", ["refused", "empty", "numbers"])
def test_P3_2_without_uidl_the_header_names_a_message(mount, pop3_server, how):
    """Nothing is deleted by such a name."""
    server = pop3_server()
    if how == "refused":
        server.faults.add("uidl-no")
        server.capabilities.remove("UIDL")
    for at in range(1, 4):
        server.add(mail("subject %d" % at, 3000), uidl={"empty": None, "numbers": str(at)}.get(how, True))
    m = mount(server, EXPUNGE)
    assert bodies(m) == server.bodies()
    raises(errno.EROFS, os.unlink, named(m, "subject 2"))
    before = inodes(m)
    server.drop_box.pop(0)
    if how == "numbers":
        for at, message in enumerate(server.drop_box, 1):
            message.uidl = b"%d" % at
    assert refresh(m)
    assert state(named(m, "subject 1")) == "local"
    assert state(named(m, "subject 2")) == "server"
    assert inodes(m) == before
    for at in (1, 2, 3):
        assert b"Subject: subject %d\r\n" % at in m.read(named(m, "subject %d" % at))
    assert len(server.drop_box) == 2


@pytest.mark.parametrize("same_head", [False, True])
def test_P3_2_messages_that_share_a_uidl_keep_their_bytes(mount, pop3_server, same_head):
    """One goes, one comes: nobody takes over what was read of another."""
    server = pop3_server()

    def add(at):
        server.add(mail("subject" if same_head else "subject %d" % at, 3000, tail=b"body %03d\r\n" % at),
                   uidl="same")

    for at in range(4):
        add(at)
    server.add(mail("alone", 3000), uidl="other")
    m = mount(server, EXPUNGE + ["pop3-vanished=hide"])
    assert bodies(m) == server.bodies()
    for step in range(3):
        server.drop_box.pop(0)
        if step:
            add(10 + step)
        assert refresh(m)
        assert bodies(m) == server.bodies(), "step %d" % step
    with pytest.raises(OSError) as caught:
        os.unlink(m.join([name for name in eml(m) if "alone" not in name][0]))
    assert caught.value.errno == errno.EROFS
    os.unlink(named(m, "alone"))
    assert server.uidls().count("same") == len(server.drop_box)


@pytest.mark.parametrize("vanished", ["keep", "hide"])
def test_P3_2_a_uidl_that_is_used_again_is_another_message(mount, pop3_server, vanished):
    server = pop3_server()
    old, new = (mail("the %s one" % age, 3000, tail=b"\r\n") for age in ("old", "new"))
    server.add(old, uidl="again")
    server.add(mail("third"), uidl="third")
    m = mount(server, ["pop3-vanished=" + vanished])
    assert m.read(named(m, "the old one")) == old
    server.drop_box.pop(0)
    assert refresh(m)
    server.add(new, uidl="again")
    assert refresh(m)
    assert m.read(named(m, "the new one")) == new
    for _ in range(2):
        assert m.read(named(m, "the new one")) == new
        if vanished == "keep":
            assert m.read(named(m, "the old one")) == old
            assert state(named(m, "the old one")) == "local"
        m.stop()
        m.remount()


def test_P3_2_a_message_that_comes_back_is_the_one_it_was(mount, pop3_server):
    """With its flags."""
    server = fill(pop3_server())
    m = mount(server)
    path = named(m, "subject 1")
    inode = os.stat(path).st_ino
    raw = m.read(path)
    os.setxattr(path, "user.mailfs.flags", b"+\\Flagged")
    back = server.drop_box.pop(1)
    assert refresh(m)
    assert state(path) == "local"
    server.drop_box.append(back)
    assert refresh(m)
    assert (state(path), os.stat(path).st_ino, m.read(path)) == ("server", inode, raw)
    assert os.getxattr(path, "user.mailfs.flags") == b"\\Flagged"
    assert len(eml(m)) == 3


def test_P3_2_ok_in_front_of_every_line(mount, pop3_server):
    server = fill(pop3_server())
    server.faults.add("uidl-ok-lines")
    m = mount(server, EXPUNGE)
    assert bodies(m) == server.bodies()
    os.unlink(named(m, "subject 1"))
    assert bodies(m) == server.bodies()
    assert len(server.uidls()) == 2


@pytest.mark.parametrize("line", ["+OK   2    uid-000002  ", "+OK 2\tuid-000002"])
def test_P3_2_many_spaces_in_the_answer_to_one_uidl(mount, pop3_server, line):
    server = fill(pop3_server())
    server.on("UIDL", reply(line), match=rb"UIDL \d")
    m = mount(server, EXPUNGE)
    os.unlink(named(m, "subject 1"))
    assert server.uidls() == ["uid-000001", "uid-000003"]


# P3-3: TOP.


@pytest.mark.parametrize("fault", ["top-no", "top-whole", "top-nothing", "top-cut"])
@pytest.mark.parametrize("uidl", [True, None])
def test_P3_3_no_byte_of_a_body_comes_from_top(mount, pop3_server, fault, uidl):
    server = pop3_server()
    for at in range(5):
        server.add(mail("subject %d" % at, 3000), uidl=uidl)
    server.faults.add(fault)
    if fault == "top-no":
        server.capabilities.remove("TOP")
    m = mount(server)
    assert len(eml(m)) == 5
    assert bodies(m) == server.bodies()
    m.stop()
    m.remount()
    assert bodies(m) == server.bodies()


def test_P3_3_top_is_refused_for_one(mount, pop3_server):
    server = fill(pop3_server())
    server.on("TOP", reply("-ERR oops"), match=rb"TOP 2 ")
    m = mount(server)
    assert named(m, "subject 1")
    assert bodies(m) == server.bodies()


# P3-4: CAPA.


@pytest.mark.parametrize("fault", ["capa-no", "capa-drops", "capa-hangs"])
def test_P3_4_without_capa_where_tls_is_from_the_first_byte(mount, pop3_server, fault):
    server = fill(pop3_server(tls="implicit"))
    server.faults.add(fault)
    m = mount(server, ["timeout=3"] if fault == "capa-hangs" else [])
    assert bodies(m) == server.bodies()
    if fault != "capa-no":
        assert server.count("CAPA") == 1, "asked once, and never again"
    assert all(encrypted for _user, _password, _good, encrypted in server.logins)


@pytest.mark.parametrize("fault", ["capa-no", "capa-drops", "capa-hangs"])
def test_P3_4_never_without_capa_where_that_hides_stls(mount, pop3_server, fault):
    server = fill(pop3_server(tls="starttls"))
    server.faults.add(fault)
    failure = mount(server, ["timeout=2"], start=False).fails()
    assert failure.code in (69, 75, 76)
    assert server.logins == []
    assert server.count("USER") + server.count("AUTH") + server.count("PASS") == 0


# P3-5: dots and ends.


DOTS = {
    "a dot": b"Subject: a dot\r\n\r\n.\r\n..\r\n...\r\n.x\r\n",
    "bare ends": b"Subject: bare ends\r\n\r\nx\n.\ny\r.\rz\n..\n.\r\n\r\n",
    "no end": b"Subject: no end\r\n\r\nlast line without end",
    "dot at the end": b"Subject: dot at the end\r\n\r\nlast\r\n.",
    "cr at the end": b"Subject: cr at the end\r\n\r\nlast\r",
    "nul": b"Subject: nul\r\n\r\na\0b\0\r\n\0.\r\n.\0\r\n",
    "long": b"Subject: long\r\n\r\n" + b"." * 70_000 + b"\r\n",
    "empty body": b"Subject: empty body\r\n\r\n",
    "no blank": b"Subject: no blank\r\n",
}


@pytest.mark.parametrize("segment", [0, 1, 7])
def test_P3_5_dots_and_line_ends_are_exact(mount, pop3_server, segment):
    server = pop3_server()
    for raw in DOTS.values():
        server.add(raw)
    server.segment = segment
    if segment:
        server.drop_box = [message for message in server.drop_box if len(message.raw) < 10_000]
    m = mount(server)
    assert bodies(m) == server.bodies()


def test_P3_5_nothing_but_the_dot(mount, pop3_server):
    server = pop3_server()
    server.add(b"")
    m = mount(server)
    assert bodies(m) == [b""]


@pytest.mark.parametrize("cut", [FIN, RST])
@pytest.mark.parametrize("answer", [b"", b"+OK", b"+OK\r\n", b"+OK\r\nSubject: x\r\n\r\nhalf of ",
                                    b"+OK\r\nSubject: x\r\n\r\nhalf\r\n", b"+OK\r\nSubject: x\r\n\r\nhalf\r\n.",
                                    b"+OK\r\nSubject: x\r\n\r\nhalf\r\n.\r",
                                    b"+OK\r\nSubject: x\r\n\r\nhalf\n.\n"])
def test_P3_5_the_end_of_the_connection_is_no_end_of_a_message(mount, pop3_server, cut, answer):
    server = fill(pop3_server(), 2)
    m = mount(server, ["timeout=3"])
    path = named(m, "subject 0")
    server.on("RETR", reply(answer, cut))
    code, got = probe(path)
    assert code in (errno.EIO, errno.EHOSTUNREACH, errno.ETIMEDOUT) and got == b""
    server.off()
    refresh(m, check=False)
    wait_readable(path, server.drop_box[0].delivered())


# P3-6: what is read is gone.


def test_P3_6_a_server_that_forgets_what_was_read(mount, pop3_server):
    server = fill(pop3_server(), 6)
    server.faults.add("forgets")
    raws = server.bodies()
    m = mount(server)
    half = eml(m)[:3]
    for name in half:
        m.read(name)
    assert refresh(m)
    assert len(server.uidls()) <= 3
    assert len(eml(m)) == 6
    assert {state(m.join(name)) for name in half} == {"local"}
    assert bodies(m) == raws
    m.stop()
    assert server.uidls() == []
    m.remount()
    assert refresh(m)
    assert bodies(m) == raws


# P3-7: DELE and QUIT.


@pytest.mark.parametrize("fault, gone, code", [
    ("dele-no", False, errno.EIO), ("quit-no", False, None), ("quit-half", None, None),
    ("quit-lost", True, None), ("quit-dropped", False, None), ("dele-keeps", False, 0)])
def test_P3_7_a_removal_shows_what_is_true(mount, pop3_server, fault, gone, code):
    server = fill(pop3_server(), 4)
    m = mount(server, EXPUNGE + ["timeout=5"])
    path = named(m, "subject 1")
    server.faults.add(fault)
    try:
        os.unlink(path)
        got = 0
    except OSError as error:
        got = error.errno
    if code is not None:
        assert got == code
    elif gone is False:
        assert got != 0 or fault == "quit-dropped"
    server.faults.clear()
    assert refresh(m)
    there = [raw for raw in bodies(m) if b"Subject: subject 1\r\n" in raw]
    assert (len(there) == 0) == ("uid-000002" not in server.uidls())
    assert set(server.uidls()) >= {"uid-000001", "uid-000003", "uid-000004"}, "of what nobody removed"
    assert bodies(m) == server.bodies()


# P3-8: the lock.


def test_P3_8_a_locked_maildrop_is_waited_for(mount, pop3_server):
    server = fill(pop3_server())
    m = mount(server, ["timeout=2"])
    first, second = named(m, "subject 0"), named(m, "subject 1")
    assert m.read(first) == server.drop_box[0].delivered()
    end_session(server)
    server.on("AUTH", reply("-ERR [IN-USE] locked"))
    assert m.read(first) == server.drop_box[0].delivered(), "cached"
    code, got = probe(second)
    assert code in (errno.EBUSY, errno.ETIMEDOUT) and got == b""
    assert len([login for login in server.lines("AUTH")]) < 10, "no hammering"
    server.off()
    wait_readable(second, server.drop_box[1].delivered(), 30)


def test_P3_8_one_session_at_a_time(mount, pop3_server):
    server = fill(pop3_server(), 12)
    server.faults.add("exclusive")
    m = mount(server)
    children = [popen(["cat", m.join(name)]) for name in eml(m)]
    assert sorted(child.communicate(timeout=30)[0] for child in children) == server.bodies()
    assert max(command.connection for command in server.commands) < 6
    assert not [one for one in server.lines() if one.startswith("-")]


# P3-9: LOGIN-DELAY and EXPIRE.


def test_P3_9_login_delay_is_respected(mount, pop3_server):
    server = fill(pop3_server())
    server.capabilities.append("LOGIN-DELAY 3")
    m = mount(server)
    m.read(eml(m)[0])
    server.add(mail("new one"))
    refresh(m)
    assert named(m, "new one")
    logins = [command.time for command in server.commands if command.name == "AUTH"]
    assert len(logins) >= 2
    assert all(after - before > 2.5 for before, after in zip(logins, logins[1:]))


def test_P3_9_a_refused_login_for_its_frequency_is_no_wrong_password(mount, pop3_server):
    server = fill(pop3_server())
    m = mount(server, ["timeout=2"])
    names = eml(m)
    end_session(server)
    server.on("AUTH", reply("-ERR [LOGIN-DELAY] minimum time between mail checks"), times=1)
    probe(m.join(names[0]))
    wait_readable(m.join(names[0]), server.drop_box[0].delivered(), 30)
    assert m.status()["state"] != "login"


# P3-10: APOP.


def test_P3_10_apop_is_neither_used_nor_there(mount, pop3_server, mailfs_binary):
    server = fill(pop3_server())  # its greeting has the time stamp
    m = mount(server)
    assert bodies(m) == server.bodies()
    assert server.count("APOP") == 0
    with open(mailfs_binary, "rb") as file:
        assert b"APOP" not in file.read()


# P3-11: odd answers.


def test_P3_11_refusals_without_a_word(mount, pop3_server):
    server = fill(pop3_server(), 2)
    server.faults |= {"no-codes", "top-no", "dele-no"}
    m = mount(server, EXPUNGE)
    assert bodies(m) == server.bodies()
    raises(errno.EIO, os.unlink, named(m, "subject 0"))
    assert len(server.uidls()) == 2


@pytest.mark.parametrize("banner", [b"+OK\r\n", b"+ok hello\r\n", b"+OK\t\xff\xfe\x1b[2J\r\n", b"+OK hello\n"])
def test_P3_11_odd_greetings(mount, pop3_server, banner):
    server = fill(pop3_server())
    server.greeting = banner
    m = mount(server)
    assert bodies(m) == server.bodies()


# P3-12: numbers.


def test_P3_12_numbers_mean_something_for_one_session_only(mount, pop3_server):
    server = fill(pop3_server(), 3)
    server.faults.add("newest-first")
    m = mount(server, EXPUNGE)
    path = named(m, "subject 1")
    end_session(server)
    server.add(mail("in front"))
    server.add(mail("more of it"))
    assert m.read(path) == server.drop_box[1].delivered()
    end_session(server)
    server.add(mail("and more"))
    os.unlink(path)
    assert server.uidls() == ["uid-%06d" % at for at in (1, 3, 4, 5, 6)]


def test_P3_12_the_name_is_asked_for_once_more_before_a_removal(mount, pop3_server):
    server = fill(pop3_server(), 3)
    server.on("UIDL", reply("+OK 2 another"), match=rb"UIDL 2")
    m = mount(server, EXPUNGE)
    raises(errno.EIO, os.unlink, named(m, "subject 1"))
    assert server.count("DELE") == 0
    assert len(server.uidls()) == 3


# P3-13: the message that is none.


PSEUDO = (b"From: Mail System Internal Data <MAILER-DAEMON@example.org>\r\n"
          b"Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\r\n"
          b"X-IMAP: 1030000000 0000000012\r\nStatus: RO\r\n\r\nThis text is part of the format.\r\n")


def test_P3_13_the_pseudo_message_is_shown_and_stays(mount, pop3_server):
    server = pop3_server()
    server.add(PSEUDO)
    fill(server)
    m = mount(server, EXPUNGE)
    assert bodies(m) == server.bodies()
    raises(errno.EPERM, os.unlink, named(m, "DELETE"))
    os.unlink(named(m, "subject 0"))
    assert server.uidls() == ["uid-000001", "uid-000003", "uid-000004"]


def test_P3_13_only_the_first_message_can_be_one(mount, pop3_server):
    server = fill(pop3_server(), 1)
    server.add(PSEUDO)
    m = mount(server, EXPUNGE)
    os.unlink(named(m, "DELETE"))
    os.unlink(named(m, "subject 0"))
    assert server.uidls() == []


# P3-14: listings.


LISTINGS = {
    "uidl cut": ("UIDL", ["+OK", "1 uid-000001", FIN]),
    "uidl cut in a line": ("UIDL", ["+OK", b"1 uid-000001\r\n2 uid-0000", RST]),
    "list cut": ("LIST", ["+OK", "1 3000", FIN]),
    "uidl shorter": ("UIDL", ["+OK", "1 uid-000001", "."]),
    "list shorter": ("LIST", ["+OK", "1 3000", "."]),
    "list empty": ("LIST", ["+OK", "."]),
    "uidl refused for now": ("UIDL", ["-ERR [SYS/TEMP] later"]),
    "uidl refused though offered": ("UIDL", ["-ERR"]),
    "list refused": ("LIST", ["-ERR"]),
    "holes": ("UIDL", ["+OK", "1 uid-000001", "3 uid-000003", "7 uid-000007", "."]),
    "uidl hangs": ("UIDL", ["+OK", "1 uid-000001", HANG]),
}


@pytest.mark.parametrize("case", sorted(LISTINGS))
def test_P3_14_a_broken_listing_takes_nothing_away(mount, pop3_server, case):
    server = fill(pop3_server(), 4)
    m = mount(server, ["timeout=2", "pop3-vanished=hide"])
    before = inodes(m)
    name, answer = LISTINGS[case]
    server.on(name, reply(*answer), times=3)
    server.add(mail("new one"))
    refresh(m, check=False)
    assert set(inodes(m).items()) >= set(before.items())
    server.off()
    wait_until(lambda: refresh(m, check=False), 30, "the whole listing")
    assert bodies(m) == server.bodies()
    assert set(inodes(m).items()) >= set(before.items())


# P3-15: too much.


def test_P3_15_many_messages(mount, pop3_server):
    """No header is read again. (That the listing is cut at a million: backend_pop3.)"""
    server = pop3_server()
    raw = mail("one of many", 300)
    for _ in range(20_000):
        server.add(raw)
    m = mount(server, ["name=uid"])
    assert len(eml(m)) == 20_000
    tops = server.count("TOP")
    server.add(mail("new one", 300))
    assert refresh(m)
    assert len(eml(m)) == 20_001
    assert server.count("TOP") - tops <= 1
