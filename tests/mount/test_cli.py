# SPDX-License-Identifier: MIT
"""The programs as a user meets them: exit codes, messages, passwords, signals, start and end."""

import base64
import glob
import json
import os
import pty
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

import mounting
from imap_server import FIN, pause, reply
from mounting import run
from tools import wait_until

CANARY = "Canary-4711-xyzzy"


def mailfs(binary, *arguments, name=None, stdin=None, env=None, tmp=None, timeout=20):
    """The program, not through a fixture: for what must end by itself."""
    program = binary
    if name:
        program = os.path.join(str(tmp), name)
        if not os.path.lexists(program):
            os.symlink(binary, program)
    full = {key: value for key, value in os.environ.items()
            if not key.startswith(("XDG_", "CREDENTIALS_", "DBUS_"))}
    full.update({"HOME": str(tmp)} if tmp else {})
    full.update(env or {})
    done = run([program, *arguments], timeout, check=False, stdin=stdin or b"", env=full)
    done.stdout = done.stdout.decode("utf-8", "replace")
    done.stderr = done.stderr.decode("utf-8", "replace")
    return done


@pytest.fixture
def ctl(mailfs_binary, tmp_path):
    def call(*arguments, mount=None, **more):
        env = mount.env() if mount else None
        return mailfs(mailfs_binary, *arguments, name="mailfsctl", tmp=tmp_path, env=env, **more)

    return call


@pytest.fixture
def server(imap_server):
    one = imap_server()
    one.account["INBOX"].add(b"Subject: hello\r\n\r\nbody\r\n", uid=7)
    return one


def write_config(mount, text, mode=0o600):
    path = os.path.join(mount.home, "config", "mailfs", "mailfs.conf")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


# Help and usage.


@pytest.mark.smoke
def test_help_and_version_go_to_stdout(mailfs_binary, tmp_path):
    done = mailfs(mailfs_binary, "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert "usage: mailfs [options] SOURCE MOUNTPOINT" in done.stdout
    assert "-o cache-size=SIZE" in done.stdout
    done = mailfs(mailfs_binary, "-V")
    assert done.returncode == 0 and re.fullmatch(r"mailfs \d+\.\d+\.\d+\n", done.stdout)
    done = mailfs(mailfs_binary, "-h", name="mailfsctl", tmp=tmp_path)
    assert done.returncode == 0 and "status [MOUNTPOINT] [--json]" in done.stdout


def test_bare_call_is_two_lines_and_64(mailfs_binary, tmp_path):
    for name in (None, "mailfsctl"):
        done = mailfs(mailfs_binary, name=name, tmp=tmp_path)
        assert done.returncode == 64 and done.stdout == ""
        assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("arguments, part", [
    (["-o", "ro,nmae=uid", "imaps://a@h", "/x"], "unknown option: nmae"),
    (["-o", "delete=all", "imaps://a@h", "/x"], "delete"),
    (["-o", "timeout=0", "imaps://a@h", "/x"], "timeout"),
    (["-x", "imaps://a@h", "/x"], "-x"),
    (["imaps://a@h"], "MOUNTPOINT"),
    (["imaps://a@h", "/x", "/y"], "/y"),
    (["imaps://h", "/x"], "user"),
    (["imaps://a@-oProxyCommand=x", "/x"], "host name"),
    (["imaps://a@h", "/x", "-o", "tls=none"], "contradict"),
    (["http://a@h", "/x"], "imaps://"),
    (["a/b", "/x"], "neither"),
])
def test_wrong_command_lines_are_64(mailfs_binary, tmp_path, arguments, part):
    done = mailfs(mailfs_binary, *arguments, tmp=tmp_path)
    assert done.returncode == 64, done.stderr
    assert part in done.stderr and "mailfs: mailfs:" not in done.stderr


def test_sec_52_password_on_the_command_line_is_refused_and_not_repeated(mailfs_binary, tmp_path):
    for arguments in (["imaps://me:%s@h" % CANARY, "/x"],
                      ["imaps://me@h", "/x", "-o", "password=" + CANARY]):
        done = mailfs(mailfs_binary, *arguments, tmp=tmp_path)
        assert done.returncode == 64
        assert "passfd" in done.stderr
        assert CANARY not in done.stdout + done.stderr


def test_a_maildrop_has_no_folders(mailfs_binary, tmp_path):
    done = mailfs(mailfs_binary, "pop3s://me@example.org/Archive", str(tmp_path), tmp=tmp_path)
    assert done.returncode == 64
    assert "no folders" in done.stderr


# The mount point.


def test_missing_mount_point_is_66(mount):
    one = mount("imaps://me@localhost", start=False)
    os.rmdir(one.path)
    failure = one.fails()
    assert failure.code == 66 and "No such file or directory; mkdir" in failure.stderr


def test_file_as_mount_point_is_66(mount):
    one = mount("imaps://me@localhost", start=False)
    os.rmdir(one.path)
    with open(one.path, "w", encoding="utf-8"):
        pass
    failure = one.fails()
    assert failure.code == 66 and "not a directory" in failure.stderr


def test_directory_with_files_needs_nonempty(mount, server):
    one = mount(server, start=False)
    with open(one.join("mine"), "w", encoding="utf-8"):
        pass
    failure = one.fails()
    assert failure.code == 66 and "-o nonempty" in failure.stderr
    assert server.connections == []
    one.options.append("nonempty")
    one.start()
    assert "INBOX" in one.list()
    one.stop()
    assert one.list() == ["mine"]


def test_sec_55_cache_inside_the_mount_point_is_refused(mount, server):
    one = mount(server, start=False, environment={})
    one.environment["XDG_CACHE_HOME"] = one.join("sub", "cache")
    failure = one.fails()
    assert failure.code == 78 and "inside the mount point" in failure.stderr
    assert server.connections == []


def test_missing_folder_of_the_url_is_66(mount, server):
    failure = mount(server, folder="Nowhere", start=False).fails()
    assert failure.code == 66 and "no folder 'Nowhere'" in failure.stderr


@pytest.mark.smoke
def test_folder_of_the_url_is_the_root(mount, server):
    one = mount(server, ["name=uid"], folder="INBOX")
    assert one.read("7.eml") == b"Subject: hello\r\n\r\nbody\r\n"


# Hosts that do not answer.


def test_unknown_host_is_68(mount):
    failure = mount("imaps://me@no-such-host.invalid", start=False).fails()
    assert failure.code == 68
    assert "mailfsctl check imaps://me@no-such-host.invalid" in failure.stderr


def test_refused_connection_is_69(mount):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        failure = mount("imaps://me@localhost:%d" % port, start=False).fails()
    assert failure.code == 69
    assert "mailfsctl check" in failure.stderr


def test_silent_server_is_75(mount, imap_server):
    server = imap_server()
    server.on("GREETING", lambda connection, tag, line: connection.hang())
    failure = mount(server, ["timeout=1"], start=False).fails()
    assert failure.code == 75


def test_protocol_error_is_76(mount, imap_server):
    server = imap_server()
    server.greeting = b"HTTP/1.1 400 Bad Request\r\n"
    failure = mount(server, start=False).fails()
    assert failure.code == 76


@pytest.mark.parametrize("kind, part", [
    ("other-name", "name|host"), ("expired", "expired"), ("self-signed", "self.signed"),
    ("unknown-ca", "issuer|signed|unknown|verify"), ("not-yet-valid", "not valid before"),
    ("client-only", "not meant for servers"), ("cn-only", "name|host"),
])
def test_sec_8_bad_certificate_is_76_and_no_password_is_sent(mount, imap_server, ca, kind, part):
    server = imap_server(tls="implicit", pair=ca.bad(kind))
    failure = mount(server, start=False).fails()
    assert failure.code == 76, failure.stderr
    assert re.search(part, failure.stderr, re.I), failure.stderr
    assert server.logins == [] and server.commands == []


def test_pinned_certificate(mount, imap_server, ca, ca_pair):
    server = imap_server(tls="implicit")
    good = mount(server, ["tls-fingerprint=sha256:" + ca_pair.fingerprint()])
    assert good.list() == ["INBOX"]
    good.stop()
    failure = mount(server, ["tls-fingerprint=sha256:" + "00" * 32], start=False).fails()
    assert failure.code == 76


# Logging in.


@pytest.mark.smoke
def test_wrong_password_is_77_after_one_attempt(mount, imap_server):
    server = imap_server(tls="implicit")
    failure = mount(server, password="wrong-" + CANARY, start=False).fails()
    assert failure.code == 77
    assert "mailfsctl check" in failure.stderr
    assert CANARY not in failure.stderr
    assert len(server.logins) == 1


def test_wrong_password_with_a_warm_cache_is_77_too(mount, server):
    one = mount(server, ["name=uid"])
    one.stop()
    attempts = len(server.logins)
    one.password = "wrong"
    assert one.fails().code == 77
    assert len(server.logins) == attempts + 1


def test_no_password_and_no_terminal_is_78(mount, server):
    failure = mount(server, password=None, start=False).fails()
    assert failure.code == 78
    assert "no password is configured" in failure.stderr
    assert server.connections == []


def test_sec_20_nul_in_the_password_is_refused(mount, server):
    failure = mount(server, password="a\0b", start=False).fails()
    assert failure.code == 78 and "NUL" in failure.stderr
    assert server.logins == []


@pytest.mark.parametrize("password", ['quote"back\\slash', "Größe 8-bit", " space ", "{5}", "%s%n"])
def test_sec_20_any_password_arrives_as_it_is(mount, imap_server, password):
    server = imap_server(users={"demo": password})
    mount(server, password=password).stop()
    assert server.logins[0][:3] == ("demo", password, True)


def ask_on_a_terminal(mount, answer, seen):
    """Runs the command on a terminal of its own and types the answer."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir("/")
        os.execve(mount.binary, mount.command(None), mount.env())
    text = b""
    while b"Password for" not in text:
        text += os.read(terminal, 1000)
    time.sleep(0.1)  # the echo goes off right after the question
    os.write(terminal, answer)
    while True:
        try:
            got = os.read(terminal, 1000)
        except OSError:  # EIO: nobody holds the other side any more
            break
        if not got:
            break
        text += got
    seen.append(text.decode())
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_password_is_asked_on_the_terminal_without_echo(mount, server):
    one = mount(server, password=None, foreground=False, start=False)
    seen = []
    assert ask_on_a_terminal(one, b"secret\n", seen) == 0
    assert "Password for demo@localhost" in seen[0]
    assert "secret" not in seen[0]
    assert mounting.is_mounted(one.path)
    assert one.list() == ["INBOX"]
    one.stop()


def test_prompt_can_be_interrupted(mount, server):
    one = mount(server, password=None, foreground=False, start=False)
    assert ask_on_a_terminal(one, b"\x03", []) == 75
    assert server.connections == []


def test_command_of_the_file_gives_the_password(mount, server):
    one = mount(server, password=None, start=False)
    write_config(one, "[account work]\nsource = %s\ntls = none\npassword-command = echo secret\n"
                 % one.source, 0o644)
    one.source, one.options = "work", []
    one.start()
    assert one.list() == ["INBOX"]
    assert os.path.isdir(os.path.join(one.home, "cache", "mailfs", "work"))
    one.stop()


def test_failing_command_is_77_with_its_reason(mount, server):
    one = mount(server, password=None, start=False)
    write_config(one, "[account work]\nsource = %s\ntls = none\n"
                 "password-command = sh -c 'exit 3'\n" % one.source)
    one.source, one.options = "work", []
    failure = one.fails()
    assert failure.code == 77 and "exit code 3" in failure.stderr
    assert "the command that prints it" in failure.stderr
    assert server.logins == []


def test_credentials_directory(mount, server):
    one = mount(server, password=None, start=False)
    with open(os.path.join(one.home, "mailfs.work"), "w", encoding="utf-8") as file:
        file.write("secret\n")
    write_config(one, "[account work]\nsource = %s\ntls = none\n" % one.source)
    one.source, one.options = "work", []
    one.environment["CREDENTIALS_DIRECTORY"] = one.home
    one.start()
    one.stop()


def mount_with_tokens(mount, server, tokens):
    """Mounts with a token-command that gives these, one after the other; the last one for ever."""
    one = mount(server, password=None, start=False)
    path = os.path.join(one.home, "tokens")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(tokens) + "\n")
    write_config(one, "[account work]\nsource = %s\ntls = none\ntoken-command = sh -c "
                 "'head -n 1 %s; [ $(wc -l <%s) = 1 ] || sed -i 1d %s'\n" % (one.source, path, path, path))
    one.source, one.options = "work", ["connections=1", "auth=oauth"]
    return one


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_cn_5_an_old_token_is_replaced_at_each_login(mount, imap_server, mechanism):
    server = imap_server()
    server.capabilities = ["IMAP4rev1", "SASL-IR", "AUTH=" + mechanism]
    server.token = "new"
    one = mount_with_tokens(mount, server, ["old", "new"])
    one.start()
    assert [login[1:3] for login in server.logins] == [("old", False), ("new", True)]
    server.token = "newer"
    with open(os.path.join(one.home, "tokens"), "w", encoding="utf-8") as file:
        file.write("newer\n")
    server.drop()
    assert server.wait_for(lambda: [login[1:3] for login in server.logins][2:] == [("newer", True)])
    one.stop()


def test_cn_5_a_token_that_stays_bad_is_sent_once(mount, imap_server):
    server = imap_server()
    server.capabilities = ["IMAP4rev1", "SASL-IR", "AUTH=XOAUTH2"]
    assert mount_with_tokens(mount, server, ["bad"]).fails().code == 77
    assert [login[1:3] for login in server.logins] == [("bad", False)]
    assert mount_with_tokens(mount, server, ["bad1", "bad2", "bad3"]).fails().code == 77
    assert [login[1] for login in server.logins] == ["bad", "bad1", "bad2"]


@pytest.mark.parametrize("text, part", [
    ("[account work]\nsource = imaps://a@h\nnmae = uid\n", ":3: unknown key: nmae"),
    ("[account work]\nuser = x\n", "no source"),
    ("[account other]\nsource = imaps://a@h\n", "no [account work]"),
    ("[account work]\nsource = imaps://a:b@h\n", "password"),
    ("[account work]\nsource = imaps://a@h\ntimeout = long\n", ":3: timeout"),
])
def test_bad_configuration_is_78(mount, text, part):
    one = mount("work", password=None, start=False)
    write_config(one, text)
    failure = one.fails()
    assert failure.code == 78, failure.stderr
    assert part in failure.stderr


def test_sec_52_password_in_a_readable_file_is_78(mount):
    one = mount("work", password=None, start=False)
    write_config(one, "[account work]\nsource = imaps://a@h\npassword = %s\n" % CANARY, 0o644)
    failure = one.fails()
    assert failure.code == 78 and ":3: password" in failure.stderr
    assert CANARY not in failure.stderr


def test_password_in_a_private_file(mount, server):
    one = mount(server, password=None, start=False)
    write_config(one, "[account work]\nsource = %s\ntls = none\npassword = secret\n" % one.source)
    one.source, one.options = "work", []
    one.start()
    one.stop()


def files_below(directory):
    for where, _dirs, names in os.walk(directory):
        for name in names:
            with open(os.path.join(where, name), "rb") as file:
                yield os.path.join(where, name), file.read()


@pytest.mark.parametrize("tls", ["none", "implicit"])
def test_sec_52_password_is_nowhere(mount, imap_server, tls):
    server = imap_server(tls=None if tls == "none" else tls, users={"demo": CANARY})
    server.account["INBOX"].add(b"Subject: x\r\n\r\nbody\r\n", uid=1)
    # A server that repeats the password in what it says.
    server.on("ID", reply("* OK [ALERT] your password is " + CANARY, "%t OK done"))
    one = mount(server, ["name=uid"], password=CANARY, arguments=["-v", "-v", "-v"])
    one.read("INBOX", "1.eml")
    for name in ("cmdline", "environ", "mountinfo"):
        with open("/proc/%d/%s" % (one.pid, name), "rb") as file:
            assert CANARY.encode() not in file.read(), name
    assert CANARY not in one.read(".mailfs", "status").decode()
    assert CANARY not in one.read(".mailfs", "status.json").decode()
    one.stop()
    assert "cli" in one.stderr or "imap" in one.stderr  # something was logged at all
    assert CANARY not in one.stderr
    assert base64.b64encode(b"\0demo\0" + CANARY.encode()).decode() not in one.stderr
    found = 0
    for directory in ("cache", "state", "runtime"):
        for path, data in files_below(os.path.join(one.home, directory)):
            found += 1
            assert CANARY.encode() not in data, path
    assert found


def test_sec_52_no_core_dump_and_no_memory_for_others(mount, server):
    one = mount(server)
    with open("/proc/%d/limits" % one.pid, encoding="utf-8") as file:
        assert re.search(r"^Max core file size\s+0\s+0\s", file.read(), re.M)
    one.stop()
    for where, dirs, names in os.walk(os.path.join(one.home, "cache", "mailfs")):
        for name in dirs + names:
            assert os.lstat(os.path.join(where, name)).st_mode & 0o077 == 0, name


def test_sec_52_debug_wire_has_the_wire_and_no_secret(mount, imap_server):
    server = imap_server(users={"demo": CANARY})
    server.account["INBOX"].add(b"Subject: x\r\n\r\nbody-of-mail\r\n", uid=1)
    one = mount(server, ["name=uid"], password=CANARY, foreground=False, start=False)
    path = os.path.join(one.home, "wire")
    one.options.append("debug-wire=" + path)
    one.start()
    one.read("INBOX", "1.eml")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert re.search(r"Z imap: C: .*UID FETCH", text) and "S: " in text
    assert CANARY not in text and "body-of-mail" not in text
    assert base64.b64encode(b"\0demo\0" + CANARY.encode()).decode() not in text
    one.stop()


def test_debug_wire_inside_the_mount_is_refused(mount, server):
    one = mount(server, start=False)
    one.options.append("debug-wire=" + one.join("wire"))
    assert one.fails().code == 78


# Going to the background.


@pytest.mark.smoke
def test_command_returns_when_the_mount_is_usable(mount, server):
    one = mount(server, ["name=uid"], foreground=False, start=False)
    one._spawn()
    assert one.process.wait(20) == 0
    # Not a moment later: the mount is there, and its session is another.
    assert mounting.is_mounted(one.path)
    assert one.read("INBOX", "7.eml").endswith(b"body\r\n")
    with open("/proc/%d/stat" % one.pid, encoding="utf-8") as file:
        session = int(file.read().rsplit(")", 1)[1].split()[3])
    assert session == one.pid
    for number in (0, 1, 2):
        assert os.readlink("/proc/%d/fd/%d" % (one.pid, number)) == "/dev/null"
    assert os.readlink("/proc/%d/cwd" % one.pid) == "/"
    one.stop()


def test_failure_in_the_background_is_told_by_the_command(mount, imap_server):
    server = imap_server(tls="implicit")
    one = mount(server, password="wrong", foreground=False, start=False)
    failure = one.fails()
    assert failure.code == 77
    assert "mailfsctl check" in failure.stderr
    assert not one.pids()


def test_fsname_and_type_in_the_mount_table(mount, server):
    one = mount(server)
    out = run(["findmnt", "-n", "-o", "FSTYPE,SOURCE,OPTIONS", one.path]).stdout.decode().split()
    assert out[:2] == ["fuse.mailfs", "demo@localhost:"]
    assert {"nosuid", "nodev", "noexec"} <= set(out[2].split(","))


def test_warm_cache_mounts_while_the_server_is_away(mount, server):
    one = mount(server, ["name=uid"])
    body = one.read("INBOX", "7.eml")
    one.stop()
    server.refuse()
    server.drop()
    one.start()
    assert "the server is away" in one.stderr
    assert one.read("INBOX", "7.eml") == body
    assert one.status()["state"] == "offline"


# Ending.


@pytest.mark.smoke
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("foreground", [True, False])
def test_signal_unmounts_and_ends(mount, server, number, foreground):
    one = mount(server, foreground=foreground)
    one.list("INBOX")
    one.stop(number)
    assert not one.is_running()


def test_busy_mount_ends_in_time(mount, server):
    one = mount(server)
    child = subprocess.Popen(["sleep", "60"], cwd=one.path)
    try:
        assert one.stop() < mounting.STOP_LIMIT
    finally:
        child.kill()
        child.wait()


def test_term_while_the_server_is_silent(mount, server):
    one = mount(server, ["name=uid"])
    one.list("INBOX")
    before = len(server.commands)
    server.on("*", lambda connection, tag, line: connection.hang())
    reader = subprocess.Popen(["cat", one.join("INBOX", "7.eml")],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert server.wait_for(lambda: len(server.commands) > before)
    assert one.stop() < mounting.STOP_LIMIT
    assert reader.wait(10) != 0


def test_term_while_connecting_is_75_and_leaves_nothing(mount, server):
    server.on("GREETING", lambda connection, tag, line: connection.hang())
    one = mount(server, foreground=False, start=False)
    one._spawn()
    assert server.wait_for(lambda: server.connections)
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(mounting.STOP_LIMIT + 5) == 75
    assert one._wait_gone(mounting.STOP_LIMIT)
    assert not mounting.is_mounted(one.path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_command_that_is_killed_while_connecting_leaves_nothing(mount, server, number):
    server.on("GREETING", lambda connection, tag, line: connection.hang())
    one = mount(server, foreground=False, start=False)
    one._spawn()
    assert server.wait_for(lambda: server.connections)
    one.process.send_signal(number)
    assert one.process.wait(mounting.STOP_LIMIT) == -number
    one.asked_to_die = True
    assert one._wait_gone(mounting.STOP_LIMIT)
    assert not mounting.is_mounted(one.path)


def test_mount_outlives_the_command(mount, server):
    one = mount(server, ["name=uid"], foreground=False)
    assert one.process.poll() == 0
    assert one.read("INBOX", "7.eml").endswith(b"body\r\n")
    one.stop()


def test_fusermount_ends_the_daemon(mount, server):
    one = mount(server)
    deadline = time.monotonic() + 20 * mounting.SLOW
    # Right after the mount, the helper for inotify has a look at it: busy.
    while run(["fusermount3", "-u", one.path], check=False).returncode != 0:
        assert time.monotonic() < deadline
    assert one.process.wait(mounting.STOP_LIMIT) == 0


def test_kc_9_dead_mount_is_healed(mount, server):
    one = mount(server, ["name=uid"], foreground=False)
    one.kill9()
    assert mounting.is_mounted(one.path)
    assert run(["ls", one.path], check=False).returncode != 0
    one.remount()
    assert one.read("INBOX", "7.eml").endswith(b"body\r\n")
    one.stop()
    assert not mounting.is_mounted(one.path)  # nothing lies below


def test_second_mount_of_an_account_is_refused(mount, server):
    one = mount(server)
    two = mount(server, home=one.home, start=False)
    two.path = os.path.join(one.home, "Mail2")
    os.mkdir(two.path)
    failure = two.fails()
    assert failure.code == 75
    assert "mounted already" in failure.stderr
    assert one.list() == ["INBOX"]


def test_umount_and_mount_at_once(mount, imap_server):
    """The daemon outlives umount(8) by what it has to say to the server; who mounts then waits for it."""
    user = "again%d" % os.getpid()  # no other test's mount counts as one of this account
    server = imap_server(users={user: "secret"})
    server.on("LOGOUT", reply(pause(0.7), "* BYE", "%t OK", FIN))
    one = mount(server, password=None, start=False, foreground=False)
    write_config(one, "[account work]\nsource = %s\ntls = none\npassword = secret\n"
                 % one.source.replace("demo@", user + "@"))
    one.source, one.options = "work", []
    one.start()
    # Right after the mount, the helper for inotify has a look at it: busy.
    wait_until(lambda: run(["fusermount3", "-u", one.path], check=False).returncode == 0)
    assert mailfs(one.binary, "work", one.path, env=one.env()).returncode == 0
    assert one.list() == ["INBOX"]
    one.stop()


def test_term_after_the_unmount_is_no_hurry(mount, server):
    """So does `systemctl stop` of a mount: umount, then TERM for whoever is left."""
    one = mount(server, ["name=uid"], arguments=["-v"])
    is_held, go_on = threading.Event(), threading.Event()

    def hold(connection, tag, _line):
        is_held.set()
        go_on.wait(20 * mounting.SLOW)
        connection.send(tag + b" NO not now\r\n")

    server.on("UID STORE", hold)
    os.setxattr(one.join("INBOX", "7.eml"), "user.mailfs.flags", b"+\\Flagged")
    assert is_held.wait(20 * mounting.SLOW)
    wait_until(lambda: run(["fusermount3", "-u", one.path], check=False).returncode == 0)
    wait_until(lambda: "unmounted" in one.stderr)
    one.asked_to_die = True
    one.process.send_signal(signal.SIGTERM)
    go_on.set()
    assert one.process.wait(mounting.STOP_LIMIT) == 0
    assert server.wait_for(lambda: server.count("LOGOUT") > 0)


def test_mount_over_a_mount_is_refused(mount, server):
    one = mount(server)
    two = mount(server, home=one.home, start=False)
    failure_code = mailfs(two.binary, two.source, two.path, "-o", ",".join(two.options + ["passfd=0"]),
                          stdin=b"secret\n", env=two.env())
    assert failure_code.returncode == 66
    assert "mailfs already" in failure_code.stderr


# Signals that do not end it.


def test_usr1_looks_for_new_mail(mount, server):
    one = mount(server, ["name=uid", "poll=0"])
    assert one.list("INBOX") == ["7.eml"]
    server.account["INBOX"].add(b"Subject: new\r\n\r\nnew\r\n", uid=8)
    os.kill(one.pid, signal.SIGUSR1)
    deadline = time.monotonic() + 10 * mounting.SLOW
    while one.list("INBOX") != ["7.eml", "8.eml"]:
        assert time.monotonic() < deadline, one.list("INBOX")
        time.sleep(0.05)


def test_hup_keeps_the_mount_and_takes_the_new_password(mount, server):
    one = mount(server, password=None, start=False)
    text = "[account work]\nsource = %s\ntls = none\npassword = %s\n"
    source = one.source
    write_config(one, text % (source, "secret"))
    one.source, one.options = "work", []
    one.start()
    server.users["demo"] = "changed"
    write_config(one, text % (source, "changed"))
    os.kill(one.pid, signal.SIGHUP)
    server.drop()
    assert server.wait_for(lambda: ("demo", "changed", True) in [login[:3] for login in server.logins])
    one.wait_status(lambda status: status["state"] == "online")
    assert [login for login in server.logins if not login[2]] == []


def test_hup_with_a_broken_file_changes_nothing(mount, server):
    one = mount(server, password=None, start=False)
    path = write_config(one, "[account work]\nsource = %s\ntls = none\npassword = secret\n" % one.source)
    one.source, one.options = "work", []
    one.start()
    with open(path, "a", encoding="utf-8") as file:
        file.write("nonsense\n")
    os.kill(one.pid, signal.SIGHUP)
    assert one.list() == ["INBOX"]
    one.stop()
    assert "nothing was changed" in one.stderr


def test_usr2_logs_more(mount, server):
    one = mount(server, ["poll=0"])
    quiet = one.stderr
    for _ in range(3):
        os.kill(one.pid, signal.SIGUSR2)
        time.sleep(0.05)
    os.kill(one.pid, signal.SIGUSR1)
    assert server.wait_for(lambda: server.count("LIST") > 1)
    one.stop()
    assert len(one.stderr) > len(quiet)
    assert "LIST" in one.stderr


# mailfsctl.


def test_ctl_status_finds_the_mounts(mount, server, ctl):
    one = mount(server)
    done = ctl("status", one.path)
    assert done.returncode == 0
    assert "state: online" in done.stdout
    done = ctl("status", "--json", one.path)
    assert json.loads(done.stdout)["state"] == "online"
    done = ctl("status")
    assert "mountpoint: " + one.path in done.stdout


def test_ctl_status_does_not_wait_for_a_mount_that_hangs(mount, server, ctl):
    one, two = mount(server), mount(server)
    os.kill(one.pid, signal.SIGSTOP)
    try:
        done = ctl("status", timeout=20 * mounting.SLOW)
        assert done.returncode == 75
        assert "%s/.mailfs/status: does not answer" % one.path in done.stderr
        assert "mountpoint: " + two.path in done.stdout
    finally:
        os.kill(one.pid, signal.SIGCONT)


def test_ctl_wants_a_mount(ctl, tmp_path):
    for verb in ("status", "refresh", "umount"):
        done = ctl(verb, str(tmp_path))
        assert done.returncode == 66
        assert "no mailfs is mounted there" in done.stderr
    assert ctl("nothing").returncode == 64
    assert ctl("umount").returncode == 64
    assert ctl("status", "--nothing").returncode == 64


@pytest.mark.parametrize("options", [[], ["ro"]])
def test_ctl_refresh(mount, server, ctl, options):
    one = mount(server, ["name=uid", "poll=0"] + options)
    assert one.list("INBOX") == ["7.eml"]
    server.account["INBOX"].add(b"Subject: new\r\n\r\nnew\r\n", uid=8)
    assert ctl("refresh", one.path, "INBOX").returncode == 0
    deadline = time.monotonic() + 10 * mounting.SLOW
    while one.list("INBOX") != ["7.eml", "8.eml"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_ctl_umount_waits_for_the_end(mount, server, ctl):
    one = mount(server, foreground=False)
    done = ctl("umount", one.path)
    assert done.returncode == 0, done.stderr
    assert not mounting.is_mounted(one.path)
    assert not one.is_running()
    one.asked_to_die = True


def test_ctl_umount_of_a_dead_mount(mount, server, ctl):
    one = mount(server, foreground=False)
    one.kill9()
    done = ctl("status", one.path)
    assert done.returncode == 69 and "not connected" in done.stderr
    assert ctl("umount", one.path).returncode == 0
    assert not mounting.is_mounted(one.path)


def test_ctl_list(mount, ctl):
    one = mount("work", start=False)
    write_config(one, "[account work]\nsource = imaps://a@h\n[account home]\nsource = imap://b@h\n")
    done = ctl("list", mount=one)
    assert done.returncode == 0
    assert done.stdout == "work\timaps://a@h\nhome\timap://b@h\n"


def test_ctl_cache_tells_sizes_and_clears(mount, server, ctl):
    one = mount(server, ["name=uid"])
    body = one.read("INBOX", "7.eml")
    path = os.path.join(one.home, "cache", "mailfs")
    name = os.listdir(path)[0]

    def cached():
        done = ctl("cache", "--json", name, mount=one)
        assert done.returncode == 0, done.stderr
        rows = {row["folder"]: row for row in json.loads(done.stdout)["folders"]}
        return rows["INBOX"]

    wait_until(lambda: one.status()["cache-messages"] == 1, what="the write")
    assert cached() == {"folder": "INBOX", "bytes": len(body), "messages": 1, "cached": 1, "pinned": 0}
    done = ctl("cache", "--clear", name, mount=one)
    assert done.returncode == 0, done.stderr
    assert one.status()["cache-messages"] == one.status()["cache-bytes"] == 0
    assert cached() == {"folder": "INBOX", "bytes": 0, "messages": 1, "cached": 0, "pinned": 0}
    assert ctl("prefetch", one.path).returncode == 0
    assert one.status()["bodies-fetched"] == 2
    assert one.read("INBOX", "7.eml") == body
    one.stop()
    assert cached() == {"folder": "INBOX", "bytes": len(body), "messages": 1, "cached": 1, "pinned": 0}
    done = ctl("cache", name, mount=one)
    assert re.search(r"^ +%d bytes +1 of 1 +INBOX$" % len(body), done.stdout, re.M), done.stdout
    mine = os.path.join(path, name, "mine")
    with open(mine, "w", encoding="utf-8"):
        pass
    assert ctl("cache", "--clear", name, mount=one).returncode == 0
    assert os.listdir(os.path.join(path, name)) == ["mine"]
    os.unlink(mine)
    one.start()
    assert one.read("INBOX", "7.eml") == body
    one.stop()
    assert ctl("cache", "--clear", name, mount=one).returncode == 0
    assert os.listdir(path) == []


@pytest.mark.parametrize("option", ["rw", "ro"])
def test_ctl_prefetch_goes_on_where_it_was(mount, imap_server, ctl, option):
    server = imap_server()
    for uid in range(1, 41):
        server.account["INBOX"].add(b"Subject: x\r\n\r\n%d\r\n" % uid, uid=uid)
    server.account.add("Other").add(b"Subject: y\r\n\r\ny\r\n", uid=1)
    one = mount(server, ["name=uid", option])
    one.read("INBOX", "7.eml")
    done = ctl("prefetch", one.path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("41 of 41 messages are in the cache, ") and done.stderr == ""
    assert one.status()["reads-from-cache"] <= 1
    done = ctl("prefetch", one.path, "INBOX", "Other")
    assert done.returncode == 0 and re.search(r" are in the cache, 0\sbytes fetched$", done.stdout)
    assert one.status()["bodies-fetched"] == 41
    one.options.append("delay_connect")
    one.stop()
    server.refuse()
    server.drop()
    one.start()
    assert one.read("Other", "1.eml") == b"Subject: y\r\n\r\ny\r\n"
    assert one.read("INBOX", "40.eml") == b"Subject: x\r\n\r\n40\r\n"


def test_ctl_prefetch_offline_says_so(mount, server, ctl):
    one = mount(server, ["name=uid"])
    assert one.list("INBOX") == ["7.eml"]
    assert ctl("offline", one.path).returncode == 0
    done = ctl("prefetch", one.path)
    assert done.returncode == 75
    assert "0 of 1 messages" in done.stdout and "offline, until 'mailfsctl online'" in done.stderr
    assert ctl("prefetch", one.path, "Nowhere").returncode == 66
    assert ctl("prefetch").returncode == 64
    assert ctl("online", one.path).returncode == 0
    done = ctl("prefetch", one.path)
    assert (done.returncode, done.stdout[:6]) == (0, "1 of 1"), done.stderr


def test_ctl_prefetch_shows_progress_on_a_terminal_and_need_not_be_waited_for(mount, server, ctl, tmp_path):
    one = mount(server, ["name=uid"])
    for uid in range(8, 50):
        server.account["INBOX"].add(b"Subject: x\r\n\r\n" + b"x" * 50000, uid=uid)
    assert ctl("refresh", one.path).returncode == 0
    go_on = threading.Event()
    server.on("UID FETCH", lambda c, tag, line: (go_on.wait(), c.default()), match=r"BODY\.PEEK\[\]")
    link = tmp_path / "mailfsctl"  # made by ctl
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(link, [str(link), "prefetch", one.path], dict(one.env(), TERM="xterm"))
    text = b""
    try:
        while b" left" not in text:
            text += os.read(terminal, 1000)
        os.kill(pid, signal.SIGINT)
        while b"it goes on in the background" not in text:
            text += os.read(terminal, 1000)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 75
    finally:
        go_on.set()
        os.close(terminal)
    assert re.search(rb"\[[#-]+\] \d+/43 .* left", text), text
    wait_until(lambda: one.status()["prefetch"] == "done", what="the end")
    assert one.status()["bodies-fetched"] == 43


def test_ctl_cache_of_nobody(mount, ctl):
    one = mount("work", start=False)
    for words in (["cache", "nobody"], ["cache", "--clear", "nobody"]):
        done = ctl(*words, mount=one)
        assert done.returncode == 66 and "there is no cache" in done.stderr
    assert os.listdir(os.path.join(one.home, "cache")) == []
    for words in (["cache"], ["cache", "../x"], ["cache", "--clear", "--json", "x"]):
        assert ctl(*words, mount=one).returncode == 64


def test_ctl_check_tells_what_the_server_can_do(mount, dovecot, ctl):
    one = mount(dovecot, start=False)
    done = ctl("check", "-o", ",".join(one.options + ["passfd=0"]), one.source, stdin=b"secret\n")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^tls:\s+TLSv1\.[23] ", done.stdout, re.M)
    assert re.search(r"^software:\s+Dovecot", done.stdout, re.M)
    assert re.search(r"^login:\s+SCRAM", done.stdout, re.M)
    assert re.search(r"^folder:\s+INBOX \(\d+ messages", done.stdout, re.M)
    assert re.search(r"^falls back:\s+no COMPRESS=DEFLATE", done.stdout, re.M)


def test_ctl_check_has_the_exit_codes_of_mailfs(mount, imap_server, ctl):
    server = imap_server(tls="implicit")
    one = mount(server, start=False)
    options = ",".join(one.options + ["passfd=0"])
    done = ctl("check", "-o", options, one.source, stdin=b"wrong\n")
    assert done.returncode == 77
    assert ctl("check", "-o", options, "imaps://a@no-such-host.invalid", stdin=b"x\n").returncode == 68
    assert ctl("check").returncode == 64


# As a helper of mount(8).


@pytest.mark.parametrize("name", ["mount.mailfs", "mount.fuse.mailfs"])
def test_mount_helper(mount, server, mailfs_binary, tmp_path, name):
    one = mount(server, start=False, foreground=False)
    write_config(one, "[account work]\nsource = %s\ntls = none\npassword = secret\n" % one.source)
    env = dict(one.env(), HOME="")  # as systemd does
    done = mailfs(mailfs_binary, "work", one.path, "-n", "-s", "-o",
                  "rw,noauto,user,_netdev,nofail,x-systemd.automount,dev,suid,name=uid,future=1",
                  name=name, tmp=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert mounting.is_mounted(one.path)
    assert one.list("INBOX") == ["7.eml"]
    one.process = None
    one.stop()


def test_mount_helper_has_the_exit_codes_of_mount(mount, server, mailfs_binary, tmp_path):
    one = mount(server, start=False)
    helper = {"name": "mount.mailfs", "tmp": tmp_path, "env": one.env()}
    done = mailfs(mailfs_binary, one.source, one.path, "-o", "rw,future=1", **helper)
    assert done.returncode == 1 and "future" in done.stderr
    done = mailfs(mailfs_binary, "work", one.path, "-o", "rw", **helper)
    assert done.returncode == 32
    done = mailfs(mailfs_binary, one.source, one.path, "-o", "rw,tls=none,passfd=0", stdin=b"wrong\n",
                  **helper)
    assert done.returncode == 32


def test_no_file_is_left_open_by_the_caller(mount, server):
    one = mount(server, foreground=False)
    names = [os.readlink(path) for path in glob.glob("/proc/%d/fd/*" % one.pid)]
    assert not [name for name in names if name.startswith(one.path)]
