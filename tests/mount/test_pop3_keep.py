# SPDX-License-Identifier: MIT
"""POP3 with -o pop3-keep: what leaves the server is here for good."""

import glob
import os

import pytest

import mailgen
import mounting
from pop3_server import RST, reply
from test_pop3_hostile import MIB, check_memory, flood
from test_pop3 import all_bodies, drop, eml, fresh, new_mail, refresh, sha, wait_for
from tools import mail


def status(m, word):
    return m.status()[word]


def kept_files(m):
    return sorted(glob.glob(os.path.join(m.home, "**", "state", "**", "spool", "*"), recursive=True))


def contents(m):
    return {name: sha(m.read(name)) for name in eml(m)}


def states(m):
    return {os.getxattr(m.join(name), "user.mailfs.state") for name in eml(m)}


def keep(m, how):
    """At its next start."""
    m.options[:] = [option for option in m.options if "pop3-keep" not in option] + ["pop3-keep=" + how]


def wait_until_cleared(m, count):
    wait_for(lambda: status(m, "kept-gone") == count)


def test_what_is_kept_leaves_the_server_and_stays_here(mount, make_dovecot):
    server = fresh(make_dovecot)
    expected = sorted(sha(body) for body in all_bodies(server))
    m = mount(server, protocol="pop3", options=["pop3-keep=no"])
    before = eml(m)
    wait_until_cleared(m, 5)
    assert all_bodies(server) == []
    assert eml(m) == before
    assert sorted(contents(m).values()) == expected
    assert states(m) == {b"local"}
    assert status(m, "kept") == 5
    new_mail(server, "later")
    refresh(m)
    wait_until_cleared(m, 6)
    assert all_bodies(server) == []
    assert len(eml(m)) == 6
    assert m.status()["reasons"] == []
    server.halt()
    m.stop()
    m.remount()
    assert set(expected) < set(contents(m).values())
    assert len(kept_files(m)) == 6


def test_what_is_kept_outlives_the_cache(mount, make_dovecot):
    server = fresh(make_dovecot)
    m = mount(server, protocol="pop3", options=["pop3-keep=no", "delete=expunge"])
    wait_until_cleared(m, 5)
    before = contents(m)
    m.stop()
    m.clear_cache()
    new_mail(server, "later")
    m.remount()
    wait_until_cleared(m, 6)
    after = contents(m)
    assert len(after) == 6 and all(after[name] == data for name, data in before.items())
    gone = sorted(before)[0]
    os.unlink(m.join(gone))
    assert gone not in eml(m)
    m.stop()
    m.clear_cache()
    m.remount()
    wait_for(lambda: len(eml(m)) == 5)
    assert gone not in eml(m)
    assert len(kept_files(m)) == 5
    assert states(m) == {b"local"}


def test_after_days_they_are_kept_and_still_on_the_server(mount, make_dovecot):
    server = fresh(make_dovecot)
    m = mount(server, protocol="pop3", options=["pop3-keep=3"])
    wait_for(lambda: status(m, "kept") == 5)
    before = contents(m)
    m.stop()
    assert len(all_bodies(server)) == 5
    # One is damaged meanwhile: it is fetched once more before it may go.
    with open(kept_files(m)[0], "r+b") as file:
        file.seek(40)
        file.write(b"#")
    keep(m, "no")
    m.remount()
    wait_until_cleared(m, 4)
    refresh(m)
    wait_until_cleared(m, 5)
    assert all_bodies(server) == []

    assert contents(m) == before
    assert any("damaged" in reason for reason in m.status()["reasons"])


def test_what_others_delete_stays_if_it_is_kept(mount, make_dovecot):
    server = fresh(make_dovecot)
    m = mount(server, protocol="pop3", options=["pop3-keep=30", "pop3-vanished=hide"])
    wait_for(lambda: status(m, "kept") == 5)
    before = contents(m)
    pop = drop(server)
    for number in range(1, 4):
        pop.dele(number)
    pop.quit()
    refresh(m)
    wait_for(lambda: b"local" in states(m))
    assert contents(m) == before


def test_P3_2_a_key_that_is_used_again_is_another_message(mount, pop3_server):
    server = pop3_server()
    old, new, other = (mail("%s one" % word, 500, tail=b"end\r\n") for word in ("old", "new", "other"))
    server.add(old, uidl="same")
    m = mount(server, ["pop3-keep=no", "name=uid"])
    wait_until_cleared(m, 1)
    server.add(new, uidl="same")
    refresh(m)
    wait_until_cleared(m, 2)
    assert server.bodies() == []
    assert sorted(m.read(name) for name in eml(m)) == sorted([old, new])
    # And one that took the place of another before that was deleted: its bytes tell.
    m.stop()
    keep(m, "30")
    m.remount()
    server.add(old, uidl="again")
    refresh(m)
    wait_for(lambda: status(m, "kept") == 3)
    m.stop()
    server.drop_box[0].raw = other
    keep(m, "no")
    m.remount()
    wait_for(lambda: refresh(m) or (status(m, "kept") == 4 and states(m) == {b"local"}))
    assert sorted(m.read(name) for name in eml(m)) == sorted([old, old, new, other])
    assert server.bodies() == []


def test_a_message_without_end_fills_nothing_and_holds_up_nobody(mount, pop3_server):
    server = pop3_server()
    for at in range(3):
        server.add(mail("subject %d" % at, 3000, tail=b"\r\n"))
    endless = server.drop_box[1]
    server.on("RETR", flood(b"+OK\r\nSubject: x\r\n\r\n", (b"y" * 998 + b"\r\n") * 256, 400 * MIB),
              match=rb"RETR 2\b")
    m = mount(server, ["pop3-keep=no", "timeout=3"])
    wait_until_cleared(m, 2)
    assert server.drop_box == [endless]
    assert any("stays there" in reason for reason in m.status()["reasons"])
    assert len(kept_files(m)) == 2
    check_memory(m, 128 * MIB)
    # Nor is it asked for again and again; what is new gets its turn.
    server.off()
    server.on("RETR", reply(RST), match=rb"RETR 1\b")
    server.add(mail("later", 3000, tail=b"\r\n"))
    refresh(m)
    wait_until_cleared(m, 3)
    assert server.drop_box == [endless]


def test_a_read_only_mount_reads_what_is_kept(mount, make_dovecot):
    server = fresh(make_dovecot)
    m = mount(server, protocol="pop3", options=["pop3-keep=no"])
    wait_until_cleared(m, 5)
    before = contents(m)
    m.stop()
    m.clear_cache()
    state = os.path.dirname(os.path.dirname(kept_files(m)[0]))
    files = {path: open(path, "rb").read() for path in kept_files(m) + [os.path.join(state, "journal.db")]}
    m.options[:] = [option for option in m.options if "pop3-keep" not in option] + ["ro"]
    m.remount()
    assert contents(m) == before
    m.stop()
    assert files == {path: open(path, "rb").read() for path in files}


def test_rm_that_was_answered_is_true_after_a_crash(mount, pop3_server):
    server = pop3_server()
    for at in range(4):
        server.add(mail("subject %d" % at, 3000, tail=b"\r\n"))
    m = mount(server, ["pop3-keep=no", "delete=expunge", "name=uid"])
    wait_until_cleared(m, 4)
    first, second = eml(m)[:2]
    os.unlink(m.join(first))
    os.unlink(m.join(second))  # of a burst: answered before anything is asked of the server
    m.asked_to_die = True
    m.kill9()
    for _ in range(2):
        m.remount()
        wait_for(lambda: len(kept_files(m)) == 2)
        assert len(eml(m)) == 2 and first not in eml(m) and second not in eml(m)
        m.stop()


def test_P3_9_what_the_server_does_with_old_mail_is_in_the_status(mount, pop3_server):
    server = pop3_server()
    server.add(mail("one"))
    server.capabilities.append("EXPIRE 0")
    m = mount(server)
    assert status(m, "server-keeps") == "not once they were read (EXPIRE 0)"
    assert status(m, "watch") == "poll every 300 s"


def test_a_walk_fetches_in_one_session(mount, pop3_server):
    server = pop3_server()
    for at in range(60):
        server.add(mail("walk %d" % at, 900))
    m = mount(server)
    assert sorted(m.read(name) for name in eml(m)) == server.bodies()
    assert server.count("AUTH") == 1
    assert server.count("RETR") == 60


def test_by_default_nothing_is_deleted_or_stored(mount, make_dovecot):
    server = fresh(make_dovecot)
    m = mount(server, protocol="pop3")
    contents(m)
    refresh(m)
    m.stop()
    assert len(all_bodies(server)) == 5
    assert kept_files(m) == []


def test_a_read_only_mount_refuses_to_delete(mount, make_dovecot):
    server = fresh(make_dovecot)
    m = mount(server, protocol="pop3", options=["ro", "pop3-keep=no"], start=False)
    with pytest.raises(mounting.MountFailed):
        m.start()
