# SPDX-License-Identifier: MIT
"""The mount harness itself, on a stand-in that bind-mounts a directory: it must notice what goes wrong."""

import os
import stat
import subprocess
import time

import pytest

import mounting

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root for a bind mount")

STAND_IN = """#!/usr/bin/python3
import os, signal, subprocess, sys
source, path = sys.argv[-2:]
passfd = int(sys.argv[sys.argv.index("-o") + 1].split("passfd=")[1].split(",")[0])
password = os.read(passfd, 100).decode().strip()
if password != "secret":
    print("login refused", file=sys.stderr)
    sys.exit(77)
def end(*_):
    %s
    subprocess.run(["umount", path], check=True)
    os._exit(%d)
signal.signal(signal.SIGTERM, end)
os.makedirs(path + ".tree/.mailfs")
open(path + ".tree/.mailfs/status.json", "w").write('{"state": "online"}')
subprocess.run(["mount", "--bind", path + ".tree", path], check=True)
if "-f" not in sys.argv and os.fork():
    os._exit(0)
while True:
    signal.pause()
"""


@pytest.fixture
def make(tmp_path):
    made = []

    def factory(at_end="pass", code=0, **more):
        binary = tmp_path / ("mailfs%d" % len(made))
        binary.write_text(STAND_IN % (at_end, code))
        binary.chmod(stat.S_IRWXU)
        made.append(mounting.Mount(str(binary), str(tmp_path / str(len(made))), "imaps://x@y", **more))
        return made[-1]

    yield factory
    for one in made:
        one.cleanup()
        assert not mounting.is_mounted(one.path)


@pytest.mark.parametrize("foreground", [True, False])
def test_mounts_reads_status_and_stops(make, foreground):
    mount = make(foreground=foreground).start()
    assert mounting.is_mounted(mount.path)
    assert mount.status() == {"state": "online"}
    assert mount.list() == [".mailfs"]
    assert mount.is_running()
    mount.stop()
    assert not mount.is_running()


def test_failure_has_code_and_text(make):
    failure = make(password="wrong").fails()
    assert failure.code == 77
    assert "login refused" in failure.stderr


def test_wrong_exit_code_is_noticed(make):
    mount = make(code=3).start()
    with pytest.raises(AssertionError, match="exit code 3"):
        mount.stop()


def test_sanitizer_report_is_noticed(make):
    mount = make("print('SUMMARY: AddressSanitizer: x', file=sys.stderr, flush=True)").start()
    with pytest.raises(AssertionError, match="sanitizer report"):
        mount.stop()
    mount = make("open(os.environ['ASAN_OPTIONS'].split('log_path=')[1] + '.1', 'w')"
                 ".write('a.c:1: runtime error: x')").start()
    with pytest.raises(AssertionError, match="sanitizer report"):
        mount.stop()


def test_slow_end_is_noticed(make, monkeypatch):
    monkeypatch.setattr(mounting, "STOP_LIMIT", 0.2)
    mount = make("import time; time.sleep(1)").start()
    with pytest.raises(AssertionError, match="took"):
        mount.stop()


def test_killed_process_leaves_a_mount_that_cleanup_removes(make):
    mount = make(foreground=False).start()
    mount.kill9()
    assert mounting.is_mounted(mount.path)
    assert mount.cleanup() == []
    assert not mounting.is_mounted(mount.path)


def test_crash_is_noticed(make):
    mount = make().start()
    os.kill(mount.pid, 11)
    mount.process.wait(5)
    assert any("died of signal 11" in complaint for complaint in mount.cleanup())


def test_run_kills_what_hangs():
    start = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        mounting.run("sleep 100 & sleep 100", timeout=0.3)
    assert time.monotonic() - start < 5
