# SPDX-License-Identifier: MIT
"""A canary for a password: it is in one locked page of the daemon, for later connections, and nowhere else."""

import base64
import os
import re
import subprocess

import pytest

import mailgen
from test_cli import CANARY, files_below, write_config
from test_confine import keepers_of, wait_until

NEEDLES = [CANARY.encode()] + [base64.b64encode(before + CANARY.encode())[4:-4]
                               for before in (b"xxx", b"\0demo\0"[-4:], b"\0demo\0"[-5:])]
# Sanitizers keep a map of all memory.
MAPPING_MAX = 256 << 20

pytestmark = [pytest.mark.may_skip,
              pytest.mark.skipif(os.getuid() != 0, reason="only root may read the daemon's memory")]


def mappings(pid):
    """(start, end, is it locked) of what can be read."""
    start = end = 0
    with open("/proc/%d/smaps" % pid, encoding="utf-8") as file:
        for line in file:
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if found:
                start, end = int(found.group(1), 16), int(found.group(2), 16)
            elif re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                start = end = 0
            elif line.startswith("VmFlags:") and 0 < end - start <= MAPPING_MAX:
                yield start, end, " lo" in line and " dd" in line


def places(pid):
    """[(what, address, is it locked)] of the canary in the memory of a process."""
    found = []
    with open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for start, end, is_locked in mappings(pid):
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue  # of the kernel's, or gone meanwhile
            found += [(needle, hex(start + hit.start()), is_locked)
                      for needle in NEEDLES for hit in re.finditer(re.escape(needle), data)]
    return found


def may_lock(one):
    """Sanitizers make mlock(2) do nothing."""
    linked = subprocess.run(["ldd", one.binary], capture_output=True, text=True, check=False)
    return "libasan" not in linked.stdout


def give(one, how):
    """The password, told in this way."""
    one.password = CANARY if how == "passfd" else None
    if how == "passfd":
        return
    path = os.path.join(one.home, "told")
    with open(path, "w", encoding="utf-8") as file:
        file.write(CANARY + "\n")
    line = "password = " + CANARY if how == "file" else "%s = cat %s" % (how, path)
    write_config(one, "[account work]\nsource = %s\n%s\n" % (one.source, line))
    one.source = "work"


def look(one, where):
    """Starts it, uses it, looks everywhere."""
    wire = os.path.join(one.home, "wire")
    one.options += ["name=uid", "debug-wire=" + wire]
    one.arguments = ["-v", "-v", "-v"]
    one.start()
    assert b"canary test" in one.read(*where)
    # Connections that are still logging in need it in more than one place.
    wait_until(lambda: [is_locked for _what, _at, is_locked in places(one.pid)] == [may_lock(one)])
    keeper, = keepers_of(one)
    assert places(keeper) == []
    for pid in (one.pid, keeper):
        for name in ("cmdline", "environ"):
            with open("/proc/%d/%s" % (pid, name), "rb") as file:
                assert CANARY.encode() not in file.read()
        with open("/proc/%d/limits" % pid, encoding="utf-8") as file:
            assert re.search(r"^Max core file size\s+0\s+0\s", file.read(), re.M)
    for name in ("status", "status.json", "pending"):
        assert CANARY.encode() not in one.read(".mailfs", name)
    one.stop()
    texts = [(wire, open(wire, "rb").read()), ("stderr", one.stderr.encode())]
    assert all(text for _name, text in texts)
    for directory in ("cache", "state", "runtime"):
        texts += files_below(os.path.join(one.home, directory))
    for name, text in texts:
        for needle in NEEDLES:
            assert needle not in text, name


def server_of(make_dovecot, **options):
    mail = mailgen.Mail(b"Subject: x\r\n\r\ncanary test\r\n", [], 1700000000)
    return make_dovecot({"INBOX": [mail]}, password=CANARY, **options)


@pytest.mark.parametrize("how, auth", [("passfd", "scram"), ("password-command", "plain"), ("file", "login")])
def test_sec_52_password_is_in_one_place(mount, make_dovecot, how, auth):
    one = mount(server_of(make_dovecot), ["auth=" + auth], start=False)
    give(one, how)
    look(one, ("INBOX", "1.eml"))


def test_sec_52_password_without_tls_is_in_one_place(mount, imap_server):
    server = imap_server(users={"demo": CANARY})
    server.account["INBOX"].add(b"Subject: x\r\n\r\ncanary test\r\n", uid=1)
    one = mount(server, start=False)
    give(one, "passfd")
    look(one, ("INBOX", "1.eml"))


def test_sec_52_token_is_in_one_place(mount, imap_server):
    server = imap_server()
    server.capabilities = ["IMAP4rev1", "SASL-IR", "AUTH=OAUTHBEARER"]
    server.token = CANARY
    server.account["INBOX"].add(b"Subject: x\r\n\r\ncanary test\r\n", uid=1)
    one = mount(server, ["auth=oauth"], start=False)
    give(one, "token-command")
    look(one, ("INBOX", "1.eml"))


def test_sec_52_password_of_a_maildrop_is_in_one_place(mount, make_dovecot):
    one = mount(server_of(make_dovecot, pop3=True), protocol="pop3", start=False)
    give(one, "passfd")
    look(one, ("1.eml",))
