# SPDX-License-Identifier: MIT
"""New messages, on a real Dovecot: what programs send when they write a file ends as exactly one
message with the final bytes (WR-1)."""

import errno
import os
import pty
import shutil
import signal
import threading
import time

import pytest

import mailgen
from mounting import run
from tools import SLOW, files, mail, probe, raises, refresh, truth, wait_until

CAPS = {"all": {}, "plain": {"capability": "IMAP4rev1"}}


def crlf(data):
    data = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return data if data.endswith(b"\r\n") else data + b"\r\n"


def message(*what):
    return mail(*what).rstrip(b"\r\n") + b"\r\n"


def source(tmp_path, data, name="source.eml"):
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)


def shell(script, *arguments, timeout=30, check=True):
    return run(["bash", "-c", script, "bash", *arguments], timeout, check=check)


def state_of(path):
    return os.getxattr(path, "user.mailfs.state").decode()


def stored(server, folder):
    """The messages of a folder as a sorted list of bytes."""
    return sorted(truth(server, folder).values())


def settle(mount, timeout=30):
    """Nothing waits to be sent any more."""
    wait_until(lambda: not mount.read(".mailfs", "pending"), timeout, "an empty journal")


def expect(server, mount, folder, wanted):
    wait_until(lambda: stored(server, folder) == sorted(wanted), 20,
               "the right messages in %s: %r" % (folder, [len(one) for one in stored(server, folder)]))
    settle(mount)
    assert stored(server, folder) == sorted(wanted)


@pytest.fixture
def world(mount, make_dovecot):
    """(server, mount) with an empty INBOX and a few folders."""
    server = make_dovecot({"INBOX": [], "Archive": [], "Trash": []})
    return server, mount(server)


# Programs that write a file: name → script with $1 the source and $2 the target.

PROGRAMS = {
    "cp": 'cp "$1" "$2"',
    "cp -p": 'cp -p "$1" "$2"',
    "cat": 'cat "$1" > "$2"',
    "three children": '(head -n 5 "$1"; /bin/cat /dev/null; tail -n +6 "$1") > "$2"',
    "background writer": '{ head -n 3 "$1"; sleep 0.3; tail -n +4 "$1"; } > "$2" & wait',
    "dd": 'dd if="$1" of="$2" bs=1000 conv=fsync status=none',
    "mv": 'cp "$1" "$1.moved" && mv "$1.moved" "$2"',
    "rsync": 'rsync -a "$1" "$2"',
    "rsync --inplace": 'rsync -a --inplace "$1" "$2"',
    "tar": 'd=$(dirname "$1"); cp "$1" "$d/$(basename "$2")" && tar -C "$d" -cf - "$(basename "$2")"'
           ' | tar -C "$(dirname "$2")" -xf - --no-same-owner',
    "install": 'install -m 600 "$1" "$2"',
    "tee": 'tee "$2" < "$1" > /dev/null',
    "python": 'python3 -c "import shutil,sys; shutil.copyfile(sys.argv[1], sys.argv[2])" "$1" "$2"',
}


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_wr1_a_program_that_writes_makes_one_message(mount, make_dovecot, tmp_path, program):
    server = make_dovecot({"INBOX": [], "Trash": []})
    m = mount(server)
    data = message("written by " + program, 9000)
    shell(PROGRAMS[program], source(tmp_path, data), m.join("INBOX", "new.eml"))
    assert m.read("INBOX", "new.eml") == data  # at once
    expect(server, m, "INBOX", [data])
    assert m.list("INBOX") == ["new.eml"]
    assert m.read("INBOX", "new.eml") == data
    uid = server.uids("INBOX")[0]
    assert m.read("INBOX", "%d.eml" % uid) == data
    assert state_of(m.join("INBOX", "new.eml")) == "server"


def test_wr1_sed_in_place_replaces_the_message(world, tmp_path):
    server, m = world
    shell('cp "$1" "$2"', source(tmp_path, message("before", 3000)), m.join("INBOX", "note.eml"))
    expect(server, m, "INBOX", [message("before", 3000)])
    run(["sed", "-i", "s/budget/surplus/g", m.join("INBOX", "note.eml")])
    wanted = message("before", 3000).replace(b"budget", b"surplus")
    expect(server, m, "INBOX", [wanted])
    assert m.read("INBOX", "note.eml") == wanted
    assert m.list("INBOX") == ["note.eml"]


def test_wr1_vim_saves_one_message(world, tmp_path):
    if not os.path.exists("/usr/bin/vim.basic") and run(["which", "vim"], check=False).returncode:
        server, m = world
        pytest.skip("no vim")  # tests/fake/install brings it
    server, m = world
    data = message("edited").replace(b"\r\n", b"\n")
    shell('cp "$1" "$2"', source(tmp_path, data), m.join("INBOX", "draft.eml"))
    run(["vim", "-es", "-u", "NONE", "-c", "set ff=unix", "-c", "%s/budget/surplus/g", "-c", "wq",
         m.join("INBOX", "draft.eml")], check=False)
    expect(server, m, "INBOX", [crlf(data.replace(b"budget", b"surplus"))])


def test_wr1_temporary_and_empty_files_stay_here(world):
    server, m = world
    for name in (".hidden", "x~", "x.swp", "x.tmp"):
        shell('printf "Subject: x\\n\\nbody\\n" > "$1"', m.join("INBOX", name))
    shell(': > "$1"', m.join("INBOX", "empty.eml"))
    time.sleep(3 * SLOW)
    assert server.uids("INBOX") == []
    assert set(m.list("INBOX")) == {".hidden", "x~", "x.swp", "x.tmp", "empty.eml"}
    os.rename(m.join("INBOX", ".hidden"), m.join("INBOX", "shown.eml"))
    expect_count(server, "INBOX", 1)


def expect_count(server, folder, count):
    wait_until(lambda: len(server.uids(folder)) == count, 20, "%d messages" % count)


def test_wr1_what_is_removed_at_once_is_never_sent(world, tmp_path):
    server, m = world
    server.rawlog()
    shell('cp "$1" "$2" && rm "$2"', source(tmp_path, message("gone")), m.join("INBOX", "a.eml"))
    time.sleep(3 * SLOW)
    assert server.uids("INBOX") == [] and m.list("INBOX") == []


def test_wr2_line_ends_become_crlf(world, tmp_path):
    server, m = world
    data = b"Subject: unix\n\nno final line end"
    shell('cp "$1" "$2"', source(tmp_path, data), m.join("INBOX", "u.eml"))
    expect(server, m, "INBOX", [crlf(data)])
    wait_until(lambda: m.read("INBOX", "u.eml") == crlf(data))


def test_wr2_nul_is_refused_and_the_file_stays(world, tmp_path):
    server, m = world
    path = m.join("INBOX", "nul.eml")
    done = shell('cp "$1" "$2"', source(tmp_path, b"Subject: x\r\n\r\na\0b\r\n"), path, check=False)
    if done.returncode == 0:
        wait_until(lambda: state_of(path).startswith("failed"))
    time.sleep(2.5 * SLOW)
    assert server.uids("INBOX") == []


def test_mtime_becomes_internaldate_and_flags_go_along(world, tmp_path):
    server, m = world
    path = source(tmp_path, message("dated"))
    os.utime(path, (1000000000, 1000000000))
    run(["cp", "-p", path, m.join("INBOX", "dated.eml")])
    os.setxattr(m.join("INBOX", "dated.eml"), "user.mailfs.flags", b"+\\Flagged +work")
    expect(server, m, "INBOX", [message("dated")])
    assert list(server.flags("INBOX").values()) == [frozenset({"\\Flagged", "work"})]
    assert os.stat(m.join("INBOX", "dated.eml")).st_mtime == 1000000000


def test_fsync_brings_the_verdict_of_the_server(mount, make_dovecot):
    server = make_dovecot({"INBOX": []})
    m = mount(server)
    data = message("synced")
    fd = os.open(m.join("INBOX", "s.eml"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(fd, data)
    os.fsync(fd)
    assert stored(server, "INBOX") == [data]
    os.close(fd)
    settle(m)
    assert stored(server, "INBOX") == [data]


def test_over_quota_is_edquot_and_nothing_is_lost(mount, make_dovecot, tmp_path):
    server = make_dovecot({"INBOX": []}, extra="""
mail_plugins = quota
plugin {
  quota = maildir:User quota
  quota_rule = *:storage=20K
}
protocol imap {
  mail_plugins = quota imap_quota
}
""")
    m = mount(server)
    data = message("too much", 60000)
    path = m.join("INBOX", "big.eml")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(fd, data)
    raises(errno.EDQUOT, os.fsync, fd)
    raises(errno.EDQUOT, os.close, fd)  # mv and cp look at this one
    wait_until(lambda: state_of(path).startswith("failed"))
    assert m.read("INBOX", "big.eml") == data
    assert server.uids("INBOX") == []
    assert "quota" in m.read(".mailfs", "pending").decode().lower()


def test_a_spooled_message_survives_kill_9(world, tmp_path):
    server, m = world
    data = message("survivor", 5000)
    shell('cp "$1" "$2"', source(tmp_path, data), m.join("INBOX", "s.eml"))
    m.kill9()
    assert server.uids("INBOX") == []
    m.remount()
    expect(server, m, "INBOX", [data])
    assert m.read("INBOX", "s.eml") == data


def test_a_spooled_message_waits_for_the_server(mount, make_dovecot, tmp_path):
    server = make_dovecot({"INBOX": []})
    m = mount(server)
    m.list("INBOX")
    server.halt()
    m.wait_status(lambda status: status["state"] != "online")
    data = message("offline", 5000)
    shell('cp "$1" "$2"', source(tmp_path, data), m.join("INBOX", "s.eml"))
    assert m.read("INBOX", "s.eml") == data
    server.restart()
    refresh(m, check=False)
    expect(server, m, "INBOX", [data])


def test_the_last_seconds_are_flushed_at_sigterm(world, tmp_path):
    server, m = world
    data = message("last words")
    shell('cp "$1" "$2"', source(tmp_path, data), m.join("INBOX", "s.eml"))
    m.stop()
    if not server.uids("INBOX"):  # a loaded machine: then it must still be here
        m.start()
    wait_until(lambda: stored(server, "INBOX") == [data], 20)


def test_the_given_name_stays_over_remounts(world, tmp_path):
    server, m = world
    shell('cp "$1" "$2"', source(tmp_path, message("named")), m.join("INBOX", "my own name.txt"))
    expect(server, m, "INBOX", [message("named")])
    m.stop()
    m.start()
    assert m.list("INBOX") == ["my own name.txt"]
    m.stop()
    m.clear_cache()
    m.start()
    assert m.list("INBOX") == ["my own name.txt"]
    os.rename(m.join("INBOX", "my own name.txt"), m.join("INBOX", "other"))
    m.stop()
    m.start()
    assert m.list("INBOX") == ["other"]
    assert stored(server, "INBOX") == [message("named")]


def test_wr9_messages_are_never_opened_for_writing(mount, make_dovecot):
    server = make_dovecot({"INBOX": [mailgen.Mail(message("fixed"), (), 1700000000)]})
    m = mount(server)
    path = list(files(m, "INBOX").values())[0]
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_TRUNC):
        raises(errno.EPERM, os.open, path, flags)
    raises(errno.EPERM, os.truncate, path, 1)
    raises(errno.EPERM, os.link, path, m.join("INBOX", "link"))
    raises(errno.EPERM, os.symlink, path, m.join("INBOX", "link"))
    raises(errno.EPERM, os.mkfifo, m.join("INBOX", "fifo"))
    reasons = m.status()["reasons"]
    assert sum("a message never changes" in reason for reason in reasons) == 1, "one for a string of them"
    assert sum("messages and folders, nothing else" in reason for reason in reasons) == 1
    assert probe(path) == (0, message("fixed"))


@pytest.mark.parametrize("caps", sorted(CAPS))
def test_two_hundred_files_become_two_hundred_messages(mount, make_dovecot, tmp_path, caps):
    server = make_dovecot({"INBOX": []}, **CAPS[caps])
    m = mount(server)
    wanted = [message("number %d" % at, 500 + at) for at in range(200)]
    for at, data in enumerate(wanted):
        source(tmp_path, data, "%d.eml" % at)
    run(["cp", "-r", str(tmp_path) + "/.", m.join("INBOX")], 60)
    # One that becomes a message meanwhile may be listed as both.
    assert len(set(m.list("INBOX"))) == 200
    wait_until(lambda: len(server.uids("INBOX")) == 200, 60, "200 messages")
    expect(server, m, "INBOX", wanted)
    assert m.list("INBOX") == sorted("%d.eml" % at for at in range(200))


def test_read_only_mounts_refuse_everything(mount, make_dovecot, tmp_path):
    server = make_dovecot({"INBOX": [mailgen.Mail(message("ro"), (), 1700000000)], "Trash": []})
    server.rawlog()
    m = mount(server, ["ro"])
    path = list(files(m, "INBOX").values())[0]
    refusals = [
        (os.open, m.join("INBOX", "new"), os.O_WRONLY | os.O_CREAT), (os.unlink, path),
        (os.rename, path, m.join("INBOX", "x")), (os.mkdir, m.join("x")),
        (os.rmdir, m.join("INBOX")), (os.chmod, path, 0o700), (os.utime, path),
        (os.setxattr, path, "user.mailfs.seen", b"1"), (os.truncate, path, 0),
    ]
    for call, *arguments in refusals:
        raises(errno.EROFS, call, *arguments)
    m.read("INBOX", os.path.basename(path))
    m.stop()
    sent = b"".join(server.commands())
    assert b"EXAMINE" in sent
    for word in (b" SELECT ", b" STORE ", b"APPEND", b"EXPUNGE", b" COPY ", b" MOVE ", b"CREATE",
                 b"DELETE", b"RENAME", b"SUBSCRIBE "):
        assert word not in sent.upper().replace(b"LIST (SUBSCRIBED", b""), word


def drain(terminal):
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        pass


@pytest.mark.may_skip
@pytest.mark.skipif(not shutil.which("mutt"), reason="no mutt")
@pytest.mark.deadline(90)
@pytest.mark.parametrize("keys, options", [
    ("<pipe-message>cat > %s<enter><enter>", []),
    # mutt_dotlock is setgid: without allow_other the kernel keeps it out, and mutt writes nothing.
    ("<copy-message>%s<enter>y", ["allow_other", "default_permissions", "uid=%d" % os.getuid()]),
])
def test_mutt_saves_one_message(mount, make_dovecot, tmp_path, keys, options):
    server = make_dovecot({"INBOX": [], "Archive": []})
    m = mount(server, options)
    box = tmp_path / "box"
    box.write_bytes(b"From a@b Thu Jan  1 00:00:00 2026\nFrom: a@b\nTo: c@d\nSubject: hello\n"
                    b"Message-ID: <1@x>\n\nbody one\n\n")
    settings = ["folder=%s" % tmp_path, "spoolfile=%s" % box, "tmpdir=%s" % tmp_path, 'header_cache=""',
                "mbox_type=mbox", "confirmcreate=no", "confirmappend=no", "copy=no", "wait_key=no", "quit=yes"]
    (tmp_path / "rc").write_text("".join("set %s\n" % one for one in settings)
                                 + "push '%s<quit>'\n" % (keys % m.join("Archive", "saved.eml")))
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm", HOME=str(tmp_path))
        os.execvp("mutt", ["mutt", "-n", "-F", str(tmp_path / "rc"), "-f", str(box)])
    threading.Thread(target=drain, args=(terminal,), daemon=True).start()
    try:
        wait_until(lambda: os.waitpid(pid, os.WNOHANG)[0] != 0, 30, "the end of mutt")
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    wait_until(lambda: len(server.uids("Archive")) == 1, 30, "the upload")
    settle(m)
    (body,) = truth(server, "Archive").values()
    assert not body.startswith(b"From ") and b"Subject: hello\r\n" in body
    assert body.rstrip(b"\r\n").endswith(b"\r\n\r\nbody one")
    assert m.read("Archive", "saved.eml") == body
