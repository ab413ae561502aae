# SPDX-License-Identifier: MIT
"""Fixtures for tests on real mounts.

    def test_x(mount, dovecot):               # dovecot: one for all tests, only to be read
        m = mount(dovecot, ["name=uid"])      # imaps by default; tls="starttls" or "none"
        assert m.read("INBOX", "1.eml") == dovecot.fetch("INBOX", 1)

    def test_y(mount, imap_server):
        server = imap_server()                # tls="implicit" or "starttls"; see imap_server.py;
                                              # pop3_server() likewise
        m = mount(server, foreground=False)

Others: make_dovecot(**options), make_proxy(port), corpus, ca, mailfs_binary.
mount(..., start=False).fails() is for mounts that must not succeed: .code, .stderr.

Every test has a deadline (60 s; @pytest.mark.deadline(s)). After it, our FUSE connections are
aborted and the test fails with the daemon's log. With /dev/fuse a skip counts as a failure,
unless the test is marked may_skip.
"""

import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "fake"))

import certs
import mailgen
import mounting
from dovecot import Dovecot
from imap_server import ImapServer
from pop3_server import Pop3Server
from proxy import Proxy

HAVE_FUSE = os.path.exists("/dev/fuse")
DEADLINE = 60
# A soak, on demand, for as many seconds.
collect_ignore = [] if os.environ.get("MAILFS_ABUSE") else ["test_abuse.py"]
living = []  # mounts of the running test
watching = [None]  # the watchdog of the running phase


class DeadlineExceeded(BaseException):
    """Not an Exception: no test may swallow it by accident."""


def pytest_configure(config):
    config.addinivalue_line("markers", "deadline(seconds): limit of this test, default %d" % DEADLINE)
    config.addinivalue_line("markers", "may_skip: a skip is no failure, even where FUSE works")
    config.addinivalue_line("markers", "smoke: part of the short suite on the release build")
    signal.signal(signal.SIGALRM, on_alarm)
    for number in (signal.SIGINT, signal.SIGHUP):  # ignored in jobs of a script, and then by children
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    mounting.end_on_sigterm()
    if HAVE_FUSE and os.getuid() == 0 and not os.listdir("/sys/fs/fuse/connections"):
        subprocess.run(["mount", "-t", "fusectl", "none", "/sys/fs/fuse/connections"],
                       capture_output=True, check=False)


def pytest_collection_modifyitems(config, items):
    shard, _, shards = os.environ.get("MAILFS_SHARD", "0/1").partition("/")
    drop = [item for at, item in enumerate(items) if at % int(shards) != int(shard)]
    if drop:
        config.hook.pytest_deselected(items=drop)
        items[:] = [item for item in items if item not in set(drop)]
    if HAVE_FUSE:
        return
    for item in items:
        if "mount" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason="no /dev/fuse"))


# Deadlines.


def on_alarm(_number, _frame):
    # A late alarm of a phase that has ended meanwhile hits nobody.
    if watching[0] and watching[0].fired:
        raise DeadlineExceeded("the test exceeded its deadline")


class Watchdog:
    """A thread, not only an alarm: a test stuck in the kernel hears no signal until its
    FUSE connection is aborted."""

    def __init__(self, seconds):
        self.text = ""
        self.fired = False
        self.main = threading.get_ident()
        self.timer = threading.Timer(seconds, self.fire)
        self.timer.daemon = True
        self.timer.start()

    def fire(self):
        self.fired = True
        for mount in list(living):
            self.text += mount.report()
            mount.abort()
        signal.pthread_kill(self.main, signal.SIGALRM)

    def cancel(self):
        self.timer.cancel()


def guarded(item):
    marker = item.get_closest_marker("deadline")
    seconds = (marker.args[0] if marker else DEADLINE) * mounting.SLOW
    watchdog = watching[0] = Watchdog(seconds)
    yield
    watching[0] = None
    watchdog.cancel()
    if watchdog.fired:
        item.deadline_exceeded = True
        item.add_report_section("call", "deadline", watchdog.text)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup(item):
    yield from guarded(item)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    yield from guarded(item)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for mount in living:
            report.sections.append(("mailfs", mount.report()))
    if report.when == "call" and report.passed and getattr(item, "deadline_exceeded", False):
        report.outcome = "failed"
        report.longrepr = "the test exceeded its deadline, though it did not notice"
    is_xfail = hasattr(report, "wasxfail")
    if report.skipped and HAVE_FUSE and not is_xfail and not item.get_closest_marker("may_skip"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = "skipped although /dev/fuse is there: %s" % reason


# Fixtures.


@pytest.fixture(scope="session")
def mailfs_binary():
    found = mounting.find_binary()
    if not found or not os.access(found, os.X_OK):
        pytest.fail("no mailfs binary (%s): build it, or set MAILFS_BINARY" % found, pytrace=False)
    return found


@pytest.fixture(scope="session")
def ca():
    """One certificate authority for all servers of the session."""
    with tempfile.TemporaryDirectory(prefix="mailfs-ca-") as directory:
        os.chmod(directory, 0o755)
        yield certs.CA(directory)


@pytest.fixture(scope="session")
def ca_pair(ca):
    return ca.issue("server")


@pytest.fixture(scope="session")
def dovecot(ca, ca_pair):
    """A Dovecot with about 320 generated messages; .mails says which. Only to be read."""
    server = Dovecot(ca=ca, pair=ca_pair, max_userip=50)
    server.mails = mailgen.generate(320)
    try:
        server.start()
        mailgen.fill(server, server.mails)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def corpus():
    """Real messages as a list of Mail, where there are some; tests that use it are may_skip.

    MAILFS_CORPUS is a directory with real-mail.tar.xz.
    """
    place = os.environ.get("MAILFS_CORPUS", os.path.join(ROOT, "../shared/corpus"))
    path = os.path.join(place, "real-mail.tar.xz")
    if not os.path.exists(path):
        pytest.skip("no corpus of real mail at " + place)
    mails = []
    with tarfile.open(path) as archive:
        for at, member in enumerate(sorted(archive.getmembers(), key=lambda one: one.name)):
            if member.isfile():
                flags = [flag for every, flag in ((2, "\\Seen"), (7, "\\Flagged"), (11, "work"))
                         if at % every == 0]
                mails.append(mailgen.Mail(archive.extractfile(member).read(), flags,
                                          1030000000 + at * 3600))
    return mails


@pytest.fixture
def make_dovecot(ca, ca_pair):
    """make_dovecot(mails=None, **options of Dovecot): a fresh one, started."""
    made = []

    def make(mails=None, **options):
        options.setdefault("ca", ca)
        options.setdefault("pair", ca_pair)
        server = Dovecot(**options)
        made.append(server)
        server.start()
        mailgen.fill(server, mails or {})
        return server

    yield make
    for server in made:
        server.stop()


def scripted(kind, ca, ca_pair):
    """What a fixture for scripted servers yields; errors in hooks fail."""
    made = []

    def make(start=True, **options):
        options.setdefault("ca", ca)
        options.setdefault("pair", ca_pair)
        server = kind(**options)
        made.append(server)
        return server.start() if start else server

    yield make
    for server in made:
        server.stop()
    errors = [repr(error) for server in made for error in server.errors]
    assert not errors, "errors in hooks: %s" % errors


@pytest.fixture
def imap_server(ca, ca_pair):
    """imap_server(**options of ImapServer): a scripted server, started."""
    yield from scripted(ImapServer, ca, ca_pair)


@pytest.fixture
def pop3_server(ca, ca_pair):
    """pop3_server(**options of Pop3Server): a scripted server, started."""
    yield from scripted(Pop3Server, ca, ca_pair)


@pytest.fixture
def make_proxy():
    """make_proxy(port, host="127.0.0.1"): a Proxy in front of a server, started."""
    made = []

    def make(port, host="127.0.0.1"):
        proxy = Proxy((host, port))
        made.append(proxy)
        return proxy.start()

    yield make
    for proxy in made:
        proxy.stop()


@pytest.fixture
def mount(mailfs_binary):
    """mount(server or URL, options=[...], tls=None, user="demo", folder="", port=None, protocol="imap",
    password="secret", foreground=True, arguments=[], environment={}, start=True, home=None).

    port: connect there instead (a proxy). home: of another Mount, to share its cache.
    """
    made = []
    homes = []

    def make(target, options=(), tls=None, user="demo", folder="", port=None, host=None,
             start=True, home=None, protocol="imap", **more):
        options = list(options)
        if isinstance(target, str):
            source = target
        else:
            source, base = mounting.source_of(target, tls, user, folder, host, protocol)
            keys = {option.split("=")[0] for option in options}
            options = [option for option in base if option.split("=")[0] not in keys] + options
            if port:
                source = source.replace(":%d" % int(source.rsplit(":", 1)[1].split("/")[0]), ":%d" % port)
        if home is None:
            home = tempfile.mkdtemp(prefix="mailfs-test-")
            homes.append(home)
        one = mounting.Mount(mailfs_binary, home, source, options, **more)
        made.append(one)
        living.append(one)
        return one.start() if start else one

    yield make
    complaints = []
    for one in made:
        complaints += one.cleanup()
        living.remove(one)
    for one in made:
        one.remove()
    assert not complaints, "\n".join(complaints)
