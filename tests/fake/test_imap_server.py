# SPDX-License-Identifier: MIT
"""The scripted IMAP server, seen by Python's own client and by bare sockets."""

import imaplib
import re
import socket
import ssl
import time

import pytest

import certs
import mailgen
import mutf7
from imap_server import FIN, HANG, RST, ImapServer, pause, reply

BODY = b"Subject: one\r\nFrom: a@example.org\r\n\r\nbody of one\r\n"


@pytest.fixture
def server():
    with ImapServer() as running:
        running.account["INBOX"].add(BODY, ["\\Seen", "work"], 1600000000, uid=7)
        running.account["INBOX"].add(BODY * 3, uid=9)
        running.account.add("Archive/Größe")
        yield running
    assert not running.errors


def login(server, **more):
    client = imaplib.IMAP4(server.host, server.port, timeout=10, **more)
    client.login("demo", "secret")
    return client


def test_client_lists_selects_and_fetches(server):
    client = login(server)
    names = [line.rsplit(b" ", 1)[1] for line in client.list()[1]]
    assert names == [b'"INBOX"', mutf7.quote("Archive/Größe")]
    assert client.select("INBOX", readonly=True)[1] == [b"2"]
    answer = client.uid("fetch", "1:*", "(FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")[1]
    assert answer[0][0] == (b'1 (UID 7 FLAGS (\\Seen work) INTERNALDATE "13-Sep-2020 12:26:40 +0000"'
                            b" RFC822.SIZE %d BODY[] {%d}" % (len(BODY), len(BODY)))
    assert answer[0][1] == BODY
    assert answer[2][1] == BODY * 3
    client.logout()
    assert server.count("UID FETCH") == 1
    assert not server.writes()


def test_ranges_and_header_fields(server):
    client = login(server)
    client.select("INBOX", readonly=True)
    answer = client.uid("fetch", "7", "(BODY.PEEK[]<5.10>)")[1]
    assert answer[0] == (b"1 (UID 7 BODY[]<5> {10}", BODY[5:15])
    answer = client.uid("fetch", "7", "(BODY.PEEK[HEADER.FIELDS (SUBJECT DATE)])")[1]
    assert answer[0][1] == b"Subject: one\r\n\r\n"
    client.logout()


def test_size_may_lie_and_uids_may_be_odd(server):
    inbox = server.account["INBOX"]
    inbox.add(BODY, uid=3, size=99999)
    client = login(server)
    client.select("INBOX", readonly=True)
    assert b"3 (UID 3 RFC822.SIZE 99999)" in client.uid("fetch", "3", "RFC822.SIZE")[1]
    assert client.uid("search", "ALL")[1] == [b"7 9 3"]
    client.logout()


def test_wrong_password_is_refused_and_logged(server):
    client = imaplib.IMAP4(server.host, server.port, timeout=10)
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        client.login("demo", "wrong")
    assert server.logins == [("demo", "wrong", False, False)]
    client.shutdown()


def test_authenticate_plain_with_and_without_initial_response(server):
    client = imaplib.IMAP4(server.host, server.port, timeout=10)
    client.authenticate("PLAIN", lambda _challenge: b"\0demo\0secret")
    client.logout()
    assert server.logins == [("demo", "secret", True, False)]


def test_hook_replaces_an_answer_so_often(server):
    server.on("UID FETCH", reply("* 1 FETCH (UID 7 BODY[] NIL)", "%t OK done"), times=1)
    client = login(server)
    client.select("INBOX", readonly=True)
    assert client.uid("fetch", "7", "BODY.PEEK[]")[1] == [b"1 (UID 7 BODY[] NIL)"]
    assert client.uid("fetch", "7", "BODY.PEEK[]")[1][0][1] == BODY
    client.logout()


def test_hook_matches_lines_and_injects_around_the_answer(server):
    @server.on("NOOP")
    def inject(connection, tag, line):
        connection.line("* 5 EXISTS")
        connection.default()
        connection.line("* 3 EXISTS")

    server.on("STATUS", reply("%t NO [UNAVAILABLE] later"), match="INBOX")
    client = login(server)
    client.select("INBOX", readonly=True)
    client.noop()
    client.noop()
    assert client.response("EXISTS")[1] == [b"2", b"5", b"3", b"5"]
    assert client.status("INBOX", "(MESSAGES)")[0] == "NO"
    assert client.status(mutf7.quote("Archive/Größe").decode(), "(MESSAGES)")[0] == "OK"
    client.shutdown()


def test_one_byte_segments_change_nothing(server):
    server.segment = 1
    client = login(server)
    client.select("INBOX", readonly=True)
    assert client.uid("fetch", "7", "BODY.PEEK[]")[1][0][1] == BODY
    client.logout()


@pytest.mark.parametrize("how", [FIN, RST])
def test_answer_is_cut_in_the_middle(server, how):
    server.on("UID FETCH", reply(b"* 1 FETCH (UID 7 BODY[] {100}\r\nabc", how))
    client = login(server)
    client.select("INBOX", readonly=True)
    with pytest.raises((imaplib.IMAP4.abort, ConnectionResetError)):
        client.uid("fetch", "7", "BODY.PEEK[]")
    client.shutdown()


def test_cut_after_counts_bytes(server):
    @server.on("UID FETCH")
    def cut(connection, tag, line):
        connection.cut_after(10)
        connection.default()

    sock = raw_session(server, b"a LOGIN demo secret\r\nb EXAMINE INBOX\r\n", b"b OK")
    sock.sendall(b"c UID FETCH 7 BODY.PEEK[]\r\n")
    assert drain(sock) == b"* 1 FETCH "


def test_hanging_server_is_stopped_quickly(server):
    server.on("UID FETCH", reply("* 1 FETCH (UID 7", HANG))
    client = login(server)
    client.select("INBOX", readonly=True)
    client.send(b"x UID FETCH 7 BODY.PEEK[]\r\n")
    assert server.wait_for("UID FETCH")
    start = time.monotonic()
    server.stop()
    assert time.monotonic() - start < 3
    client.shutdown()


def test_literals_are_read_with_and_without_waiting(server):
    sock = raw_session(server, b"a LOGIN {4}\r\n", b"+ go")
    sock.sendall(b"demo {6+}\r\nsecret\r\n")
    assert b"a OK" in drain(sock, until=b"a OK")
    assert server.lines("LOGIN") == ["a LOGIN {4}\r\ndemo {6+}\r\nsecret"]
    sock.close()


def test_greeting_is_free_and_everything_may_come_in_one_segment(server):
    server.greeting = b"* PREAUTH hi\r\nx1 OK\r\nx2 OK\r\n"
    sock = socket.create_connection((server.host, server.port), timeout=10)
    assert sock.recv(100) == server.greeting
    sock.close()


def test_connection_limit_says_bye(server):
    server.max_connections = 1
    first = login(server)
    with pytest.raises(imaplib.IMAP4.error):
        imaplib.IMAP4(server.host, server.port, timeout=10)
    first.logout()


def test_changes_by_the_test_are_told(server):
    client = login(server)
    client.select("INBOX", readonly=True)
    server.account["INBOX"].expunge(7)
    server.account["INBOX"].add(BODY)
    server.account["INBOX"].set_flags(9, ["\\Flagged"])
    client.noop()
    assert client.response("EXPUNGE")[1] == [b"1"]
    assert client.response("EXISTS")[1][-1] == b"2"
    assert client.response("FETCH")[1] == [b"1 (UID 9 FLAGS (\\Flagged))"]
    client.logout()


def test_idle_tells_new_mail(server):
    sock = raw_session(server, b"a LOGIN demo secret\r\nb EXAMINE INBOX\r\nc IDLE\r\n", b"+ idling")
    server.account["INBOX"].add(BODY)
    assert b"* 3 EXISTS" in drain(sock, until=b"EXISTS\r\n")
    sock.sendall(b"DONE\r\n")
    assert b"c OK" in drain(sock, until=b"c OK")
    sock.close()


def test_qresync_tells_what_vanished(server):
    inbox = server.account["INBOX"]
    before = inbox.modseq
    inbox.expunge(7)
    sock = raw_session(server, b"a LOGIN demo secret\r\nb ENABLE QRESYNC\r\n", b"b OK")
    sock.sendall(b"c EXAMINE INBOX (QRESYNC (%d %d))\r\n" % (inbox.uidvalidity, before))
    assert b"* VANISHED (EARLIER) 7\r\n" in drain(sock, until=b"c OK")
    sock.close()


def test_list_return_status(server):
    sock = raw_session(server, b"a LOGIN demo secret\r\n", b"a OK")
    sock.sendall(b'b LIST "" "*" RETURN (SUBSCRIBED SPECIAL-USE STATUS (MESSAGES UIDNEXT))\r\n')
    answer = drain(sock, until=b"b OK")
    assert b'* LIST (\\Subscribed \\HasNoChildren) "/" "INBOX"\r\n' in answer
    assert b'* STATUS "INBOX" (MESSAGES 2 UIDNEXT 10)\r\n' in answer
    sock.close()


def test_generated_mail_is_served(server):
    server.account.fill(mailgen.generate(50))
    client = login(server)
    client.select(mutf7.quote("Work/Projekte/Größe").decode(), readonly=True)
    raws = [part[1] for part in client.uid("fetch", "1:*", "BODY.PEEK[]")[1] if isinstance(part, tuple)]
    assert raws == [m.raw for m in server.account["Work/Projekte/Größe"].messages]
    client.logout()


@pytest.mark.parametrize("mode", ["implicit", "starttls"])
def test_tls(tmp_path, mode):
    ca = certs.CA(tmp_path)
    with ImapServer(tls=mode, ca=ca, pair=ca.issue("server")) as server:
        context = ssl.create_default_context(cafile=ca.cert)
        if mode == "implicit":
            client = imaplib.IMAP4_SSL("localhost", server.port, ssl_context=context, timeout=10)
        else:
            client = imaplib.IMAP4("localhost", server.port, timeout=10)
            assert "LOGINDISABLED" in client.capabilities
            client.starttls(context)
        client.login("demo", "secret")
        client.logout()
        assert server.logins == [("demo", "secret", True, True)]
    assert not server.errors


@pytest.mark.parametrize("kind", certs.BAD_KINDS)
def test_bad_certificates_are_bad(tmp_path, kind):
    ca = certs.CA(tmp_path)
    with ImapServer(tls="implicit", ca=ca, pair=ca.bad(kind)) as server:
        context = ssl.create_default_context(cafile=ca.cert)
        context.hostname_checks_common_name = False
        with pytest.raises(ssl.SSLError):
            imaplib.IMAP4_SSL("127.0.0.1", server.port, ssl_context=context, timeout=10)


def test_injection_before_starttls_is_possible(tmp_path):
    with ImapServer(tls="starttls", directory=tmp_path) as server:
        server.on("STARTTLS", lambda c, tag, line: (
            c.send(tag + b" OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"), c.start_tls()))
        sock = socket.create_connection((server.host, server.port), timeout=10)
        drain(sock, until=b"ready\r\n")
        sock.sendall(b"a STARTTLS\r\n")
        assert sock.recv(1000) == b"a OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"
        sock.close()


def test_pause_delays(server):
    server.on("NOOP", reply(pause(0.2), "%t OK done"))
    client = login(server)
    start = time.monotonic()
    client.noop()
    assert time.monotonic() - start >= 0.2
    client.logout()


def test_compress(server):
    import zlib
    sock = raw_session(server, b"a LOGIN demo secret\r\nb COMPRESS DEFLATE\r\n", b"b OK deflate\r\n")
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    sock.sendall(packer.compress(b"c NOOP\r\n") + packer.flush(zlib.Z_SYNC_FLUSH))
    assert zlib.decompressobj(-15).decompress(sock.recv(1000)) == b"c OK done\r\n"
    sock.close()


def test_many_and_odd_folders(server):
    for number in range(20000):
        server.account.add(b"a/b%d" % number)
    server.account.add(b"..")
    server.account.add(b'q"u\\o')
    server.account.add(b"line\r\nfeed")
    server.account.add("/".join("d" * 2000), attributes=["\\Noselect"])
    sock = raw_session(server, b"a LOGIN demo secret\r\n", b"a OK")
    sock.sendall(b'b LIST "" "*"\r\n')
    answer = drain(sock, until=b"\r\nb OK")
    assert answer.count(b"* LIST ") == 20006
    assert b'"/" "q\\"u\\\\o"\r\n' in answer
    assert b'"/" {10}\r\nline\r\nfeed\r\n' in answer
    assert b'* LIST (\\Noselect \\Subscribed' not in answer
    sock.close()


def test_literal_may_be_refused(server):
    def refuse(connection, tag, line):
        connection.no(tag, "[OVERQUOTA] full")
        return False

    server.on("LITERAL", refuse, match="APPEND")
    sock = raw_session(server, b"a LOGIN demo secret\r\nb APPEND INBOX {5}\r\n", b"b NO [OVERQUOTA]")
    sock.sendall(b"c NOOP\r\n")
    assert b"c OK" in drain(sock, until=b"c OK")
    assert server.count("APPEND") == 1
    sock.close()


def test_sweep_of_many_messages(server):
    big = server.account.add("big")
    big.add_all(mailgen.cheap(20000))
    sock = raw_session(server, b"a LOGIN demo secret\r\nb EXAMINE big\r\n", b"b OK")
    sock.sendall(b"c UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)\r\n")
    assert drain(sock, until=b"\r\nc OK").count(b" FETCH (UID ") == 20000
    sock.close()


def test_error_in_a_hook_is_kept_for_the_test():
    with ImapServer() as server:
        server.on("NOOP", lambda c, tag, line: 1 / 0)
        client = login(server)
        with pytest.raises((imaplib.IMAP4.abort, ConnectionResetError)):
            client.noop()
        client.shutdown()
    assert isinstance(server.errors[0], ZeroDivisionError)


def raw_session(server, data, until):
    sock = socket.create_connection((server.host, server.port), timeout=10)
    sock.sendall(data)
    drain(sock, until)
    return sock


def drain(sock, until=None):
    out = b""
    while not until or until not in out:
        data = sock.recv(65536)
        if not data:
            break
        out += data
    return out


# Writing, and how it goes wrong.

def talk(server, *lines):
    """Logs in, opens INBOX, says the lines one after the other; what came back to the last."""
    sock = raw_session(server, b"a LOGIN demo secret\r\nb SELECT INBOX\r\n", b"b OK")
    out = b""
    for number, line in enumerate(lines):
        tag = b"t%d" % number
        sock.sendall(tag + b" " + line + b"\r\n")
        out = drain_answer(sock, tag)
    sock.close()
    return out


def drain_answer(sock, tag):
    out = b""
    while not re.search(rb"(?m)^(\+|%s (OK|NO|BAD))[^\n]*\n" % tag, out):
        data = sock.recv(65536)
        if not data:
            break
        out += data
    return out


@pytest.mark.parametrize("why, text", [
    ("quota", b"[OVERQUOTA]"), ("append_limit", b"[TOOBIG]"), ("rights", b"[NOPERM]"),
    ("folder", b"[TRYCREATE]")])
def test_append_is_refused_instead_of_the_plus(why, text):
    with ImapServer() as server:
        if why == "rights":
            server.account["INBOX"].rights = "lr"
        elif why != "folder":
            setattr(server, why, 10)
        name = b"None" if why == "folder" else b"INBOX"
        assert text in talk(server, b"APPEND %s {100}" % name)
        assert not server.account["INBOX"].messages


@pytest.mark.parametrize("fault, said, stored", [
    (None, b"t0 OK [APPENDUID 1000 1] stored", 1), ("append-no-uid", b"t0 OK  stored", 1),
    ("append-uid-0", b"t0 OK [APPENDUID 1000 0]", 1), ("append-bye", b"* BYE", 1),
    ("append-other-validity", b"[APPENDUID 1001 1]", 1), ("append-lost", b"", 1),
    ("append-dropped", b"", 0), ("append-halfway", b"+ go\r\nt0 NO", 0)])
def test_append_answers(fault, said, stored):
    with ImapServer() as server:
        server.faults = {fault} - {None}
        sock = raw_session(server, b"a LOGIN demo secret\r\n", b"a OK")
        sock.sendall(b't0 APPEND INBOX (\\Seen) "14-Nov-2023 22:13:20 +0000" {4+}\r\nabcd\r\nt1 NOOP\r\n'
                     if fault != "append-halfway" else b"t0 APPEND INBOX {4}\r\nab")
        out = b""
        while b"t1 OK" not in out and said not in out or not out:
            data = sock.recv(65536)
            if not data:
                break
            out += data
        sock.close()
        assert said in out
        assert len(server.account["INBOX"].messages) == stored
        if stored:
            assert server.account["INBOX"].messages[0].date == 1700000000
        assert not server.errors


@pytest.mark.parametrize("fault, said, left", [
    (None, rb"COPYUID 1001 1,2 1,2.*1 EXPUNGE", 0), ("copyuid-none", rb"\* OK  moved", 0),
    ("copyuid-empty", rb"\[COPYUID 14  \]", 0), ("copyuid-short", rb"1,2 1\]", 0),
    ("copyuid-descending", rb"1,2 2,1\]", 0), ("copy-nothing", rb"t0 OK", 2),
    ("copy-half", rb"t0 NO \[OVERQUOTA\]", 1), ("move-keeps", rb"t0 OK", 2)])
def test_move_answers(fault, said, left):
    with ImapServer() as server:
        server.account.add("Box")
        for _ in range(2):
            server.account["INBOX"].add(b"x\r\n")
        server.faults = {fault} - {None}
        assert re.search(said, talk(server, b"UID MOVE 1:2 Box"), re.S)
        assert len(server.account["INBOX"].messages) == left


def test_store_and_expunge_answers():
    with ImapServer() as server:
        inbox = server.account["INBOX"]
        inbox.add(b"x\r\n")
        server.faults = {"store-ignored"}
        assert b"t0 OK" in talk(server, b"UID STORE 1 +FLAGS.SILENT (\\Deleted)")
        assert not inbox.messages[0].flags
        server.faults = {"uid-expunge-bad"}
        assert b"t1 BAD" in talk(server, b"UID STORE 1 +FLAGS.SILENT (\\Deleted)", b"UID EXPUNGE 1")
        server.faults = set()
        assert b"* 1 EXPUNGE" in talk(server, b"UID EXPUNGE 1")
        assert not inbox.messages


def test_rights_and_the_tree():
    with ImapServer() as server:
        server.capabilities.append("ACL")
        server.account["INBOX"].rights = "lr"
        assert b'* MYRIGHTS "INBOX" lr\r\n' in talk(server, b"MYRIGHTS INBOX")
        assert b"t1 OK" in talk(server, b"CREATE a", b"CREATE a/b")
        assert b"[ALREADYEXISTS]" in talk(server, b"CREATE a")
        assert b"[HASCHILDREN]" in talk(server, b"DELETE a")
        assert b"t0 OK" in talk(server, b"RENAME a c")
        assert set(server.account.folders) == {b"INBOX", b"c", b"c/b"}
        server.faults = {"rename-half"}
        assert b"t0 NO" in talk(server, b"RENAME c d")
        assert set(server.account.folders) == {b"INBOX", b"d", b"c/b"}


def test_replace_stores_and_removes():
    with ImapServer() as server:
        server.capabilities.append("REPLACE")
        server.account["INBOX"].add(b"old")
        out = talk(server, b"UID REPLACE 1 INBOX {3+}\r\nnew")
        assert b"[APPENDUID 1000 2]" in out and b"* 1 EXPUNGE" in out
        assert [message.raw for message in server.account["INBOX"].messages] == [b"new"]
