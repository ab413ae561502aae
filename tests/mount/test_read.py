# SPDX-License-Identifier: MIT
"""A mailbox read as a disk, on a real Dovecot: what is promised to whoever only looks."""

import errno
import json
import os
import re
import stat
import time
import unicodedata

import pytest

import mailgen
from mounting import run
from tools import (SLOW, TOOLS, TREE_TOOLS, all_flags, errno_of, files, files_of, probe,
                   raises, raw_getxattr, raw_listxattr, refresh, stat_lines, sums, true_sums,
                   truth, uid_of, wait_until, mail)

FORBIDDEN = set(' /\\:*?"<>|\'`$&;()[]{}!#~^\x7f') | {chr(code) for code in range(32)}
BIDI = {"RLE", "LRE", "RLO", "LRO", "PDF", "RLI", "LRI", "FSI", "PDI"}
SUBJECT = "user.xdg.origin.email.subject"


def parents_of(folders):
    """Every directory that the tree must have."""
    found = set()
    for folder in folders:
        parts = folder.split("/")
        found |= {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return found


def open_read(path):
    with open(path, "rb") as file:
        return file.read()


# The tree.


@pytest.mark.smoke
def test_tree_has_the_folders_and_messages_of_the_server(mount, dovecot):
    m = mount(dovecot)
    out = run(["find", m.path, "-mindepth", "1", "-type", "d", "-printf", "%P\\0"]).stdout
    assert set(out.decode().split("\0")[:-1]) == parents_of(dovecot.mails)
    listed = {}
    for path in files_of(m.path):
        folder, name = os.path.split(path)
        listed.setdefault(folder, []).append(uid_of(name))
    assert {folder: sorted(uids) for folder, uids in listed.items()} \
        == {folder: dovecot.uids(folder) for folder in dovecot.mails}


def test_names_are_human_by_default(mount, dovecot):
    m = mount(dovecot)
    for folder, mails in dovecot.mails.items():
        for name in m.list(folder):
            if not name.endswith(".eml"):
                continue
            uid = uid_of(name)
            when = time.strftime("%Y-%m-%d_%H%M_", time.gmtime(mails[uid - 1].date))
            assert name.startswith(when) and name.endswith(".%d.eml" % uid)
            assert len(name.encode()) <= 143
            assert not FORBIDDEN & set(name), name
            assert not any(unicodedata.bidirectional(char) in BIDI
                           or unicodedata.category(char) in ("Cc", "Cf") for char in name), name
            assert name == unicodedata.normalize("NFC", name)
            assert name[0] not in ".-"


def test_human_name_holds_sender_and_subject(mount, make_dovecot):
    raw = mail("=?utf-8?Q?Re:_B=C3=BCdget_Q1?=", sender='"Lee, Ann" <ann@example.org>')
    m = mount(make_dovecot({"INBOX": [mailgen.Mail(raw, (), 1704205800)]}))
    assert m.list("INBOX") == ["2024-01-02_1430_Lee-Ann_Re-Büdget-Q1.1.eml"]


def test_name_uid_lists_bare_uids(mount, dovecot):
    m = mount(dovecot, ["name=uid"])
    assert m.list("INBOX") == sorted("%d.eml" % uid for uid in dovecot.uids("INBOX"))


@pytest.mark.smoke
def test_bare_uid_resolves_but_is_not_listed(mount, dovecot):
    m = mount(dovecot)
    assert os.path.exists(m.join("INBOX", "3.eml"))  # before anything was listed
    names = m.list("INBOX")
    assert "3.eml" not in names
    path = files(m, "INBOX")[3]
    assert os.stat(path).st_ino == os.stat(m.join("INBOX", "3.eml")).st_ino
    assert m.read("INBOX", "3.eml") == dovecot.fetch("INBOX", 3)
    for missing in ("99999.eml", "03.eml", "3.EML", "3", "-3.eml", "0.eml", "4294967299.eml"):
        assert not os.path.exists(m.join("INBOX", missing)), missing
    assert not os.path.exists(path.replace("_", "-", 1))


def test_control_directory_is_hidden_but_can_be_entered(mount, dovecot):
    m = mount(dovecot)
    assert ".mailfs" not in os.listdir(m.path)
    assert stat.S_IMODE(os.stat(m.join(".mailfs")).st_mode) == 0o700
    assert {"status", "status.json", "ctl"} <= set(os.listdir(m.join(".mailfs")))
    assert not os.path.exists(m.join("INBOX", ".mailfs"))
    raises(errno.ENOENT, os.stat, m.join(".mailfs", "nothing"))


def test_status_in_text_and_json_agree(mount, dovecot):
    m = mount(dovecot)
    m.list("INBOX")
    status = m.status()
    for key in ("account", "server", "state", "tls", "auth", "connections", "folders", "sizes",
                "cache-bytes", "cache-max", "bodies-fetched", "reads-from-cache", "view", "pid",
                "version", "mountpoint", "reasons"):
        assert key in status, key
    assert status["state"] == "online"
    assert status["folders"] == len(parents_of(dovecot.mails))
    assert status["pid"] == m.pid
    assert status["view"] == "human"
    text = dict(line.split(": ", 1) for line in m.read(".mailfs", "status").decode().splitlines())
    same = ("account", "server", "state", "folders", "pid", "mountpoint", "sizes")
    assert [text[key] for key in same] == [str(status[key]) for key in same]
    assert "secret" not in json.dumps(status)


def test_control_file_refuses_what_it_does_not_know(mount, dovecot):
    m = mount(dovecot)

    def say(text):
        with open(m.join(".mailfs", "ctl"), "wb", buffering=0) as file:
            file.write(text)

    raises(errno.EINVAL, say, b"dance\n")
    raises(errno.ENOENT, say, b"refresh No/Such/Folder\n")
    raises(errno.EINVAL, say, b"refresh a\0b\n")
    raises(errno.EINVAL, say, b"x" * 5000)
    say(b"refresh INBOX\n")
    say(b"refresh\n")


def test_source_and_type_in_the_mount_table(mount, dovecot):
    m = mount(dovecot)
    out = run(["findmnt", "-n", "-o", "FSTYPE,SOURCE,OPTIONS", m.path]).stdout.decode().split()
    assert out[:2] == ["fuse.mailfs", "demo@localhost:"]
    assert {"nosuid", "nodev", "noexec"} <= set(out[2].split(","))


def test_folder_in_the_url_is_the_root(mount, dovecot):
    m = mount(dovecot, folder="Archive")
    assert m.list() == ["2022", "2023", "2024"]
    assert m.read("2023", "1.eml") == dovecot.fetch("Archive/2023", 1)
    assert os.path.exists(m.join(".mailfs", "status"))


# Bytes.


@pytest.mark.parametrize("tool", sorted(TREE_TOOLS))
def test_tree_is_exact_on_a_cold_mount(mount, dovecot, tmp_path, tool):
    m = mount(dovecot)
    folders = ("INBOX", "日本語", "Work/Projekte/Größe")
    for folder in folders:
        scratch = tmp_path / folder.replace("/", "_")
        scratch.mkdir()
        tree = TREE_TOOLS[tool](m.join(folder), scratch)
        assert sums({folder + "/" + name: data for name, data in tree.items()}) \
            == true_sums(dovecot, [folder])
    assert m.status()["sizes"] == "trusted"


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_first_reads_of_an_unproven_account_are_exact(mount, dovecot, tmp_path, tool):
    m = mount(dovecot, ["name=uid"])
    expected = truth(dovecot, "Sent")
    for uid in sorted(expected)[:8]:
        assert TOOLS[tool](m.join("Sent", "%d.eml" % uid), tmp_path) == (0, expected[uid])
    assert m.status()["sizes"] == "unproven"


def test_every_way_to_read_is_exact_on_a_trusted_account(mount, dovecot, tmp_path):
    m = mount(dovecot, ["name=uid"])
    for uid in range(1, 36):
        m.read("INBOX", "%d.eml" % uid)
    assert m.status()["sizes"] == "trusted"
    expected = truth(dovecot, "Archive/2023")
    uids = sorted(expected)
    for at, tool in enumerate(sorted(TOOLS)):
        for uid in uids[at :: len(TOOLS)]:
            path = m.join("Archive/2023", "%d.eml" % uid)
            assert TOOLS[tool](path, tmp_path) == (0, expected[uid]), tool


@pytest.mark.smoke
def test_size_is_the_number_of_bytes_read(mount, dovecot):
    m = mount(dovecot)
    for path in files(m, "Archive/2024").values():
        assert os.stat(path).st_size == len(open_read(path))
        assert os.stat(path).st_blocks == (os.stat(path).st_size + 511) // 512


@pytest.mark.parametrize("size", [1, 7, 4095, 65537, 10_000_000])
def test_read_in_odd_sizes(mount, dovecot, size):
    m = mount(dovecot)
    choose = min if size == 1 else max
    uid, raw = choose(truth(dovecot, "Sent").items(), key=lambda one: len(one[1]))
    assert probe(m.join("Sent", "%d.eml" % uid), size) == (0, raw)


def test_read_at_every_kind_of_offset(mount, dovecot):
    m = mount(dovecot)
    raw = dovecot.fetch("INBOX", 5)
    fd = os.open(m.join("INBOX", "5.eml"), os.O_RDONLY)
    try:
        for offset in (0, 1, 4095, 4096, len(raw) - 1, len(raw), len(raw) + 1, 1 << 40):
            for size in (1, 10, 4096, 100000):
                assert os.pread(fd, size, offset) == raw[offset : offset + size]
        assert os.lseek(fd, 0, os.SEEK_END) == len(raw)
    finally:
        os.close(fd)


def test_grep_finds_what_is_in_the_mail(mount, dovecot):
    m = mount(dovecot)
    word = "remains"
    out = run(["grep", "-rlZF", word, "INBOX", "Lists"], 60, cwd=m.path).stdout
    found = {(os.path.dirname(path), uid_of(path)) for path in out.decode().split("\0")[:-1]}
    expected = {(folder, uid) for folder in ("INBOX", "Lists", "Lists/mailfs-devel")
                for uid, raw in truth(dovecot, folder).items() if word.encode() in raw}
    assert found == expected and expected


def test_large_message_is_read_in_parts(mount, make_dovecot):
    raw = mail("large", 6_000_000)
    filler = [mailgen.Mail(mail("filler %d" % at)) for at in range(34)]
    server = make_dovecot({"INBOX": [mailgen.Mail(raw)] + filler})
    m = mount(server, ["name=uid"])
    for uid in range(2, 36):
        m.read("INBOX", "%d.eml" % uid)
    before = m.status()["body-bytes-fetched"]
    assert run(["head", "-c", "1000", m.join("INBOX", "1.eml")]).stdout == raw[:1000]
    assert m.status()["body-bytes-fetched"] - before < 300_000
    fd = os.open(m.join("INBOX", "1.eml"), os.O_RDONLY)
    assert os.pread(fd, 5000, 4_000_000) == raw[4_000_000:4_005_000]
    os.close(fd)
    assert m.read("INBOX", "1.eml", timeout=40) == raw
    assert os.stat(m.join("INBOX", "1.eml")).st_size == len(raw)


@pytest.mark.parametrize("option", ["rw", "ro", "seen=read"])
def test_a_walk_finds_what_was_fetched_ahead_of_it(mount, make_dovecot, option):
    """What comes ahead goes to the page cache: the bytes are right, and who reads is seen."""
    count = 400
    server = make_dovecot({"INBOX": [mailgen.Mail(mail("number %d" % at, 9000)) for at in range(count)]})
    m = mount(server, ["name=uid", option])
    for at in range(40, 0, -1):  # earns trust, against the walk
        m.read("INBOX", "%d.eml" % at)
    expected = truth(server, "INBOX")
    order = sorted(expected)
    assert {uid: m.read("INBOX", "%d.eml" % uid) for uid in order} == expected
    status = m.status()
    assert status["bodies-fetched"] == count
    assert status["prefetched"] > count / 4
    # Where nothing is opened, only a later read tells that the last ones were used.
    assert status["prefetched"] - status["prefetched-used"] <= (64 if option == "ro" else 0)
    m.stop()
    flags = all_flags(server, ["INBOX"])["INBOX"]
    assert all(("\\Seen" in flags[uid]) == (option == "seen=read") for uid in order)
    if option == "rw":
        m.remount()
        assert {uid: m.read("INBOX", "%d.eml" % uid) for uid in order} == expected


def test_FL_4_reading_changes_no_flag(mount, dovecot):
    before = all_flags(dovecot, dovecot.mails)
    assert any("\\Seen" not in flags for flags in before["INBOX"].values())
    m = mount(dovecot)
    run(["grep", "-r", "--", "x", m.path], 60)
    run(["tar", "-cf", "/dev/null", "-C", m.path, "INBOX"], 60)
    run(["sh", "-c", 'find "$1" -type f -exec file -- {} + >/dev/null 2>&1 || true', "sh", m.join("INBOX")])
    m.stop()
    assert all_flags(dovecot, dovecot.mails) == before


# Attributes.


@pytest.mark.smoke
def test_times_modes_and_owner(mount, dovecot):
    m = mount(dovecot)
    flags = dovecot.flags("INBOX")
    for uid, path in files(m, "INBOX").items():
        said = os.stat(path)
        date = dovecot.mails["INBOX"][uid - 1].date
        assert said.st_mtime == date
        assert said.st_atime == (date if "\\Seen" in flags[uid] else 0)
        assert oct(stat.S_IMODE(said.st_mode)) == ("0o700" if "\\Flagged" in flags[uid] else "0o600")
        assert stat.S_ISREG(said.st_mode) and said.st_nlink == 1
        assert (said.st_uid, said.st_gid) == (os.getuid(), os.getgid())
    for folder in ("", "INBOX", "Archive", "Archive/2023"):
        said = os.stat(m.join(folder))
        assert oct(stat.S_IMODE(said.st_mode)) == "0o700" and stat.S_ISDIR(said.st_mode)
        assert (said.st_uid, said.st_gid) == (os.getuid(), os.getgid())
    unread = [uid for uid, words in flags.items() if "\\Seen" not in words]
    assert unread
    run(["bash", "-c", '[ -N "$1" ]', "bash", m.join("INBOX", "%d.eml" % unread[0])])


def test_flagbits_and_ctime_can_be_switched_off(mount, dovecot):
    m = mount(dovecot, ["flagbits=no", "ctime=mtime"])
    for path in files(m, "INBOX").values():
        said = os.stat(path)
        assert oct(stat.S_IMODE(said.st_mode)) == "0o600"
        assert said.st_ctime == said.st_mtime


def test_owner_and_umask_can_be_chosen(mount, dovecot):
    m = mount(dovecot, ["uid=12345", "gid=54321", "umask=0277"])
    said = os.stat(m.join("INBOX", "1.eml"))
    assert (said.st_uid, said.st_gid) == (12345, 54321)
    assert stat.S_IMODE(said.st_mode) & 0o277 == 0


def test_ctime_rises_with_a_flag_and_is_kept(mount, make_dovecot):
    server = make_dovecot({"INBOX": [mailgen.Mail(mail()), mailgen.Mail(mail("two"))]})
    m = mount(server, ["name=uid"])
    path = m.join("INBOX", "1.eml")
    before = os.stat(path)
    other = os.stat(m.join("INBOX", "2.eml"))
    server.doveadm("flags", "add", "-u", "demo", "\\Flagged", "mailbox", "INBOX", "uid", "1")
    refresh(m, "INBOX")
    after = os.stat(path)
    assert after.st_ctime_ns > before.st_ctime_ns
    assert after.st_mtime == before.st_mtime
    assert os.stat(m.join("INBOX", "2.eml")).st_ctime_ns == other.st_ctime_ns
    m.stop()
    m.remount()
    assert os.stat(path).st_ctime_ns == after.st_ctime_ns


def test_access_and_statfs(mount, dovecot):
    m = mount(dovecot)
    path = m.join("INBOX", "1.eml")
    assert os.access(path, os.R_OK) and os.access(m.join("INBOX"), os.R_OK | os.X_OK)
    assert os.access(path, os.W_OK) and os.access(m.join("INBOX"), os.W_OK)
    said = os.statvfs(m.path)
    assert said.f_bsize and said.f_blocks and said.f_files
    assert said.f_namemax == 255
    assert run(["df", m.path]).returncode == 0


def test_ls_and_find_of_everything_are_quiet(mount, dovecot):
    m = mount(dovecot)
    assert run(["ls", "-lR", m.path], 60).stderr == b""
    assert run(["find", m.path, "-newermt", "2020-01-01"], 60).stderr == b""
    assert run(["du", "-s", m.path], 60).stderr == b""


# Extended attributes.


def test_xattrs_of_a_message(mount, make_dovecot):
    raw = mail("=?utf-8?B?R3LDtsOfZQ==?=\r\n and more", sender="=?utf-8?Q?J=C3=BCrgen?= <j@example.de>")
    server = make_dovecot({"INBOX": [mailgen.Mail(raw, ("\\Seen", "\\Flagged", "work", "$Forwarded"),
                                                  1704205800),
                                     mailgen.Mail(mail("plain"), (), 1704205800)]})
    m = mount(server)
    path = m.join("INBOX", "1.eml")
    get = lambda name: os.getxattr(path, name).decode()
    listed = set(os.listxattr(path))
    assert listed == {"user.mailfs.flags", "user.xdg.tags", "user.mailfs.uid",
                      "user.mailfs.uidvalidity", "user.mailfs.date", SUBJECT,
                      "user.xdg.origin.email.from", "user.xdg.origin.email.message-id",
                      "user.mime_type"}
    assert get("user.mailfs.flags") == "$Forwarded \\Flagged \\Seen work"
    assert get("user.xdg.tags") == "work"
    assert get("user.mailfs.uid") == "1"
    status = server.doveadm("mailbox", "status", "-u", "demo", "uidvalidity", "INBOX").decode()
    assert "uidvalidity=" + get("user.mailfs.uidvalidity") in status
    assert get("user.mailfs.date") == "2024-01-02T14:30:00Z"
    assert get(SUBJECT) == "Größe and more"
    assert get("user.xdg.origin.email.from") == "Jürgen <j@example.de>"
    assert re.fullmatch(r"<?[0-9a-f]{32}@example\.org>?", get("user.xdg.origin.email.message-id"))
    assert get("user.mime_type") == "message/rfc822"
    flags = {"seen": "1", "flagged": "1", "answered": "0", "draft": "0", "deleted": "0",
             "forwarded": "1", "junk": "0"}
    assert {name: get("user.mailfs." + name) for name in flags} == flags
    assert get("user.mailfs.to") == "demo@localhost"
    assert get("user.mailfs.sent") == "2024-01-02T14:30:00Z"
    assert get("user.mailfs.size") == str(len(raw))
    assert get("user.mailfs.cached") == "no"
    m.read("INBOX", "1.eml")
    wait_until(lambda: get("user.mailfs.cached") == "yes", 3, "the message in the cache")
    assert int(get("user.mailfs.modseq")) > 0
    assert get("user.mailfs.state") == "server"
    assert "user.xdg.tags" not in os.listxattr(m.join("INBOX", "2.eml"))
    assert os.getxattr(m.join("INBOX", "2.eml"), "user.mailfs.flags") == b""


def test_xattrs_of_a_folder(mount, dovecot):
    m = mount(dovecot)
    m.list("Sent")
    get = lambda name: os.getxattr(m.join("Sent"), name).decode()
    flags = dovecot.flags("Sent")
    assert get("user.mailfs.messages") == str(len(flags))
    assert get("user.mailfs.unseen") == str(sum("\\Seen" not in words for words in flags.values()))
    assert get("user.mailfs.uidnext") == str(max(flags) + 1)
    assert get("user.mailfs.role").strip("\\").lower() == "sent"
    assert get("user.mailfs.subscribed") == "1"
    assert get("user.mailfs.state") == "online"
    assert int(get("user.mailfs.uidvalidity")) > 0
    assert os.listxattr(m.join("Sent")) == []


def test_xattr_errors(mount, dovecot):
    m = mount(dovecot)
    path = m.join("INBOX", "1.eml")
    for name in ("user.mailfs.nothing", "user.other", "user.mailfs.messages"):
        assert raw_getxattr(path, name, 100) == -errno.ENODATA, name
    for name in ("security.selinux", "system.posix_acl_access", "trusted.x", "security.capability"):
        assert raw_getxattr(path, name, 100) == -errno.EOPNOTSUPP, name
    assert raw_getxattr(path, "user.mime_type", 3) == -errno.ERANGE
    assert raw_getxattr(path, "user.mime_type", 0) == len("message/rfc822")
    assert raw_getxattr(path, "user.mime_type", 14) == 14
    assert raw_getxattr(path, SUBJECT, 1) == -errno.ERANGE
    assert raw_listxattr(path, 5) == -errno.ERANGE
    size = raw_listxattr(path, 0)
    assert size > 0 and raw_listxattr(path, size) == size
    assert raw_getxattr(m.join(".mailfs", "status"), "user.mailfs.uid", 100) == -errno.ENODATA


def test_listed_xattrs_stay_small_with_monster_headers(mount, make_dovecot):
    head = ("From: =?utf-8?Q?%s?= <%s@example.org>\r\nSubject: %s\r\nMessage-ID: <%s@x>\r\n\r\n"
            % ("=C3=A4" * 2000, "f" * 3000, "\r\n ".join(["größe " * 10] * 300), "i" * 8000))
    server = make_dovecot({"INBOX": [mailgen.Mail(head.encode() + b"body\r\n", ("work", "$Label1"))]})
    m = mount(server)
    path = m.join("INBOX", "1.eml")
    values = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    assert SUBJECT in values
    assert sum(len(name) + 1 + len(value) for name, value in values.items()) < 2048
    for name, value in values.items():
        assert len(value) <= 400 and value.decode().isprintable(), name
    assert len(m.list("INBOX")[0].encode()) <= 143


# Refusals.


def test_every_change_is_refused_where_all_is_read_only(mount, dovecot):
    m = mount(dovecot, ["ro"])
    file, folder = m.join("INBOX", "1.eml"), m.join("INBOX")
    new = m.join("INBOX", "new.eml")
    opened = lambda path, flags: os.close(os.open(path, flags, 0o600))
    for call in (
            (opened, file, os.O_WRONLY), (opened, file, os.O_RDWR), (opened, file, os.O_WRONLY | os.O_APPEND),
            (opened, file, os.O_RDONLY | os.O_TRUNC), (opened, new, os.O_WRONLY | os.O_CREAT),
            (opened, new, os.O_RDWR | os.O_CREAT | os.O_EXCL), (os.truncate, file, 0), (os.truncate, file, 10),
            (os.unlink, file), (os.rename, file, new), (os.rename, file, m.join("Sent", "x.eml")),
            (os.rename, folder, m.join("Inbox2")), (os.mkdir, m.join("New")), (os.mkdir, m.join("INBOX", "New")),
            (os.rmdir, m.join("Sent")), (os.chmod, file, 0o700), (os.chmod, folder, 0o755),
            (os.utime, file, (1, 1)), (os.utime, folder, None), (os.chown, file, 1, 1),
            (os.link, file, new), (os.symlink, "x", new), (os.mkfifo, new),
            (os.setxattr, file, "user.mailfs.flags", b"+\\Seen"), (os.setxattr, file, "user.other", b"x"),
            (os.setxattr, folder, "user.mailfs.subscribed", b"0"),
            (os.removexattr, file, "user.mailfs.flags")):
        raises(errno.EROFS, *call)
    assert run(["touch", file], check=False).returncode != 0
    assert run(["rm", "-rf", folder], check=False).returncode != 0
    assert dovecot.uids("INBOX") == sorted(files(m, "INBOX"))


def test_read_only_option_refuses_too(mount, dovecot):
    m = mount(dovecot, ["ro"])
    raises(errno.EROFS, os.mkdir, m.join("New"))
    raises(errno.EROFS, os.unlink, m.join("INBOX", "1.eml"))
    assert not os.access(m.join("INBOX", "1.eml"), os.W_OK) and not os.access(m.join("INBOX"), os.W_OK)
    assert m.read("INBOX", "1.eml") == dovecot.fetch("INBOX", 1)


def test_names_that_cannot_be_are_not_found(mount, dovecot):
    m = mount(dovecot)
    raises(errno.ENOENT, os.stat, m.join("Nowhere"))
    raises(errno.ENOENT, os.stat, m.join("INBOX", "x.eml"))
    raises(errno.ENAMETOOLONG, os.stat, m.join("INBOX", "x" * 256))
    raises(errno.ENOTDIR, os.stat, m.join("INBOX", "1.eml", "x"))
    raises(errno.EISDIR, os.open, m.join("INBOX"), os.O_WRONLY)


# Stability.


def test_NM_12_listing_is_stable_under_churn(mount, imap_server):
    server = imap_server()
    inbox = server.account["INBOX"]
    inbox.add_all([mailgen.Mail(b"Subject: %d\r\n\r\nx\r\n" % at) for at in range(3000)])
    m = mount(server, ["name=uid"])
    touched, names = set(), []
    with os.scandir(m.join("INBOX")) as entries:
        for at, entry in enumerate(entries):
            names.append(entry.name)
            if at % 500 == 250:
                for uid in (at // 2 + 1, at + 40, 2990 - at // 2):
                    inbox.expunge(uid)
                    touched.add("%d.eml" % uid)
                touched.add("%d.eml" % inbox.add(b"Subject: new\r\n\r\n").uid)
                refresh(m, "INBOX")
    assert len(names) == len(set(names)), "a name came twice"
    untouched = {"%d.eml" % uid for uid in range(1, 3001)} - touched
    assert untouched <= set(names)
    assert set(names) <= untouched | touched
    assert m.list("INBOX") == sorted("%d.eml" % message.uid for message in inbox.messages)


def test_directory_times_advance_with_the_listing(mount, make_dovecot):
    server = make_dovecot({"INBOX": [mailgen.Mail(mail())]})
    m = mount(server)
    m.list("INBOX")
    before = os.stat(m.join("INBOX"))
    server.doveadm("save", "-u", "demo", "-m", "INBOX", stdin=mail("new"))
    refresh(m, "INBOX")
    after = os.stat(m.join("INBOX"))
    assert after.st_mtime_ns > before.st_mtime_ns and after.st_ctime_ns > before.st_ctime_ns
    refresh(m, "INBOX")
    assert os.stat(m.join("INBOX")).st_mtime_ns == after.st_mtime_ns


@pytest.mark.smoke
def test_inodes_names_and_times_survive_remount_and_loss_of_the_cache(mount, dovecot):
    m = mount(dovecot)
    fields = "%P %i %s %m %A@ %y"
    first = stat_lines(m, fields + " %T@", "INBOX"), stat_lines(m, "%P %i %y")
    assert len(first[1]) > 300
    inodes = [line.rsplit(" ", 2)[1] for line in first[1]]
    assert len(inodes) == len(set(inodes)), "an inode number came twice"
    m.stop()
    m.remount()
    assert (stat_lines(m, fields + " %T@", "INBOX"), stat_lines(m, "%P %i %y")) == first
    m.stop()
    m.clear_cache()
    m.remount()
    assert (stat_lines(m, fields + " %T@", "INBOX"), stat_lines(m, "%P %i %y")) == first


# Without the server.


@pytest.mark.smoke
def test_everything_read_once_is_there_without_the_server(mount, make_dovecot):
    mails = mailgen.generate(60)
    server = make_dovecot(mails)
    m = mount(server)
    expected = true_sums(server, [folder for folder in mails if folder != "Sent"])
    run(["sh", "-c", 'cat "$1"/*.eml "$1"/*/*.eml "$1"/*/*/*.eml', "sh", m.path], 60, check=False)
    for folder in mails:
        if folder != "Sent":
            for path in files(m, folder).values():
                open_read(path)
    names = stat_lines(m)
    m.stop()
    server.halt()
    m.remount()
    start = time.monotonic()
    run(["ls", "-l", m.join("INBOX")])
    assert time.monotonic() - start < 1 * SLOW
    assert stat_lines(m) == names
    tree = {path: open_read(m.join(path)) for path in files_of(m.path) if not path.startswith("Sent/")}
    assert sums(tree) == expected
    assert m.status()["state"] in ("offline", "connecting")
    server.start()
    wait_until(lambda: refresh(m, check=False) and m.status()["state"] == "online", 20, "the server")


def test_uncached_read_without_the_server_fails_at_once(mount, make_dovecot):
    server = make_dovecot({"INBOX": [mailgen.Mail(mail("subject %d" % at)) for at in range(3)]})
    m = mount(server, ["name=uid"])
    m.read("INBOX", "1.eml")
    m.stop()
    server.halt()
    m.remount()
    start = time.monotonic()
    assert errno_of(m.join("INBOX", "2.eml")) == errno.EHOSTUNREACH
    assert time.monotonic() - start < 1 * SLOW
    assert m.read("INBOX", "1.eml") == mail("subject 0")
    server.start()
    wait_until(lambda: refresh(m, check=False), 20, "the server")
    assert m.read("INBOX", "2.eml") == mail("subject 1")


# Changes on the server.


def change(server, act):
    """Does one thing to INBOX behind the mount's back; returns what must come true."""
    if act == "expunge":
        server.doveadm("expunge", "-u", "demo", "mailbox", "INBOX", "uid", "2")
        return lambda m: "2.eml" not in m.list("INBOX") and not os.path.exists(m.join("INBOX", "2.eml"))
    if act == "new":
        server.doveadm("save", "-u", "demo", "-m", "INBOX", stdin=mail("new"))
        return lambda m: "4.eml" in m.list("INBOX") and m.read("INBOX", "4.eml") == mail("new")
    if act == "flag":
        server.doveadm("flags", "add", "-u", "demo", "\\Flagged \\Seen", "mailbox", "INBOX", "uid", "1")
        return lambda m: (os.stat(m.join("INBOX", "1.eml")).st_mode & 0o100 and
                          os.stat(m.join("INBOX", "1.eml")).st_atime > 0 and
                          b"\\Flagged" in os.getxattr(m.join("INBOX", "1.eml"), "user.mailfs.flags"))
    server.doveadm("mailbox", "create", "-u", "demo", "Fresh/Folder")
    return lambda m: "Fresh" in m.list() and m.list("Fresh") == ["Folder"]


@pytest.mark.parametrize("act", ["expunge", "new", "flag", "folder"])
@pytest.mark.parametrize("how", ["refresh", "poll"])
def test_changes_on_the_server_become_visible(mount, make_dovecot, act, how):
    server = make_dovecot({"INBOX": [mailgen.Mail(mail("subject %d" % at)) for at in range(3)]})
    m = mount(server, ["name=uid"] + (["poll=1"] if how == "poll" else []))
    assert m.list("INBOX") == ["1.eml", "2.eml", "3.eml"]
    m.read("INBOX", "2.eml")
    run(["ls", "-lR", m.path])  # so that the kernel has it all in its caches
    assert os.stat(m.join("INBOX", "1.eml")).st_mode & 0o100 == 0
    comes_true = change(server, act)
    if how == "refresh":
        refresh(m, "" if act == "folder" else "INBOX")
        # The kernel is told by a thread of its own.
        wait_until(lambda: comes_true(m), 2, act)
    else:
        wait_until(lambda: comes_true(m), 10, act)


def test_new_mail_is_looked_up_at_once(mount, make_dovecot):
    """No negative entry may hide it (KC-3)."""
    server = make_dovecot({"INBOX": [mailgen.Mail(mail())]})
    m = mount(server, ["name=uid"])
    m.list("INBOX")
    assert not os.path.exists(m.join("INBOX", "2.eml"))
    server.doveadm("save", "-u", "demo", "-m", "INBOX", stdin=mail("new"))
    refresh(m, "INBOX")
    assert os.path.exists(m.join("INBOX", "2.eml"))


def test_open_file_of_an_expunged_message_reads_on(mount, make_dovecot):
    raw = mail("long", 200_000)
    server = make_dovecot({"INBOX": [mailgen.Mail(raw), mailgen.Mail(mail())]})
    m = mount(server, ["name=uid"])
    fd = os.open(m.join("INBOX", "1.eml"), os.O_RDONLY)
    try:
        assert os.pread(fd, 100, 0) == raw[:100]
        server.doveadm("expunge", "-u", "demo", "mailbox", "INBOX", "uid", "1")
        refresh(m, "INBOX")
        wait_until(lambda: m.list("INBOX") == ["2.eml"], 2, "the expunge")
        got = b""
        while len(got) < len(raw):
            part = os.pread(fd, 10_000, len(got))
            assert part
            got += part
        assert got == raw and os.pread(fd, 10, len(raw)) == b""
    finally:
        os.close(fd)
    raises(errno.ENOENT, os.open, m.join("INBOX", "1.eml"), os.O_RDONLY)


# One account, one mount.


def test_second_mount_of_an_account_is_refused(mount, dovecot, mailfs_binary):
    m = mount(dovecot)
    m.read("INBOX", "1.eml")
    other = mount(dovecot, home=m.home, start=False)
    other.path = os.path.join(m.home, "Second")
    os.mkdir(other.path)
    failure = other.fails()
    assert failure.code == 75
    assert re.search("in use|another|already|locked", failure.stderr), failure.stderr
    assert m.read("INBOX", "2.eml") == dovecot.fetch("INBOX", 2)
    m.stop()
    other.start()
    assert other.read("INBOX", "1.eml") == dovecot.fetch("INBOX", 1)


def test_background_mount_reads_and_ends(mount, dovecot):
    m = mount(dovecot, foreground=False)
    assert m.read("INBOX", "1.eml") == dovecot.fetch("INBOX", 1)
    m.stop()


def test_folder_that_goes_is_gone_at_once(mount, imap_server):
    """The kernel may keep names for a day: it is told."""
    server = imap_server()
    server.account.add("Old/Sub").add(mail("below"))
    server.account.add("Kept")
    m = mount(server, ["name=uid"])
    assert m.read("Old/Sub", "1.eml") == mail("below")
    assert os.path.isdir(m.join("Old/Sub")) and os.path.isdir(m.join("Old"))
    del server.account.folders[b"Old/Sub"]
    refresh(m)
    wait_until(lambda: not os.path.exists(m.join("Old")), 3, "the end of the folder")
    assert not os.path.exists(m.join("Old/Sub"))
    assert not os.path.exists(m.join("Old/Sub", "1.eml"))
    assert os.path.isdir(m.join("Kept"))
    server.account.add("Old/Sub").add(mail("again"))
    refresh(m)
    wait_until(lambda: m.list("Old/Sub") == ["1.eml"], 3, "its return")
