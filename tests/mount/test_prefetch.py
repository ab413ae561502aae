# SPDX-License-Identifier: MIT
"""Everything into the cache before anybody asks (-o prefetch=all, "prefetch" in .mailfs/ctl)."""

import errno

import pytest

import mailgen
from tools import all_flags, mail, raises, sums, tree_of, true_sums, wait_until

FOLDERS = {"INBOX": 120, "Archive": 30, "Archive/Old": 30}


def server_of(make_dovecot):
    return make_dovecot({folder: [mailgen.Mail(mail("%s %d" % (folder, at), 6000)) for at in range(count)]
                         for folder, count in FOLDERS.items()})


def command(m, line):
    with open(m.join(".mailfs", "ctl"), "wb", buffering=0) as file:
        file.write(line.encode() + b"\n")


def wait_done(m, count):
    wait_until(lambda: m.status()["prefetch"] == "done", 40, "the end of it")
    status = m.status()
    assert status["prefetch-done"] == status["prefetch-total"] == count
    return status


def test_everything_is_there_without_the_server(mount, make_dovecot):
    server = server_of(make_dovecot)
    flags = all_flags(server, FOLDERS)
    expected = true_sums(server, FOLDERS)
    m = mount(server, ["name=uid", "prefetch=all"])
    status = wait_done(m, 180)
    assert status["bodies-fetched"] == 180
    assert status["prefetch-bytes"] == status["body-bytes-fetched"]
    assert all_flags(server, FOLDERS) == flags
    server.stop()
    assert sums(tree_of(m.path)) == expected
    assert m.status()["reads-fetched"] == 0


def test_new_mail_comes_too_and_a_remount_goes_on(mount, make_dovecot):
    server = server_of(make_dovecot)
    m = mount(server, ["name=uid", "prefetch=all", "poll=1"])
    wait_done(m, 180)
    m.stop()
    m.remount()
    wait_done(m, 180)
    assert m.status()["bodies-fetched"] == 0


def test_a_folder_and_what_is_below_it_on_command(mount, make_dovecot):
    server = server_of(make_dovecot)
    m = mount(server, ["name=uid"])
    assert m.status()["prefetch"] == "off"
    command(m, "prefetch Archive")
    assert wait_done(m, 60)["bodies-fetched"] == 60
    raises(errno.ENOENT, command, m, "prefetch Nowhere")
    command(m, "prefetch")
    assert wait_done(m, 180)["bodies-fetched"] == 180


@pytest.mark.smoke
def test_a_small_cache_is_filled_and_no_more(mount, make_dovecot):
    server = make_dovecot({"INBOX": [mailgen.Mail(mail("number %d" % at, 400_000)) for at in range(60)]})
    m = mount(server, ["name=uid", "cache-size=16M", "prefetch=all"])
    wait_until(lambda: m.status()["prefetch"] == "full", 40, "the end of it")
    status = m.status()
    assert status["cache-evicted"] == 0
    assert 20 < status["bodies-fetched"] < 45
    assert m.read("INBOX", "1.eml") and m.read("INBOX", "60.eml")
