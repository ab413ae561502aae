#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A private Dovecot for tests and for tests/demo.

Own configuration, directory, ports on 127.0.0.1, users and log; no system
service is touched. It runs as root (mail then belongs to nobody) or as any
user. As a library it prints nothing:

    with Dovecot(storage="maildir", separator=".", prefix="INBOX.") as d:
        d.add("Archive/2023", [mail])          # mail: mailgen.Mail
        d.imaps_port, d.imap_port, d.ca_file   # password "secret", user "demo"
        d.fetch("INBOX", 1)                    # the exact bytes a client gets
        d.doveadm("mailbox", "status", "-u", "demo", "messages", "INBOX")

As a command it keeps a server in the background:

    dovecot.py --dir D start [--generate 320] [--storage mbox] ...
    dovecot.py --dir D status
    dovecot.py --dir D stop
"""

import argparse
import atexit
import grp
import imaplib
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import certs
import mailgen
import mutf7
from mailgen import Mail  # noqa: F401 (for users of this module)

# Where Debian has the server, and does not let everybody look.
os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"

MAIL_OWNER = "nobody"  # who owns the mail when we are root: Dovecot refuses uid 0

CONFIG = """
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/dovecot.log
info_log_path = {dir}/dovecot-info.log
log_timestamp = "%Y-%m-%d %H:%M:%S.%{{usecs}} "
listen = {host}
protocols = {protocols}
login_greeting = mailfs test server

default_internal_user = {internal}
default_login_user = {login}
default_internal_group = {group}
default_process_limit = 100
default_client_limit = 300
default_vsz_limit = 1G
first_valid_uid = 1
first_valid_gid = 1
mail_uid = {uid}
mail_gid = {gid}

auth_mechanisms = {mechanisms}
auth_failure_delay = 0
auth_verbose = yes
disable_plaintext_auth = {disable_plaintext}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {dir}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={dir}/home/%u
}}

ssl = {ssl}
{ssl_files}

mail_location = {location}
mail_fsync = never
mail_plugins = {plugins}
mail_max_userip_connections = {max_userip}
namespace inbox {{
  inbox = yes
  separator = {separator}
  prefix = {prefix}
{mailboxes}
}}

service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  service_count = 0
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = {imaps_port}
    ssl = yes
  }}
}}
service pop3-login {{
  chroot =
  service_count = 0
  inet_listener pop3 {{
    port = {pop3_port}
  }}
  inet_listener pop3s {{
    port = {pop3s_port}
    ssl = yes
  }}
}}
service stats {{
  chroot =
}}
protocol imap {{
  mail_plugins = {imap_plugins}
  mail_max_userip_connections = {max_userip}
  rawlog_dir = %h/dovecot.rawlog
  {capability}
}}
protocol pop3 {{
  mail_plugins = {plugins}
}}
plugin {{
{plugin_settings}
}}
{extra}
"""

SPECIAL_USE = {"Entwürfe": "\\Drafts", "Sent": "\\Sent", "Trash": "\\Trash", "Junk": "\\Junk"}


started = set()  # servers of this process that run; none outlives it


def stop_all():
    """At exit, for tests that were interrupted before they could clean up."""
    for server in list(started):
        server.stop() if server.own_dir else server.halt()


atexit.register(stop_all)


class Dovecot:
    """One server. Not started by the constructor; usable as a context manager.

    storage       maildir, mbox, sdbox or mdbox
    separator     of the namespace; prefix likewise ("INBOX.")
    capability    whole imap_capability text, e.g. "IMAP4rev1"; None = Dovecot's own
    max_userip    mail_max_userip_connections
    ssl           yes, required or no;  pair = certs.Pair to serve (default: a good one)
    plaintext     False = LOGINDISABLED on the clear port; give host="127.0.0.2" too, for
                  Dovecot trusts a client whose address equals its own
    compress      COMPRESS=DEFLATE;  pop3, quota ("100M"), acl: as named
    mechanisms    auth_mechanisms
    extra         configuration text appended;  plugin_settings: dict for plugin { }
    """

    def __init__(self, directory=None, users=("demo",), password="secret", storage="maildir",
                 separator="/", prefix="", capability=None, max_userip=20, ssl="yes", ca=None,
                 pair=None, plaintext=True, compress=False, pop3=False, quota=None, acl=False,
                 mechanisms="plain login scram-sha-256 scram-sha-1", special_use=None,
                 extra="", plugin_settings=None, host="127.0.0.1"):
        self.own_dir = directory is None
        self.dir = os.path.abspath(directory or tempfile.mkdtemp(prefix="mailfs-dovecot-"))
        self.users = dict(users) if isinstance(users, dict) else {u: password for u in users}
        self.user = next(iter(self.users))
        self.password = self.users[self.user]
        self.storage = storage
        self.separator = separator
        self.prefix = prefix
        self.host = host
        self.ssl = ssl
        self.pop3 = pop3
        self.process = None
        self.pid = 0
        self.options = {
            "capability": capability, "max_userip": max_userip, "plaintext": plaintext,
            "compress": compress, "quota": quota, "acl": acl, "mechanisms": mechanisms,
            "extra": extra, "plugin_settings": dict(plugin_settings or {}),
            "special_use": SPECIAL_USE if special_use is None else special_use,
        }
        self.imap_port = self.imaps_port = self.pop3_port = self.pop3s_port = 0
        self._prepare(ca, pair)

    # Life cycle.

    def start(self):
        started.add(self)
        for attempt in range(5):
            if attempt or not self.imap_port:
                self._choose_ports()
            self.configure()
            if self._launch():
                return self
        raise RuntimeError("dovecot does not start:\n" + self.log())

    def stop(self):
        """Ends the server and removes its directory."""
        self.halt()
        started.discard(self)
        shutil.rmtree(self.dir, ignore_errors=True)

    def halt(self):
        """Ends the server; mail and ports are kept for start()."""
        if not self.pid:
            return
        self._signal_group(signal.SIGCONT)
        self._signal(self.pid, signal.SIGTERM)
        if not self._wait_gone(5):
            self._signal_group(signal.SIGKILL)
            self._wait_gone(5)
        self._signal_group(signal.SIGKILL)  # children that outlive the master
        self.pid = 0
        self.process = None

    def restart(self):
        self.halt()
        return self.start()

    def kill9(self):
        """The whole server dies at once; start() brings it back."""
        self._signal_group(signal.SIGKILL)
        self._wait_gone(5)
        self.pid = 0
        self.process = None

    def pause(self):
        """The server falls silent: connections stay, nothing answers."""
        self._signal_group(signal.SIGSTOP)

    def resume(self):
        self._signal_group(signal.SIGCONT)

    def is_running(self):
        return self.pid != 0 and self._alive()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_exc):
        self.stop()

    # Access.

    def doveadm(self, *args, stdin=None, check=True, timeout=60):
        """Runs doveadm with our configuration; returns stdout as bytes."""
        done = subprocess.run(["doveadm", "-c", self.conf, *args], input=stdin,
                              capture_output=True, timeout=timeout)
        if check and done.returncode != 0:
            raise RuntimeError("doveadm %s: %s" % (" ".join(args), done.stderr.decode()))
        return done.stdout

    def fetch(self, folder, uid, user=None):
        """The exact bytes that a client gets for one message (CRLF line ends)."""
        out = self.doveadm("-f", "pager", "fetch", "-u", user or self.user, "size.physical text",
                           "mailbox", self.vname(folder), "uid", str(uid))
        found = re.match(rb"size\.physical: (\d+)\ntext:\n", out)
        if not found:
            raise KeyError("%s/%s: no such message" % (folder, uid))
        # The pager may or may not add a line end: the size says where the text stops.
        raw = out[found.end() : found.end() + int(found.group(1))]
        return re.sub(rb"(?<!\r)\n", b"\r\n", raw).replace(b"\0", b"\x80")

    def uids(self, folder, user=None):
        out = self.doveadm("-f", "tab", "fetch", "-u", user or self.user, "uid",
                           "mailbox", self.vname(folder), "all")
        return sorted(int(line) for line in out.split()[1:])

    def flags(self, folder, user=None):
        """Flags of every message: {uid: frozenset}."""
        out = self.doveadm("-f", "tab", "fetch", "-u", user or self.user, "uid flags",
                           "mailbox", self.vname(folder), "all").decode()
        rows = [line.split("\t") for line in out.splitlines()[1:]]
        return {int(uid): frozenset(flags.split()) - {"\\Recent"} for uid, flags in rows}

    def folders(self, user=None):
        """Names as Dovecot shows them (with prefix and separator)."""
        return self.doveadm("mailbox", "list", "-u", user or self.user).decode().splitlines()

    def vname(self, folder):
        """Our name "A/B" to the server's."""
        if folder == "INBOX":
            return folder
        return self.prefix + folder.replace("/", self.separator)

    def connect(self, tls=False, user=None, login=True):
        """An imaplib client, logged in."""
        if tls:
            client = imaplib.IMAP4_SSL("localhost", self.imaps_port,
                                       ssl_context=self.tls_context(), timeout=30)
        else:
            client = imaplib.IMAP4(self.host, self.imap_port, timeout=30)
        if login:
            user = user or self.user
            client.login(user, self.users[user])
        return client

    def tls_context(self):
        import ssl
        return ssl.create_default_context(cafile=self.ca_file)

    def log(self):
        """Both logs, for messages of failed tests."""
        text = ""
        for name in ("dovecot.log", "dovecot-info.log"):
            try:
                with open(os.path.join(self.dir, name), errors="replace") as file:
                    text += file.read()
            except FileNotFoundError:
                pass
        return text

    def commands(self, user=None):
        """Everything clients have sent and got, if rawlog() was on before they logged in."""
        root = os.path.join(self.home(user), "dovecot.rawlog")
        texts = []
        for name in sorted(os.listdir(root)):
            if name.endswith(".in"):
                with open(os.path.join(root, name), "rb") as file:
                    # Dovecot notes the time before what came in one go.
                    texts.append(re.sub(rb"(?m)^\d+\.\d+ ", b"", file.read()))
        return texts

    def rawlog(self, user=None):
        """Makes Dovecot record the sessions of a user; read them with commands()."""
        path = os.path.join(self.home(user), "dovecot.rawlog")
        os.makedirs(path, exist_ok=True)
        self._own(path)

    def home(self, user=None):
        return os.path.join(self.dir, "home", user or self.user)

    # Mail.

    def add(self, folder, mails, user=None, subscribe=True):
        """Imports Mail objects into "A/B"; creates the folder. Returns their uids.

        A Maildir folder that no client has seen yet is written directly (fast,
        UIDs 1..n, UIDVALIDITY 1700000000 + k); everything else goes by APPEND.
        """
        mails = list(mails)
        user = user or self.user
        path = self.maildir_path(folder, user)
        if path and not os.path.exists(os.path.join(path, "dovecot-uidlist")):
            self._write_maildir(path, mails)
            uids = list(range(1, len(mails) + 1))
        else:
            uids = self._append(folder, mails, user)
        if subscribe and path and folder != "INBOX":
            self._subscribe(folder, user)
        return uids

    def maildir_path(self, folder, user=None):
        if self.storage != "maildir":
            return None
        root = os.path.join(self.home(user), "mail")
        if folder == "INBOX":
            return root
        return os.path.join(root, *(mutf7.encode(part).decode() for part in folder.split("/")))

    def _subscribe(self, folder, user):
        path = os.path.join(self.home(user), "mail", "subscriptions")
        known = []
        if os.path.exists(path):
            with open(path) as file:
                known = file.read().splitlines()
        head, known = (known[:2], known[2:]) if known[:1] == ["V\t2"] else (["V\t2", ""], known)
        line = "\t".join(mutf7.encode(part).decode() for part in folder.split("/"))
        if line in known:
            return
        with open(path, "w") as file:
            file.write("\n".join(head + known + [line]) + "\n")
        self._own(path)

    def _write_maildir(self, path, mails):
        for sub in ("cur", "new", "tmp"):
            self._makedirs(os.path.join(path, sub))
        keywords = sorted({flag for mail in mails for flag in mail.flags if flag[0] != "\\"})
        letters = {word: chr(ord("a") + at) for at, word in enumerate(keywords[:26])}
        lines = []
        for at, mail in enumerate(mails, 1):
            base = maildir_base(mail, at)
            full = os.path.join(path, "cur", base + ":2," + maildir_flags(mail.flags, letters))
            with open(full, "wb") as file:
                file.write(mail.raw)
            os.utime(full, (mail.date, mail.date))
            self._own(full)
            lines.append("%d :%s\n" % (at, base))
        self.validity = getattr(self, "validity", 1700000000) + 1
        head = "3 V%d N%d G%s\n" % (self.validity, len(mails) + 1, os.urandom(16).hex())
        self._put(os.path.join(path, "dovecot-uidlist"), head + "".join(lines))
        if keywords:
            words = "".join("%d %s\n" % pair for pair in enumerate(keywords[:26]))
            self._put(os.path.join(path, "dovecot-keywords"), words)

    def _append(self, folder, mails, user):
        client = self.connect(user=user)
        name = mutf7.quote(self.vname(folder)).decode()
        if folder != "INBOX":
            client.create(name)
            client.subscribe(name)
        uids = []
        for mail in mails:
            # imaplib turns line ends into CRLF itself; bare LF cannot be appended anyway.
            kind, answer = client.append(name, " ".join(mail.flags) or None,
                                         imaplib.Time2Internaldate(mail.date), mail.raw)
            if kind != "OK":
                raise RuntimeError("APPEND to %s: %r" % (folder, answer))
            found = re.search(rb"APPENDUID \d+ (\d+)", answer[0])
            uids.append(int(found.group(1)) if found else 0)
        client.logout()
        return uids

    # Inside.

    def _prepare(self, ca, pair):
        os.makedirs(self.dir, exist_ok=True)
        os.chmod(self.dir, 0o755)  # the login and mail users must get through
        self.conf = os.path.join(self.dir, "dovecot.conf")
        for sub in ("run", "state", "home"):
            os.makedirs(os.path.join(self.dir, sub), exist_ok=True)
        for user in self.users:
            self._makedirs(self.home(user))
        if self.storage == "maildir":
            for user in self.users:
                self._makedirs(os.path.join(self.home(user), "mail"))
        self.ca = ca
        self.pair = pair
        if self.ssl != "no" and not ca:
            self.ca = certs.CA(os.path.join(self.dir, "ca"))
        if self.ssl != "no" and not pair:
            self.pair = self.ca.issue("server")
        self.ca_file = self.ca.cert if self.ca else None

    def _makedirs(self, path):
        """makedirs whose new directories belong to the mail user."""
        missing = []
        while not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for path in reversed(missing):
            os.mkdir(path, 0o700)
            self._own(path)

    def _put(self, path, text):
        with open(path, "w") as file:
            file.write(text)
        self._own(path)

    def _own(self, path):
        if os.getuid() == 0:
            owner = pwd.getpwnam(MAIL_OWNER)
            os.chown(path, owner.pw_uid, owner.pw_gid)

    def _choose_ports(self):
        socks = [socket.socket() for _ in range(4)]
        for sock in socks:
            sock.bind((self.host, 0))
        ports = [sock.getsockname()[1] for sock in socks]
        for sock in socks:
            sock.close()
        self.imap_port, self.imaps_port, self.pop3_port, self.pop3s_port = ports

    def configure(self):
        """Writes the configuration; call restart() after changing self.options."""
        options = self.options
        plugins, imap_plugins, settings = [], [], dict(options["plugin_settings"])
        if options["compress"]:
            imap_plugins.append("imap_zlib")
        if options["quota"]:
            plugins.append("quota")
            imap_plugins.append("imap_quota")
            settings.update({"quota": "count:User quota", "quota_vsizes": "yes",
                             "quota_rule": "*:storage=" + options["quota"]})
        if options["acl"]:
            plugins.append("acl")
            imap_plugins.append("imap_acl")
            settings.setdefault("acl", "vfile")
        me = pwd.getpwuid(os.getuid())
        owner = pwd.getpwnam(MAIL_OWNER) if me.pw_uid == 0 else me
        root = me.pw_uid == 0
        if root:
            internal, login, group = "dovecot", "dovenull", "dovecot"
        else:
            internal = login = me.pw_name
            group = grp.getgrgid(me.pw_gid).gr_name
        with open(os.path.join(self.dir, "users"), "w") as file:
            for user, password in self.users.items():
                file.write("%s:{PLAIN}%s::::::\n" % (user, password))
        os.chmod(file.name, 0o644)
        text = CONFIG.format(
            dir=self.dir, host=self.host, internal=internal, login=login, group=group,
            uid=owner.pw_uid, gid=owner.pw_gid,
            protocols="imap pop3" if self.pop3 else "imap",
            mechanisms=options["mechanisms"],
            disable_plaintext="no" if options["plaintext"] else "yes",
            ssl=self.ssl,
            ssl_files="ssl_cert = <%s\nssl_key = <%s" % (self.pair.cert, self.pair.key)
            if self.ssl != "no" else "",
            location=self._location(), plugins=" ".join(plugins),
            imap_plugins=" ".join(plugins + imap_plugins),
            max_userip=options["max_userip"], separator=self.separator, prefix=self.prefix,
            mailboxes="".join(
                '  mailbox "%s" {\n    special_use = %s\n  }\n'
                % (name.replace("/", self.separator), use)
                for name, use in options["special_use"].items()),
            imap_port=self.imap_port, imaps_port=self.imaps_port,
            pop3_port=self.pop3_port, pop3s_port=self.pop3s_port,
            capability="imap_capability = " + options["capability"]
            if options["capability"] else "",
            plugin_settings="".join("  %s = %s\n" % pair for pair in settings.items()),
            extra=options["extra"])
        with open(self.conf, "w") as file:
            file.write(text)

    def _location(self):
        return {
            "maildir": "maildir:~/mail:LAYOUT=fs",
            "mbox": "mbox:~/mail:INBOX=~/inbox",
            "sdbox": "sdbox:~/mail",
            "mdbox": "mdbox:~/mail",
        }[self.storage]

    def _launch(self):
        out = os.path.join(self.dir, "stderr")
        with open(out, "wb") as err:
            # Own session: its children form one process group that we can signal.
            self.process = subprocess.Popen(["dovecot", "-F", "-c", self.conf],
                                            stdin=subprocess.DEVNULL, stdout=err, stderr=err,
                                            cwd="/", start_new_session=True)
        self.pid = self.process.pid
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            if self._answers():
                return True
            time.sleep(0.02)
        self.halt()
        return False

    def _answers(self):
        try:
            with socket.create_connection((self.host, self.imap_port), timeout=5) as sock:
                return sock.recv(4) == b"* OK"
        except OSError:
            return False

    def _alive(self):
        if self.process:
            return self.process.poll() is None
        try:
            with open("/proc/%d/stat" % self.pid) as file:
                return file.read().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    def _wait_gone(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self._alive():
                return True
            time.sleep(0.02)
        return not self._alive()

    def _signal(self, pid, number):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    def _signal_group(self, number):
        if not self.pid:
            return
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    # State file of the command-line form.

    def save_state(self):
        state = {"pid": self.pid, "started": start_time(self.pid), "user": self.user,
                 "password": self.password, "imap_port": self.imap_port,
                 "imaps_port": self.imaps_port, "ca_file": self.ca_file,
                 "pop3_port": self.pop3_port if self.pop3 else 0,
                 "pop3s_port": self.pop3s_port if self.pop3 else 0}
        with open(os.path.join(self.dir, "server.json"), "w") as file:
            json.dump(state, file, indent=1)
        return state


def maildir_base(mail, at):
    size = len(mail.raw)
    wire = size + mail.raw.count(b"\n") - mail.raw.count(b"\r\n")
    return "%d.M%dP1.test,S=%d,W=%d" % (mail.date, at, size, wire)


def maildir_flags(flags, letters):
    known = {"\\Seen": "S", "\\Answered": "R", "\\Flagged": "F", "\\Deleted": "T", "\\Draft": "D"}
    return "".join(sorted(known.get(flag) or letters.get(flag, "") for flag in flags))


def start_time(pid):
    """Start time of a process in clock ticks; tells a reused pid from ours. 0 = no such."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            return int(file.read().rsplit(")", 1)[1].split()[19])
    except (OSError, IndexError):
        return 0


def load_state(directory):
    """The state of a background server, or None if there is none that lives."""
    try:
        with open(os.path.join(directory, "server.json")) as file:
            state = json.load(file)
    except (OSError, ValueError):
        return None
    started = start_time(state["pid"])
    return state if started != 0 and started == state["started"] else None


def main():
    parser = argparse.ArgumentParser(description="a private Dovecot in the background")
    parser.add_argument("--dir", required=True)
    parser.add_argument("verb", choices=["start", "stop", "status"])
    parser.add_argument("--user", default="demo")
    parser.add_argument("--password", default="secret")
    parser.add_argument("--storage", default="maildir")
    parser.add_argument("--separator", default="/")
    parser.add_argument("--prefix", default="")
    parser.add_argument("--capability")
    parser.add_argument("--max-userip", type=int, default=20)
    parser.add_argument("--compress", action="store_true")
    parser.add_argument("--pop3", action="store_true")
    parser.add_argument("--generate", type=int, default=0, metavar="N",
                        help="fill a new server with about N life-like messages")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    return {"start": cli_start, "stop": cli_stop, "status": cli_status}[args.verb](args)


def cli_start(args):
    state = load_state(args.dir)
    if not state:
        is_new = not os.path.exists(os.path.join(args.dir, "home", args.user, "mail", "cur"))
        server = Dovecot(args.dir, users=[args.user], password=args.password,
                         storage=args.storage, separator=args.separator, prefix=args.prefix,
                         capability=args.capability, max_userip=args.max_userip,
                         compress=args.compress, pop3=args.pop3)
        if args.generate and is_new:
            server.start()
            mailgen.fill(server, mailgen.generate(args.generate, args.seed))
        server.start() if not server.is_running() else None
        state = server.save_state()
        started.discard(server)  # it stays when we go
    print(json.dumps(state))
    return 0


def cli_stop(args):
    state = load_state(args.dir)
    if state:
        server = Dovecot.__new__(Dovecot)
        server.pid, server.process = state["pid"], None
        server.halt()
    if os.path.exists(os.path.join(args.dir, "dovecot.conf")):
        shutil.rmtree(args.dir)
    return 0


def cli_status(args):
    state = load_state(args.dir)
    print(json.dumps(state))
    return 0 if state else 1


if __name__ == "__main__":
    sys.exit(main())
