# SPDX-License-Identifier: MIT
"""Passwords of the keyring: a bus of our own, with a Secret Service of our own on it."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

import mounting
from test_cli import CANARY, write_config

SERVICE = """
import os, sys, time
import dbus, dbus.service
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
PREFIX = "org.freedesktop.Secret."
ITEM = dbus.ObjectPath("/org/freedesktop/secrets/collection/login/1")


class Service(dbus.service.Object):
    @dbus.service.method(PREFIX + "Service", in_signature="sv", out_signature="vo")
    def OpenSession(self, algorithm, _input):
        if algorithm != "plain":
            raise dbus.DBusException("no", name="org.freedesktop.DBus.Error.NotSupported")
        return dbus.String("", variant_level=1), dbus.ObjectPath("/session")

    @dbus.service.method(PREFIX + "Service", in_signature="a{ss}", out_signature="aoao")
    def SearchItems(self, wanted):
        good = wanted.get("service") == "mailfs" and wanted.get("account") == "work"
        return dbus.Array([ITEM] if good else [], signature="o"), dbus.Array([], signature="o")

    @dbus.service.method(PREFIX + "Service", in_signature="aoo", out_signature="a{o(oayays)}")
    def GetSecrets(self, items, session):
        while os.path.exists(sys.argv[1] + ".hold"):
            time.sleep(0.01)
        return {item: (session, dbus.ByteArray(b""), dbus.ByteArray(open(sys.argv[1], "rb").read()), "text/plain")
                for item in items}

    @dbus.service.method("org.freedesktop.DBus.Properties", in_signature="s", out_signature="a{sv}")
    def GetAll(self, _interface):
        return dbus.Dictionary({"Collections": dbus.Array([], signature="o")}, signature="sv")


service = Service(bus, "/org/freedesktop/secrets")
name = dbus.service.BusName(PREFIX.lower()[:-1].replace("secret", "secrets"), bus)
print("ready", flush=True)
GLib.MainLoop().run()
"""


def has_parts(binary):
    if not shutil.which("dbus-daemon"):
        return False
    have = subprocess.run([sys.executable, "-c", "import dbus, gi"], capture_output=True, check=False)
    linked = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False)
    return have.returncode == 0 and "libsecret" in linked.stdout


@pytest.fixture
def bus(mailfs_binary, tmp_path):
    """The environment that leads to the bus."""
    if not has_parts(mailfs_binary):
        pytest.skip("no dbus-daemon, no python3-dbus, or built without libsecret")
    daemon = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--print-address=1",
                               "--address=unix:path=%s" % (tmp_path / "bus")], stdout=subprocess.PIPE, text=True)
    service = None
    try:
        env = {"DBUS_SESSION_BUS_ADDRESS": daemon.stdout.readline().strip()}
        (tmp_path / "secret").write_text(CANARY)
        service = subprocess.Popen([sys.executable, "-c", SERVICE, str(tmp_path / "secret")], env=dict(os.environ, **env),
                                   stdout=subprocess.PIPE, text=True)
        assert service.stdout.readline() == "ready\n"
        yield env
    finally:
        for process in (service, daemon):
            if process:
                process.kill()
                process.wait()


@pytest.mark.may_skip
def test_password_of_the_keyring(mount, imap_server, bus):
    server = imap_server(users={"demo": CANARY})
    one = mount(server, password=None, start=False, foreground=False, environment=bus)
    write_config(one, "[account work]\nsource = %s\ntls = none\n[account other]\nsource = %s\ntls = none\n"
                 % (one.source, one.source))
    one.source, one.options = "work", ["connections=1"]
    one.start()
    assert one.list() == ["INBOX"]
    server.drop()  # it is kept for the next login
    one.wait_status(lambda status: status["state"] == "online" and len(server.logins) > 1)
    assert {login[:3] for login in server.logins} == {("demo", CANARY, True)}
    one.stop()
    assert CANARY not in one.stderr
    one.source = "other"
    assert one.fails().code == 78  # the keyring has none for it, and there is no terminal


@pytest.mark.may_skip
def test_hangup_asks_the_keyring_again(mount, imap_server, bus, tmp_path):
    server = imap_server(users={"demo": CANARY})
    one = mount(server, password=None, start=False, environment=bus)
    write_config(one, "[account work]\nsource = %s\ntls = none\n" % one.source)
    one.source, one.options = "work", ["connections=1"]
    one.start()
    server.users["demo"] = "another"
    (tmp_path / "secret").write_text("another")
    server.drop()
    one.wait_status(lambda status: status["state"] == "login refused")
    os.kill(one.pid, signal.SIGHUP)
    one.wait_status(lambda status: status["state"] == "online")
    assert server.logins[-1][:3] == ("demo", "another", True)
    assert CANARY not in one.stderr and "another" not in one.stderr


@pytest.mark.may_skip
def test_keyring_that_is_not_there_is_none(mount, imap_server, bus):
    one = mount(imap_server(), password=None, start=False,
                environment={"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"})
    assert one.fails(10 * mounting.SLOW).code == 78


@pytest.mark.may_skip
def test_an_account_that_comes_back_holds_up_nobody(mount, imap_server, bus, tmp_path):
    """With --all: while the keyring thinks about one account, the other goes on."""
    server = imap_server(users={"demo": CANARY, "other": "secret"})
    server.account["INBOX"].add(b"Subject: hello\r\n\r\nbody\r\n", uid=7)
    one = mount(server, password=None, start=False, environment=bus)
    text = ("[account good]\nsource = %s\ntls = none\npassword = secret\nname = uid\n"
            "[account work]\nsource = %s\ntls = none\n" % (one.source.replace("demo@", "other@"), one.source))
    write_config(one, text + "colour = red\n")
    one.source, one.options = "--all", []
    one.start()
    (tmp_path / "secret.hold").touch()
    write_config(one, text)
    os.kill(one.pid, signal.SIGHUP)
    assert one.list("good", "INBOX") == ["7.eml"]
    one.wait_status(lambda status: {part["account"]: part["state"] for part in status["account-list"]} ==
                    {"good": "online", "work": "connecting"})
    (tmp_path / "secret.hold").unlink()
    one.wait_status(lambda status: status["accounts-online"] == 2)
    assert ("demo", CANARY, True) in {login[:3] for login in server.logins}
