# SPDX-License-Identifier: MIT
"""POP3: Dovecot's maildrop as a flat directory."""

import errno
import hashlib
import os
import poplib
import time

import pytest

import mailgen
from tools import TREE_TOOLS, run


def drop(server, tls=False):
    """A session of our own: what the server says is true."""
    if tls:
        pop = poplib.POP3_SSL("localhost", server.pop3s_port, context=server.tls_context(), timeout=30)
    else:
        pop = poplib.POP3("127.0.0.1", server.pop3_port, timeout=30)
    pop.user("demo")
    pop.pass_("secret")
    return pop


def retr(pop, number):
    """The bytes of a message: poplib undoes the dots, and cuts the line ends."""
    return b"".join(line + b"\r\n" for line in pop.retr(number)[1])


def all_bodies(server):
    pop = drop(server)
    count = pop.stat()[0]
    bodies = [retr(pop, number) for number in range(1, count + 1)]
    pop.quit()
    return bodies


def sha(data):
    return hashlib.sha256(data).hexdigest()


def hashes(tree):
    return sorted(sha(data) for data in tree.values())


@pytest.fixture(scope="module")
def pop_server(ca, ca_pair):
    from dovecot import Dovecot
    server = Dovecot(ca=ca, pair=ca_pair, pop3=True)
    try:
        server.start()
        server.add("INBOX", mailgen.generate(150)["INBOX"])
        server.hashes = sorted(sha(body) for body in all_bodies(server))
        yield server
    finally:
        server.stop()


def fresh(make_dovecot, count=5):
    mails = mailgen.generate(60)["INBOX"][:count]
    assert len(mails) == count
    return make_dovecot({"INBOX": mails}, pop3=True)


def eml(m):
    return [name for name in sorted(os.listdir(m.path))]


@pytest.mark.parametrize("tool", sorted(TREE_TOOLS))
def test_a_maildrop_is_exact(mount, pop_server, tmp_path, tool):
    m = mount(pop_server, protocol="pop3")
    tree = TREE_TOOLS[tool](m.path, tmp_path)
    assert hashes(tree) == pop_server.hashes
    assert all("/" not in path and path.endswith(".eml") for path in tree)
    assert m.status()["reasons"] == []
    for path, data in tree.items():
        assert os.stat(m.join(path)).st_size == len(data), path


@pytest.mark.parametrize("tls", ["starttls", "none"])
def test_a_maildrop_is_exact_over(mount, pop_server, tmp_path, tls):
    m = mount(pop_server, tls=tls, protocol="pop3")
    assert hashes(TREE_TOOLS["tar"](m.path, tmp_path)) == pop_server.hashes


def test_names_and_inodes_stay_over_remounts_and_without_the_server(mount, make_dovecot, tmp_path):
    server = fresh(make_dovecot, 12)
    m = mount(server, protocol="pop3")
    before = {name: os.stat(m.join(name)).st_ino for name in eml(m)}
    assert len(before) == 12
    tree = TREE_TOOLS["tar"](m.path, tmp_path)
    m.stop()
    m.remount()
    assert {name: os.stat(m.join(name)).st_ino for name in eml(m)} == before
    server.halt()
    m.stop()
    m.remount()
    assert {name: os.stat(m.join(name)).st_ino for name in eml(m)} == before
    assert hashes(TREE_TOOLS["tar"](m.path, tmp_path)) == hashes(tree)
    assert m.status()["bodies-fetched"] == 0


def test_flags_are_kept_here(mount, make_dovecot):
    server = fresh(make_dovecot)
    m = mount(server, protocol="pop3")
    name = eml(m)[2]
    os.setxattr(m.join(name), "user.mailfs.flags", b"+\\Flagged +work")
    os.chmod(m.join(eml(m)[0]), 0o700)
    m.stop()
    m.remount()
    assert os.getxattr(m.join(name), "user.mailfs.flags") == b"\\Flagged work"
    assert os.getxattr(m.join(eml(m)[0]), "user.mailfs.flags") == b"\\Flagged"
    assert os.getxattr(m.join(eml(m)[1]), "user.mailfs.flags") == b""


def test_nothing_can_be_added_or_moved(mount, make_dovecot):
    m = mount(fresh(make_dovecot), protocol="pop3")
    name = m.join(eml(m)[0])
    for act in (lambda: os.mkdir(m.join("folder")),
                lambda: open(m.join("new.eml"), "w").close(),
                lambda: os.rename(name, m.join("nowhere", "x.eml")),
                lambda: open(name, "r+").close()):
        with pytest.raises(OSError) as caught:
            act()
        assert caught.value.errno in (errno.EROFS, errno.EPERM, errno.ENOENT)
    with pytest.raises(OSError) as caught:
        os.mkdir(m.join("folder"))
    assert caught.value.errno == errno.EROFS
    with pytest.raises(OSError) as caught:
        os.unlink(name)
    assert caught.value.errno == errno.EPERM
    assert len(eml(m)) == 5


def test_a_session_ends_soon_and_lets_others_in(mount, make_dovecot):
    """P3-8"""
    server = fresh(make_dovecot)
    server.halt()
    server.options["extra"] = "protocol pop3 {\n  pop3_lock_session = yes\n}\n"
    server.start()
    m = mount(server, protocol="pop3")
    m.read(eml(m)[0])
    pop = drop(server)  # waits for the lock
    assert pop.stat()[0] == 5
    pop.quit()
    m.read(eml(m)[1])


def new_mail(server, subject):
    server.add("INBOX", [mailgen.Mail(b"From: a@example.org\r\nSubject: %s\r\n\r\nx\r\n"
                                      % subject.encode(), (), 1700000000)])


def refresh(m):
    with open(m.join(".mailfs", "ctl"), "w") as file:
        file.write("refresh\n")


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def test_new_mail_shows_after_a_refresh(mount, make_dovecot):
    server = fresh(make_dovecot)
    m = mount(server, protocol="pop3")
    before = eml(m)
    m.read(before[0])
    new_mail(server, "hello")
    refresh(m)
    wait_for(lambda: len(eml(m)) == 6)
    fresh_one = (set(eml(m)) - set(before)).pop()
    assert b"Subject: hello" in m.read(fresh_one)
    assert set(before) < set(eml(m))


def test_rm_is_true_on_the_server(mount, make_dovecot):
    """P3-7"""
    server = fresh(make_dovecot)
    m = mount(server, protocol="pop3", options=["delete=expunge"])
    names = eml(m)
    contents = {name: sha(m.read(name)) for name in names}
    os.unlink(m.join(names[1]))
    left = sorted(sha(body) for body in all_bodies(server))
    assert left == sorted(contents[name] for name in names if name != names[1])
    assert eml(m) == [names[0]] + names[2:]
    run(["rm", m.join(names[0]), m.join(names[3])], 60)
    m.stop()
    left = sorted(sha(body) for body in all_bodies(server))
    assert left == sorted([contents[names[2]], contents[names[4]]])


def test_P3_6_what_vanished_stays_if_it_is_cached(mount, make_dovecot):
    server = fresh(make_dovecot)
    m = mount(server, protocol="pop3")
    names = eml(m)
    contents = {name: m.read(name) for name in names[:2]}
    pop = drop(server)
    for number in range(1, 6):
        if sha(retr(pop, number)) in (sha(contents[names[0]]),) or number == 5:
            pop.dele(number)
    pop.quit()
    refresh(m)
    wait_for(lambda: len(eml(m)) == 4)
    assert set(contents) < set(eml(m))
    assert m.read(names[0]) == contents[names[0]]
    assert os.getxattr(m.join(names[0]), "user.mailfs.state") == b"local"
    assert os.getxattr(m.join(names[1]), "user.mailfs.state") == b"server"
    m.stop()
    m.remount()
    assert m.read(names[0]) == contents[names[0]]
    assert os.getxattr(m.join(names[0]), "user.mailfs.state") == b"local"
    m.stop()
    m.options.append("pop3-vanished=hide")
    m.remount()
    wait_for(lambda: len(eml(m)) == 3)
