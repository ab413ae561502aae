# SPDX-License-Identifier: MIT
"""The same mail over every way to connect, and on differently built Dovecots."""

import pytest

import mailgen
from tools import all_flags, files_of, popen, refresh, sums, tree_by_tar, true_sums, wait_until

MAILS = mailgen.generate(70, seed=3)
WORDS = "IMAP4rev1"


def check(mount, server, folders, options=(), below="", **more):
    """Exact bytes, unchanged flags, new mail seen, a warm second mount. below: where they show."""
    flags = all_flags(server, folders)
    expected = {(folder if folder == "INBOX" else below + folder, uid): value
                for (folder, uid), value in true_sums(server, folders).items()}
    m = mount(server, list(options), **more)
    assert sums(tree_by_tar(m.path, None)) == expected
    assert all_flags(server, folders) == flags
    server.doveadm("save", "-u", "demo", "-m", "INBOX", stdin=b"Subject: new\r\n\r\nnew\r\n")
    refresh(m, "INBOX")
    wait_until(lambda: len(files_of(m.path)) == len(expected) + 1, 5, "new mail")
    m.stop()
    m.remount()
    assert len(sums(tree_by_tar(m.path, None))) == len(expected) + 1
    return m


@pytest.mark.smoke
@pytest.mark.parametrize("tls", ["implicit", "starttls", "none"])
def test_ways_to_connect(mount, make_dovecot, tls):
    server = make_dovecot(MAILS)
    m = check(mount, server, list(MAILS), tls=tls)
    assert (m.status()["tls"] in (None, "none", "-")) == (tls == "none"), m.status()["tls"]


def test_starttls_where_the_clear_port_refuses_logins(mount, make_dovecot):
    """127.0.0.2, for Dovecot trusts a client at its own address; not in the certificate, so pinned."""
    server = make_dovecot(MAILS, plaintext=False, host="127.0.0.2")
    m = mount(server, ["tls-fingerprint=sha256:" + server.pair.fingerprint()], tls="starttls")
    assert sums(tree_by_tar(m.path, None)) == true_sums(server, list(MAILS))


@pytest.mark.parametrize("tls", ["implicit", "none"])
def test_compress(mount, make_dovecot, make_proxy, tls):
    """What went over the wire is less than what was read."""
    server = make_dovecot({"INBOX": [mailgen.Mail(b"Subject: %d\r\n\r\n" % at + b"again and again\r\n" * 2000)
                                     for at in range(40)]}, compress=True)
    proxy = make_proxy(server.imaps_port if tls == "implicit" else server.imap_port)
    expected = true_sums(server, ["INBOX"])
    m = mount(server, ["compress=yes"], tls=tls, port=proxy.port)
    assert sums(tree_by_tar(m.path, None)) == expected
    assert proxy.bytes_down() < 400_000
    m.stop()
    check(mount, server, ["INBOX"], ["compress=yes"], tls=tls)


def test_EX_6_dense_mail_over_compress(mount, make_dovecot):
    """Zeros and one line again and again are 1000:1, in large mail and in much small one: no bombs."""
    dense = [mailgen.Mail(b"Subject: z\r\n\r\n" + b"0" * 4_000_000 + b"\r\n"),
             mailgen.Mail(b"Subject: l\r\n\r\n" + b"the very same line\r\n" * 200_000)]
    small = [mailgen.Mail(b"Subject: s\r\n\r\n" + b"x" * 50_000 + b"\r\n") for _at in range(60)]
    server = make_dovecot({"INBOX": dense + small}, compress=True)
    m = mount(server, ["compress=yes"])
    assert sums(tree_by_tar(m.path, None)) == true_sums(server, ["INBOX"])
    assert m.status()["compression"] == "on (as configured)"


def test_compress_when_the_link_is_slow(mount, make_dovecot, make_proxy):
    """Measured while it is in use, then on all connections, and remembered."""
    mails = [mailgen.Mail(b"Subject: %d\r\n\r\n" % at + b"again and again and again\r\n" * 20_000)
             for at in range(60)]
    server = make_dovecot({"INBOX": mails}, compress=True)
    proxy = make_proxy(server.imaps_port)
    proxy.down.rate = 600_000
    m = mount(server, ["connections=2"], port=proxy.port)
    assert m.status()["compression"] == "off (not measured yet)"
    assert sums(tree_by_tar(m.path, None)) == true_sums(server, ["INBOX"])
    assert m.status()["compression"].startswith("on ("), m.status()["compression"]
    assert proxy.bytes_down() < 25_000_000
    m.stop()
    m.remount()
    assert m.status()["compression"].startswith("on (")


def test_compress_that_is_not_offered(mount, make_dovecot):
    server = make_dovecot(MAILS)
    check(mount, server, list(MAILS), ["compress=yes"])


@pytest.mark.smoke
def test_dot_separator_with_prefix(mount, make_dovecot):
    mails = {name: mail for name, mail in MAILS.items() if "." not in name}
    server = make_dovecot(mails, separator=".", prefix="INBOX.")
    m = check(mount, server, list(mails), below="INBOX/")
    assert m.list() == ["INBOX"] and "Archive" in m.list("INBOX")


@pytest.mark.parametrize("storage", ["mbox", "sdbox", "mdbox"])
def test_storage(mount, make_dovecot, storage):
    server = make_dovecot(MAILS, storage=storage)
    folders = [name + "/All" if storage == "mbox" and any(other.startswith(name + "/") for other in MAILS) else name
               for name in MAILS]
    check(mount, server, folders)


def test_IMAP4rev1_alone(mount, make_dovecot):
    server = make_dovecot(MAILS, capability=WORDS)
    check(mount, server, list(MAILS))


def test_CN_2_one_connection(mount, make_dovecot):
    server = make_dovecot(MAILS, max_userip=1)
    m = check(mount, server, list(MAILS))
    paths = files_of(m.path)[:12]
    m.stop()
    m.clear_cache()
    m.remount()
    readers = [popen(["cat", m.join(path)]) for path in paths]
    for reader in readers:
        out, err = reader.communicate(timeout=40)
        assert reader.returncode == 0 and out, err
    assert m.status()["state"] == "online"


@pytest.mark.parametrize("mechanisms,capability", [("scram-sha-256", None), ("scram-sha-1", None), ("plain", None),
                                                   ("login", None)])
def test_login_mechanisms(mount, make_dovecot, mechanisms, capability):
    server = make_dovecot({"INBOX": MAILS["INBOX"][:3]}, mechanisms=mechanisms, capability=capability)
    m = mount(server)
    assert sums(tree_by_tar(m.path, None)) == true_sums(server, ["INBOX"])
    assert mechanisms.split("-")[0] in m.status()["auth"].lower()
