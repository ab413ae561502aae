# SPDX-License-Identifier: MIT
"""Backup programs run twice read nothing again: inodes, names, times and sizes are stable."""

import json
import os
import shutil

import pytest

import mailgen
from mounting import run
from tools import mail

REMOUNTS = ["same mount", "remount", "cache lost"]


def need(program):
    if not shutil.which(program):
        pytest.skip(program + " is not installed")


def between(m, how):
    """What happens between two backups."""
    if how == "same mount":
        return
    m.stop()
    if how == "cache lost":
        m.clear_cache()
    m.remount()


def server_of(make_dovecot):
    inbox = [mailgen.Mail(mail("number %d" % at, 2000), ("\\Seen",) if at % 2 else (), 1700000000 + at * 60)
             for at in range(45)]
    old = [mailgen.Mail(mail("old %d" % at, 2000), (), 1600000000 + at * 60) for at in range(5)]
    return make_dovecot({"INBOX": inbox, "Archive/2023": old})


@pytest.mark.may_skip
@pytest.mark.parametrize("how", REMOUNTS)
def test_restic_twice_reads_nothing_again(mount, make_dovecot, tmp_path, how):
    need("restic")
    server = server_of(make_dovecot)
    env = dict(os.environ, RESTIC_PASSWORD="x", RESTIC_REPOSITORY=str(tmp_path / "repo"),
               XDG_CACHE_HOME=str(tmp_path / "cache"), HOME=str(tmp_path))
    run(["restic", "init"], 50, env=env)
    m = mount(server, ["ctime=mtime"])

    def backup():
        out = run(["restic", "backup", "--json", m.path], 60, env=env).stdout
        return json.loads(out.splitlines()[-1])

    first = backup()
    assert first["files_new"] == 50
    between(m, how)
    before = m.status()
    second = backup()
    after = m.status()
    assert (second["files_new"], second["files_changed"], second["files_unmodified"]) == (0, 0, 50)
    assert second["data_blobs"] == 0
    assert after["bodies-fetched"] == before["bodies-fetched"]
    assert after["reads-from-cache"] == before["reads-from-cache"], "it was read again"


@pytest.mark.may_skip
@pytest.mark.parametrize("how", REMOUNTS)
def test_borg_twice_reads_nothing_again(mount, make_dovecot, tmp_path, how):
    need("borg")
    server = server_of(make_dovecot)
    env = dict(os.environ, BORG_BASE_DIR=str(tmp_path), BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes",
               BORG_RELOCATED_REPO_ACCESS_IS_OK="yes", BORG_REPO=str(tmp_path / "repo"))
    run(["borg", "init", "-e", "none"], 50, env=env)
    m = mount(server, ["ctime=mtime"])
    (tmp_path / "newest").write_text("borg never trusts the file with the newest ctime of all")

    def backup(name):
        out = run(["borg", "create", "--list", "::" + name, m.path, str(tmp_path / "newest")], 60, env=env)
        return [line[0] for line in out.stderr.decode().splitlines() if line.endswith(".eml")]

    assert set(backup("first")) == {"A"}
    between(m, how)
    before = m.status()
    states = backup("second")
    after = m.status()
    assert len(states) == 50 and set(states) == {"U"}, states
    # borg opens every file before it looks at what it knows: on an account without a past, 32
    # opens fetch what they open, and what is ahead of them.
    unproven = 32 if how == "cache lost" else 0
    fetched, ahead = (after[key] - before[key] for key in ("bodies-fetched", "prefetched"))
    assert fetched - ahead <= unproven and (unproven or not fetched)
    assert after["reads-from-cache"] - before["reads-from-cache"] <= unproven, "it was read again"
