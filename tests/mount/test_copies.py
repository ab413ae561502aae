# SPDX-License-Identifier: MIT
"""One message in several folders (EMAILID, RFC 8474): it is fetched and stored once."""

import re

from tools import body_fetches, mail, refresh, wait_until

BOTH = [mail("both %d" % n, size) for n, size in enumerate((2000, 30_000, 400_000))]


def serve(imap_server):
    """INBOX and Archive have the same messages, and one each of their own: UID 4."""
    server = imap_server()
    server.capabilities = server.capabilities + ["OBJECTID"]
    server.account.add("Archive")
    for folder in ("INBOX", "Archive"):
        for n, raw in enumerate(BOTH):
            server.account[folder].add(raw, email_id="M%d" % n)
        server.account[folder].add(mail("only in " + folder), email_id="M" + folder)
    return server


def walk(m, folder):
    return [m.read(folder, "%d.eml" % uid) for uid in (1, 2, 3, 4)]


def asked(server):
    """How many bodies were asked for."""
    count = 0
    for command in body_fetches(server):
        for part in re.match(rb"\S+ UID FETCH (\S+)", command.line, re.I).group(1).split(b","):
            first, _, last = part.partition(b":")
            count += int(last or first) - int(first) + 1
    return count


def test_a_walk_over_both_folders_asks_for_each_body_once(mount, imap_server):
    """And so does the next mount, whichever folder it begins with."""
    server = serve(imap_server)
    m = mount(server, ["name=uid"])
    assert walk(m, "INBOX") == BOTH + [mail("only in INBOX")]
    assert asked(server) == 4
    assert walk(m, "Archive") == BOTH + [mail("only in Archive")]
    assert asked(server) == 5
    m.stop()
    m.remount()
    assert walk(m, "Archive") == BOTH + [mail("only in Archive")]
    assert walk(m, "INBOX") == BOTH + [mail("only in INBOX")]
    assert asked(server) == 5


def test_a_copy_can_be_read_after_the_other_is_expunged(mount, imap_server):
    server = serve(imap_server)
    m = mount(server, ["name=uid"])
    walk(m, "INBOX")
    walk(m, "Archive")
    for uid in (1, 2, 3):
        server.account["INBOX"].expunge(uid)
    refresh(m, "INBOX")
    wait_until(lambda: sorted(m.list("INBOX")) == ["4.eml"], 10, "the expunge")
    assert walk(m, "Archive") == BOTH + [mail("only in Archive")]
    m.stop()
    m.remount()
    assert walk(m, "Archive") == BOTH + [mail("only in Archive")]


def test_copies_can_be_read_after_eviction(mount, imap_server):
    server = serve(imap_server)
    for n in range(4):
        server.account["INBOX"].add(mail("more %d" % n, 400_000), email_id="Mmore%d" % n)
    m = mount(server, ["name=uid", "cache-size=1M"])
    for _ in range(2):
        walk(m, "INBOX")
        for n in range(4):
            assert m.read("INBOX", "%d.eml" % (5 + n)) == mail("more %d" % n, 400_000)
        assert walk(m, "Archive") == BOTH + [mail("only in Archive")]
        m.stop()
        m.remount()


def test_one_id_for_different_messages_shows_each_as_it_is(mount, imap_server):
    """Their sizes or dates differ; RFC 8474 §4 forbids it, and nothing wrong is shown."""
    server = serve(imap_server)
    raws = [mail("liar %d" % n, 3000 + 10 * (n % 2)) for n in range(4)]
    for n, raw in enumerate(raws):
        server.account["Archive"].add(raw, email_id="M-liar", date=1700000000 + n // 2)
    m = mount(server, ["name=uid"])
    assert [m.read("Archive", "%d.eml" % (5 + n)) for n in range(4)] == raws
    m.stop()
    m.remount()
    assert [m.read("Archive", "%d.eml" % (5 + n)) for n in range(4)] == raws
