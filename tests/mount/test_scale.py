# SPDX-License-Identifier: MIT
"""Large folders: they list, names and counts are right, and memory stays bounded."""

import os
import re
import signal
import subprocess
import time

import pytest

import mailgen
from mounting import run
from tools import SLOW, refresh, wait_until


def is_sanitized(binary):
    out = subprocess.run(["ldd", binary], capture_output=True).stdout
    return b"libasan" in out or b"__asan_init" in subprocess.run(["nm", "-D", binary], capture_output=True).stdout


def count_names(m, folder):
    return int(run("ls -f %s | grep -c eml" % m.join(folder), 100).stdout)


@pytest.mark.smoke
@pytest.mark.deadline(120)
def test_SZ_9_a_hundred_thousand_messages(mount, make_dovecot, mailfs_binary):
    slow = is_sanitized(mailfs_binary)
    count = 20_000 if slow else 100_000
    server = make_dovecot()
    mailgen.fill_cheap(server, "Big", count)
    mailgen.fill_cheap(server, "Warm", 5000)
    server.doveadm("mailbox", "status", "-u", "demo", "messages", "Big", timeout=110)  # builds its index
    m = mount(server, ["name=uid", "timeout=100"])
    assert count_names(m, "Warm") == 5000  # what does not grow with messages is there by now
    before = m.memory()
    start = time.monotonic()
    assert count_names(m, "Big") == count
    first = time.monotonic() - start
    grown = m.memory() - before
    print("%d messages: first listing %.1f s, %.0f bytes each" % (count, first, grown / count))
    assert m.status()["messages-loaded"] >= count
    assert m.read("Big", "%d.eml" % count).endswith(b"All is well.\r\n")
    if not slow:
        assert grown / count < 100
    m.stop()
    m.remount()
    start = time.monotonic()
    assert count_names(m, "Big") == count
    print("second mount: %.1f s" % (time.monotonic() - start))
    assert time.monotonic() - start < 5 * SLOW
    if not slow:
        grown = m.memory() - before
        assert grown / count < 100
    start = time.monotonic()
    run(["find", m.join("Big"), "-newermt", "2024-12-20"], 60)
    print("find: %.1f s" % (time.monotonic() - start))
    server.doveadm("expunge", "-u", "demo", "mailbox", "Big", "uid", "1:100")
    refresh(m, "Big")
    wait_until(lambda: count_names(m, "Big") == count - 100, 10, "the expunge")


def kernel_knows(m, names, timeout):
    """It tells of one of them without asking mailfs."""
    m.process.send_signal(signal.SIGSTOP)
    try:
        found = run(["stat", "-c", "%s", *[m.join("Big", name) for name in names]], timeout)
        return found.stdout.strip() != b""
    except subprocess.TimeoutExpired:
        return False
    finally:
        m.process.send_signal(signal.SIGCONT)
        m.status()


@pytest.mark.deadline(120)
def test_a_plain_ls_of_a_large_folder_makes_no_inodes(mount, make_dovecot):
    count = 16_500
    server = make_dovecot()
    mailgen.fill_cheap(server, "Big", count)
    m = mount(server, ["name=uid", "timeout=100"])
    some = ["%d.eml" % uid for uid in range(9000, 9040)]
    for left in (2, 1, 0):  # who lists is found out in time, or not
        names = run(["ls", m.join("Big")], 100).stdout.split()
        assert len(set(names)) == count
        if not kernel_knows(m, some[:1], 1):
            break
        assert left > 0
        m.stop()
        m.remount()
    # The next one is kept by the kernel, with all that is told of each message.
    assert run(["ls", m.join("Big")], 100).stdout.split() == names
    assert kernel_knows(m, some, 20)
    m.stop()
    m.remount()
    # Who looks at the files gets all: after the first of them, from mailfs, not from the kernel.
    lines = run(["ls", "-l", m.join("Big")], 100).stdout.splitlines()[1:]
    assert [line.split()[-1] for line in lines] == names
    sizes = run(["stat", "-c", "%s", *[m.join("Big", name) for name in some]], 20).stdout.split()
    assert [line.split()[4] for line in lines if line.split()[-1].decode() in some] == sizes
    assert kernel_knows(m, some, 20)


@pytest.mark.deadline(120)
def test_ten_thousand_human_names(mount, make_dovecot, mailfs_binary):
    count = 3000 if is_sanitized(mailfs_binary) else 10_000
    server = make_dovecot()
    mailgen.fill_cheap(server, "Big", count)
    m = mount(server, ["timeout=100"])
    names = m.list("Big", timeout=100)
    assert len(names) == count
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d_\d{4}_Robot-\d+_Report-\d+-of-%d\.\d+\.eml" % count, name) for name in names)
    assert m.read("Big", names[-1]).endswith(b"All is well.\r\n")
    m.stop()
    m.remount()
    start = time.monotonic()
    assert m.list("Big", timeout=60) == names
    assert time.monotonic() - start < 3 * SLOW


def test_E_3_26_many_folders_and_deep_ones(mount, imap_server):
    server = imap_server()
    for at in range(3000):
        server.account.add(b"many/f%d" % at)
    server.account.add(b"/".join([b"d"] * 60))
    m = mount(server, ["name=uid"])
    assert len(m.list("many", timeout=40)) == 3000
    assert m.list(*["d"] * 60) == []


def test_CN_7_commands_stay_short_with_scattered_uids(mount, imap_server):
    server = imap_server()
    inbox = server.account["INBOX"]
    inbox.messages = []
    for at in range(1500):
        inbox.add(b"Subject: x\r\n\r\n", uid=at * 7 + 1)
    m = mount(server, ["name=uid"])
    assert len(m.list("INBOX")) == 1500
    m.stop()
    m.clear_cache()
    m.remount()
    refresh(m, "INBOX")
    assert max(len(command.line) for command in server.commands) <= 1000


def test_a_remount_of_an_unchanged_folder_fetches_nothing(mount, imap_server):
    server = imap_server()
    for uid in range(100, 400):
        server.account["INBOX"].add(b"Subject: x\r\n\r\n", uid=uid)
    m = mount(server)
    names = m.list("INBOX")
    m.stop()
    seen = len(server.commands)
    m.remount()
    assert m.list("INBOX") == names
    assert not [one.line for one in server.commands[seen:] if b"FETCH" in one.line or b"SEARCH" in one.line]


def fill_folders(imap_server, folders, messages):
    server = imap_server()
    for at in range(folders):
        box = server.account.add(b"many/f%d" % at)
        for uid in range(1, messages + 1):
            box.add(b"Subject: %d\r\n\r\nfolder %d\r\n" % (uid, at), uid=uid)
    return server


@pytest.mark.deadline(120)
def test_SZ_9_folders_that_nobody_uses_leave_memory(mount, imap_server):
    server = fill_folders(imap_server, 200, 50)
    # One message is 40 bytes: room for about 33 of the folders.
    m = mount(server, ["name=uid", "timeout=100"], environment={"MAILFS_LOADED_MAX": "100000"})
    used = m.join("many", "f1", "7.eml")
    assert m.read("many", "f0", "7.eml").endswith(b"folder 0\r\n")
    with open(used, "rb") as file:
        found = run("find %s -name '*.eml' | wc -l" % m.join("many"), 100).stdout
        assert int(found) == 200 * 50
        assert m.status()["messages-loaded"] <= 40 * 50
        assert os.pread(file.fileno(), 100, 0).endswith(b"folder 1\r\n")
    # The kernel has the inodes still; what it asks about them is answered from the index.
    server.stop()
    assert os.getxattr(m.join("many", "f0", "7.eml"), "user.mailfs.uid") == b"7"
    assert m.read("many", "f0", "7.eml").endswith(b"folder 0\r\n")
    assert len(m.list("many", "f2")) == 50
    assert os.stat(m.join("many", "f3", "50.eml")).st_size > 0
    assert m.read("many", "f1", "7.eml").endswith(b"folder 1\r\n")
    assert m.status()["messages-loaded"] <= 40 * 50
