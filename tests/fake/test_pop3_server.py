# SPDX-License-Identifier: MIT
"""The scripted POP3 server, seen by Python's own client."""

import poplib
import ssl

import pytest

from pop3_server import RST, Pop3Server, reply

BODY = b"Subject: one\r\nFrom: a@example.org\r\n\r\nbody\r\n.dot\r\n..\r\n"


@pytest.fixture
def server():
    with Pop3Server() as running:
        running.add(BODY, uidl="a")
        running.add(b"Subject: two\r\n\r\nno end", uidl="b", size=7)
        yield running
    assert not running.errors


def login(server, **more):
    client = poplib.POP3(server.host, server.port, timeout=10, **more)
    client.user("demo")
    client.pass_("secret")
    return client


def retr(client, number):
    return b"".join(line + b"\r\n" for line in client.retr(number)[1])


def test_client_lists_and_reads(server):
    client = login(server)
    assert client.stat() == (2, len(BODY) + 7)
    assert client.list()[1] == [b"1 %d" % len(BODY), b"2 7"]
    assert client.uidl()[1] == [b"1 a", b"2 b"]
    assert client.uidl(2) == b"+OK 2 b"
    assert retr(client, 1) == BODY
    assert retr(client, 2) == server.drop_box[1].delivered()
    assert client.top(1, 1)[1] == [b"Subject: one", b"From: a@example.org", b"", b"body"]
    with pytest.raises(poplib.error_proto):
        client.retr(3)
    client.quit()
    assert server.count("RETR") == 3


def test_what_is_deleted_goes_at_quit(server):
    client = login(server)
    client.dele(1)
    with pytest.raises(poplib.error_proto):
        client.retr(1)
    client.close()
    assert server.uidls() == ["a", "b"]
    client = login(server)
    client.dele(1)
    client.quit()
    assert server.uidls() == ["b"]


@pytest.mark.parametrize("fault, left", [
    ("quit-no", ["a", "b"]), ("quit-half", ["b"]),
    ("quit-lost", []), ("quit-dropped", ["a", "b"]), ("dele-keeps", ["a", "b"])])
def test_faults_of_removal(server, fault, left):
    server.faults.add(fault)
    client = login(server)
    client.dele(1)
    client.dele(2)
    try:
        client.quit()
        assert fault == "dele-keeps"
    except (OSError, poplib.error_proto):
        assert fault != "dele-keeps"
    assert server.uidls() == left


def test_hooks_replace_answers(server):
    server.on("UIDL", reply("+OK", "1 x", "1 y", "."), times=1)
    server.on("RETR", reply("+OK", "half", RST), times=1)
    client = login(server)
    assert client.uidl()[1] == [b"1 x", b"1 y"]
    assert client.uidl()[1] == [b"1 a", b"2 b"]
    with pytest.raises((OSError, poplib.error_proto)):
        client.retr(1)


def test_stls_takes_the_offer_away(tmp_path):
    with Pop3Server(tls="starttls", directory=str(tmp_path)) as server:
        client = poplib.POP3("localhost", server.port, timeout=10)
        assert "STLS" in client.capa() and "USER" not in client.capa()
        client.stls(ssl.create_default_context(cafile=server.ca_file))
        assert "STLS" not in client.capa()
        client.user("demo")
        client.pass_("secret")
        client.quit()
    assert server.logins == [("demo", "secret", True, True)]
