# SPDX-License-Identifier: MIT
"""mailfsctl add and check: from a mail address to a mount, with a name service and a web server of our own."""

import http.server
import json
import os
import ssl
import stat
import threading

import pytest

import mounting
from test_cli import ask_on_a_terminal, mailfs

DOMAIN = "example.test"
ADDRESS = "demo@" + DOMAIN
XML = """<?xml version="1.0"?>
<clientConfig version="1.1"><emailProvider id="example.test"><domain>example.test</domain>
 <incomingServer type="pop3"><hostname>pop.%s</hostname><port>995</port>
  <socketType>SSL</socketType><username>x</username></incomingServer>
 <incomingServer type="imap"><hostname>%s</hostname><port>%d</port><socketType>SSL</socketType>
  <username>%s</username><authentication>password-cleartext</authentication></incomingServer>
</emailProvider></clientConfig>
"""


class Web:
    """An https server: answers[(host, path)] is (status, headers, body)."""

    def __init__(self, pair):
        self.answers, self.asked = {}, []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                key = (self.headers["Host"], self.path)
                web.asked.append(key)
                status, headers, body = web.answers.get(key, (404, {}, "no"))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Transfer-Encoding" in headers:
                    data = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 100]), body[i:i + 100].encode())
                                    for i in range(0, len(body), 100)) + b"0\r\n\r\n"
                else:
                    data = body.encode()
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                self.close_connection = True

            def log_message(self, *_):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def get_request(self):
                connection, peer = super().get_request()
                connection.settimeout(20)
                return connection, peer

            def finish_request(self, request, client):
                try:
                    with context.wrap_socket(request, server_side=True) as secured:
                        super().finish_request(secured, client)
                except OSError:
                    pass  # a client that does not trust us

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def put(self, host, path, body, status=200, **headers):
        self.answers[(host, path)] = (status, {key.replace("_", "-"): value for key, value in headers.items()}, body)

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class World:
    def __init__(self, ca, imap_server, mount):
        names = ["*." + DOMAIN, DOMAIN, "*.elsewhere.test", "autoconfig.thunderbird.net"]
        pair = ca.issue("add", names, [], DOMAIN)
        self.web = Web(pair)
        self.server = imap_server(tls="implicit", pair=pair)
        self.server.account["INBOX"].add(b"Subject: hello\r\n\r\nbody\r\n", uid=7)
        self.one = mount("imaps://nobody@localhost", password=None, start=False, foreground=False)
        self.one.environment = {"SSL_CERT_FILE": ca.cert, "MAILFS_RESOLVE": os.path.join(self.one.home, "names")}
        self.names = ["https-port %d" % self.web.port]
        for name in ("imap", "mail", "autoconfig"):
            self.names.append("%s.%s A 127.0.0.1" % (name, DOMAIN))
        self.names += [DOMAIN + " A 127.0.0.1", "imap.elsewhere.test A 127.0.0.1"]

    def srv(self, host, service="_imaps", priority=0):
        self.names.append("%s._tcp.%s SRV %d 1 %d %s" % (service, DOMAIN, priority, self.server.port, host))

    def xml(self, host="imap." + DOMAIN, user="%EMAILLOCALPART%"):
        return XML % (DOMAIN, host, self.server.port, user)

    def env(self):
        with open(self.one.environment["MAILFS_RESOLVE"], "w", encoding="utf-8") as file:
            file.write("\n".join(self.names))
        return self.one.env()

    def add(self, *arguments, password=b"secret\n", address=ADDRESS):
        return mailfs(self.one.binary, "add", "-o", "passfd=0", *arguments, address, name="mailfsctl",
                      tmp=self.one.home, env=self.env(), stdin=password)

    @property
    def config(self):
        return os.path.join(self.one.home, "config", "mailfs", "mailfs.conf")

    def text(self):
        with open(self.config, encoding="utf-8") as file:
            return file.read()


@pytest.fixture
def world(ca, imap_server, mount):
    one = World(ca, imap_server, mount)
    yield one
    one.web.stop()


def test_a_stranger_adds_mounts_reads_and_unmounts(world):
    """From an empty home directory, with nothing but a password at the prompt."""
    world.srv("imap." + DOMAIN)
    one = world.one
    world.env()
    ctl = os.path.join(one.home, "mailfsctl")
    os.symlink(one.binary, ctl)

    def type_password(*command):
        one.command = lambda _passfd: list(command)
        real, one.binary = one.binary, command[0]
        seen = []
        code = ask_on_a_terminal(one, b"secret\n", seen)
        one.binary = real
        assert code == 0, seen
        return seen[0]

    said = type_password(ctl, "add", ADDRESS)
    assert "mailfs %s ~/Mail" % ADDRESS in said and "secret" not in said
    assert stat.S_IMODE(os.stat(world.config).st_mode) == 0o600
    assert "secret" not in world.text()
    type_password(one.binary, ADDRESS, one.path)
    assert one.list() == ["INBOX"]
    assert one.read("INBOX", "7.eml") == b"Subject: hello\r\n\r\nbody\r\n"
    assert mailfs(ctl, "umount", one.path, env=one.env()).returncode == 0
    assert not mounting.is_mounted(one.path)
    assert one._wait_gone(mounting.STOP_LIMIT)
    one.asked_to_die = True


def test_srv_of_the_own_domain_by_priority(world):
    world.srv("nowhere." + DOMAIN, priority=10)
    world.srv("imap." + DOMAIN, priority=5)
    world.server.users = {ADDRESS: "secret"}
    done = world.add()
    assert done.returncode == 0, done.stderr
    assert "source = imaps://imap.example.test:%d\nuser = %s\n" % (world.server.port, ADDRESS) in world.text()
    assert [login[0] for login in world.server.logins] == [ADDRESS]
    assert world.web.asked == []


def test_address_then_local_part_as_user(world):
    world.srv("imap." + DOMAIN)
    assert world.add().returncode == 0
    assert [login[0] for login in world.server.logins] == [ADDRESS, "demo"]
    assert "user = demo\n" in world.text()


@pytest.mark.parametrize("user, tried", [("", [ADDRESS, "demo"]), ("demo@", ["demo"])])
def test_source_of_the_command_line(world, user, tried):
    source = "imaps://%simap.%s:%d" % (user, DOMAIN, world.server.port)
    assert world.add("--source", source).returncode == 0
    assert [login[0] for login in world.server.logins] == tried
    assert "source = %s\nuser = demo\n" % source in world.text()
    assert world.web.asked == []


def test_refused_password_is_77_and_nothing_is_written(world):
    world.srv("imap." + DOMAIN)
    world.srv("mail." + DOMAIN, priority=1)
    done = world.add(password=b"wrong\n")
    assert done.returncode == 77
    assert len(world.server.logins) == 2  # not shown to the next server
    assert not os.path.exists(world.config)


@pytest.mark.parametrize("host, path", [
    ("autoconfig." + DOMAIN, "/mail/config-v1.1.xml?emailaddress=" + ADDRESS),
    (DOMAIN, "/.well-known/autoconfig/mail/config-v1.1.xml"),
    ("autoconfig.thunderbird.net", "/v1.1/" + DOMAIN),
])
def test_autoconfiguration_in_thunderbirds_order(world, host, path):
    world.names.append("autoconfig.thunderbird.net A 127.0.0.1")
    world.web.put(host, path, world.xml(), Transfer_Encoding="chunked")
    done = world.add()
    assert done.returncode == 0, done.stderr
    assert world.web.asked[-1] == (host, path)
    assert "user = demo\n" in world.text()
    assert [login[0] for login in world.server.logins] == ["demo"]


def test_redirects_are_followed_to_https_only(world):
    first = ("autoconfig." + DOMAIN, "/mail/config-v1.1.xml?emailaddress=" + ADDRESS)
    world.web.put(*first, "", 302, Location="https://%s/there.xml" % DOMAIN)
    world.web.put(DOMAIN, "/there.xml", world.xml())
    assert world.add().returncode == 0
    os.unlink(world.config)
    world.web.put(*first, "", 302, Location="http://%s/there.xml" % DOMAIN)
    assert world.add().returncode == 68
    world.web.put(*first, "", 302, Location=first[1])
    assert world.add().returncode == 68


@pytest.mark.parametrize("body", ["", "<html>", "<a/>", "<clientConfig/>", "\0", "<clientConfig>" + "<a>" * 5000,
                                  XML % (DOMAIN, "imap.example.test", 143, "x") + "<", "x" * 600000],
                         ids=["empty", "html", "other", "no-server", "nul", "deep", "cut", "long"])
def test_sec_nonsense_from_the_web_is_no_server(world, body):
    world.web.put("autoconfig." + DOMAIN, "/mail/config-v1.1.xml?emailaddress=" + ADDRESS, body)
    done = world.add()
    assert done.returncode == 68, done.stderr
    assert "--source=imaps://HOST" in done.stderr


def test_clear_text_servers_are_not_taken(world):
    world.web.put("autoconfig." + DOMAIN, "/mail/config-v1.1.xml?emailaddress=" + ADDRESS,
                  world.xml().replace("SSL", "plain"))
    assert world.add().returncode == 68
    assert world.server.connections == []


def test_sec_web_server_with_a_wrong_certificate_is_not_believed(world, ca):
    other = Web(ca.bad("other-name"))
    other.put("autoconfig." + DOMAIN, "/mail/config-v1.1.xml?emailaddress=" + ADDRESS, world.xml())
    world.names[0] = "https-port %d" % other.port
    assert world.add().returncode == 68
    other.stop()
    assert other.asked == []


def test_sec_foreign_host_by_dns_needs_agreement(world):
    world.srv("imap.elsewhere.test")
    done = world.add()
    assert done.returncode == 69 and "--yes" in done.stderr
    assert world.server.connections == []
    assert world.add("--yes").returncode == 0


def test_foreign_host_by_dns_that_https_confirms(world):
    world.srv("imap.elsewhere.test")
    world.web.put("autoconfig." + DOMAIN, "/mail/config-v1.1.xml?emailaddress=" + ADDRESS,
                  world.xml("imap.elsewhere.test"))
    assert world.add().returncode == 0


def test_file_keeps_what_is_there(world):
    os.makedirs(os.path.dirname(world.config))
    before = "# mine\n[account work]\nsource = imaps://a@h\n\n\n; end"
    with open(world.config, "w", encoding="utf-8") as file:
        file.write(before)
    os.chmod(world.config, 0o640)
    world.srv("imap." + DOMAIN)
    assert world.add("--name", "home", "-o", "name=uid,exclude=Junk;Trash,cache-size=1G").returncode == 0
    assert world.text() == before + "\n\n[account home]\nsource = imaps://imap.example.test:%d\nuser = demo\n" \
        "name = uid\nexclude = Junk;Trash\ncache-size = 1073741824\n" % world.server.port
    assert stat.S_IMODE(os.stat(world.config).st_mode) == 0o640
    logins = len(world.server.logins)
    done = world.add("--name", "home")
    assert done.returncode == 78 and "already" in done.stderr
    assert len(world.server.logins) == logins


def test_saved_password_makes_the_file_private(world):
    os.makedirs(os.path.dirname(world.config))
    with open(world.config, "w", encoding="utf-8") as file:
        file.write("[account work]\nsource = imaps://a@h\n")
    os.chmod(world.config, 0o644)
    world.srv("imap." + DOMAIN)
    assert world.add("--save-password").returncode == 0
    assert stat.S_IMODE(os.stat(world.config).st_mode) == 0o600
    one = world.one
    one.source = ADDRESS
    one.start()
    assert one.list() == ["INBOX"]
    one.stop()


def test_password_command_is_tried_and_written(world):
    world.srv("imap." + DOMAIN)
    done = mailfs(world.one.binary, "add", "--password-command=echo secret", ADDRESS, name="mailfsctl",
                  tmp=world.one.home, env=world.env())
    assert done.returncode == 0, done.stderr
    assert "password-command = echo secret\n" in world.text()


@pytest.mark.parametrize("arguments, part", [
    (["demo"], "not a mail address"), (["a@b@c.d"], "not a mail address"), (["a@b"], "not a mail address"),
    (["--name", "a/b", ADDRESS], "not a name"), (["--source", "localhost", ADDRESS], "not a URL"),
    (["--nothing", ADDRESS], "--nothing"), ([], "SOURCE"),
])
def test_wrong_words_are_64(world, arguments, part):
    done = mailfs(world.one.binary, "add", *arguments, name="mailfsctl", tmp=world.one.home, env=world.env())
    assert done.returncode == 64 and part in done.stderr, done.stderr


def test_check_as_json(mount, imap_server, ca):
    server = imap_server(tls="implicit")
    one = mount(server, start=False)
    options = ["-o", ",".join(one.options + ["passfd=0"])]

    def check(password):
        return mailfs(one.binary, "check", "--json", *options, one.source, name="mailfsctl", tmp=one.home,
                      stdin=password)

    done = check(b"secret\n")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["tls"].startswith("TLSv1.") and told["port"] == server.port
    assert told["folders"][0]["path"] == "INBOX" and told["folder_count"] == len(told["folders"])
    assert told["round_trip_us"] > 0
    assert "IMAP4rev1" in told["capabilities"]
    assert all(row["effect"] for row in told["falls_back"])
    done = check(b"wrong\n")
    assert done.returncode == 77
    assert json.loads(done.stdout)["exit_code"] == 77
