# SPDX-License-Identifier: MIT
"""Completions, in the shells themselves."""

import os
import pty
import re
import select
import shutil
import sys
import time

import pytest

import mounting
from mounting import run
from test_cli import mailfs

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCES = [os.path.join(ROOT, "src", "cli", name) for name in ("options.c", "cmdline.c", "ctl.c")]
CONFIG = "[account work]\nsource = imaps://a@h\n[account home.org]\nsource = imaps://b@h\n"


def made(shell):
    """What the build makes of the template."""
    data = os.path.join(ROOT, "src", "data")
    return run([sys.executable, os.path.join(data, "completions.py"), shell, *SOURCES,
                os.path.join(data, "mailfs.%s.in" % shell)]).stdout.decode()


@pytest.fixture
def place(mailfs_binary, tmp_path):
    """A directory with both programs, and an environment that finds them and two accounts."""
    for name in ("mailfs", "mailfsctl"):
        os.symlink(mailfs_binary, tmp_path / name)
    os.makedirs(tmp_path / "config" / "mailfs")
    (tmp_path / "config" / "mailfs" / "mailfs.conf").write_text(CONFIG)
    os.makedirs(tmp_path / "Mail" / "INBOX")
    return tmp_path


def environment(place):
    return dict(os.environ, PATH="%s:%s" % (place, os.environ["PATH"]), HOME=str(place), TERM="dumb",
                XDG_CONFIG_HOME=str(place / "config"), XDG_CACHE_HOME=str(place), LC_ALL="C.UTF-8")


def bash(place, line):
    script = place / "completion.bash"
    script.write_text(made("bash"))
    command = 'source "$1"; COMP_LINE=$2 COMP_POINT=${#2}; name=${2%% *}; _$name; printf "%s\\n" "${COMPREPLY[@]}"'
    done = run(["bash", "-c", command, "bash", str(script), line], env=environment(place), cwd=str(place))
    return sorted(done.stdout.decode().split())


@pytest.mark.parametrize("line, expected", [
    ("mailfs wo", ["work"]),
    ("mailfs ", ["Mail", "config", "home.org", "work"]),
    ("mailfs work Ma", ["Mail"]),
    ("mailfs --fo", ["--foreground"]),
    ("mailfs --al", ["--all"]),
    ("mailfs -o na", ["name="]),
    ("mailfs -o ro,del", ["ro,delay_connect", "ro,delete="]),
    ("mailfs -o name=u", ["uid"]),  # bash replaces what is behind the "="
    ("mailfs -o ro,ctime=", ["change", "mtime"]),
    ("mailfsctl sta", ["status"]),
    ("mailfsctl status --j", ["--json"]),
    ("mailfsctl cache --", ["--clear", "--json"]),
    ("mailfsctl cache h", ["home.org"]),
    ("mailfsctl check w", ["work"]),
    ("mailfsctl check -o tl", ["tls-ca=", "tls-fingerprint=", "tls="]),
    ("mailfsctl add --sa", ["--save-password"]),
    ("mailfsctl prefetch Mail I", ["INBOX"]),
])
def test_bash(place, line, expected):
    assert bash(place, line) == sorted(expected)


def test_bash_finds_mounts(place, mount, imap_server):
    one = mount(imap_server())
    assert one.path in bash(place, "mailfsctl umount ")
    assert bash(place, "mailfsctl refresh %s IN" % one.path) == ["INBOX"]


def test_completions_know_every_word_of_the_help(mailfs_binary, tmp_path):
    texts = [made(shell) for shell in ("bash", "zsh", "fish")]
    page = mailfs(mailfs_binary, "--help").stdout
    options = re.findall(r"^    -o ([\w-]+)", page, re.M)[1:]  # the first one explains -o itself
    letters = re.findall(r"^    (?:-\w,|   ) --([\w-]+)", page, re.M)
    assert "all" in letters
    page = mailfs(mailfs_binary, "--help", name="mailfsctl", tmp=tmp_path).stdout
    verbs = re.findall(r"^    ([a-z]+) ?", page, re.M)
    flags = [flag for flag in re.findall(r"--([a-z][\w-]+)", page) if flag not in ("help", "version")]
    assert len(options) > 25 and len(letters) > 5 and len(verbs) > 8 and len(flags) > 5
    for text in texts:
        missing = [word for word in options + letters + verbs + flags
                   if not re.search(r"(?<!\w)%s(?![\w-])" % re.escape(word), text)]
        assert missing == []
        assert not re.search(r"@[A-Z]+@", text)


@pytest.mark.may_skip
@pytest.mark.skipif(not shutil.which("fish"), reason="no fish")
@pytest.mark.parametrize("line, expected", [
    ("mailfsctl sta", ["status"]), ("mailfsctl cache h", ["home.org"]), ("mailfsctl cache --c", ["--clear"]),
    ("mailfs home", ["home.org"]), ("mailfs -o na", ["name=human", "name=uid"]),
    ("mailfs -o ro,ct", ["ro,ctime=change", "ro,ctime=mtime"]), ("mailfs --foreg", ["--foreground"]),
])
def test_fish(place, line, expected):
    (place / "mailfs.fish").write_text(made("fish"))
    done = run(["fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]",
                str(place / "mailfs.fish"), line], env=environment(place), cwd=str(place))
    assert sorted(row.split("\t")[0] for row in done.stdout.decode().splitlines()) == expected


@pytest.mark.may_skip
@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh")
@pytest.mark.parametrize("typed, expected", [
    ("mailfsctl sta\t", "mailfsctl status"), ("mailfsctl cache h\t", "mailfsctl cache home.org"),
    ("mailfsctl add --sa\t", "mailfsctl add --save-password"), ("mailfs wo\t", "mailfs work"),
    ("mailfs -o nonem\t", "mailfs -o nonempty"), ("mailfs -o ro,nonem\t", "mailfs -o ro,nonempty"),
    ("mailfs -o name=u\t", "mailfs -o name=uid"), ("mailfs --foreg\t", "mailfs --foreground"),
])
def test_zsh(place, typed, expected):
    (place / "_mailfs").write_text(made("zsh"))
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(place)
        os.execvpe("zsh", ["zsh", "-f", "-i"], environment(place))
    setup = "PS1=; unsetopt zle_bracketed_paste; fpath=(%s $fpath); autoload -U compinit; " \
        "compinit -u -D; setopt no_beep; echo rea\"\"dy\n" % place
    try:
        os.write(terminal, setup.encode())
        wait_for(terminal, "ready")
        os.write(terminal, typed.encode())
        wait_for(terminal, expected)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


def wait_for(terminal, text):
    seen = ""
    deadline = time.monotonic() + 20 * mounting.SLOW
    while text not in re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]|\r|\x08", "", seen):
        assert select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0], seen
        seen += os.read(terminal, 1000).decode("utf-8", "replace")
