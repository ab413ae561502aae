# SPDX-License-Identifier: MIT
"""What the scripted servers share: listening, connections in threads, hooks, cuts, the record.

A server derives ScriptedServer and names its connection_type; that one says how a client is greeted
(greet), how a command is read (read_command) and taken apart (serve), and what a well-behaved server
answers (answer). Everything else, what a hook may do above all, is here; examples: imap_server.py.
"""

import re
import socket
import ssl
import struct
import tempfile
import threading
import time

import certs


class Closed(Exception):
    """The connection is gone; ends its thread."""


class Command:
    """One line a client has sent, with its literals in place. data: a continuation line."""

    def __init__(self, connection, tag, name, line):
        self.connection = connection
        self.time = time.monotonic()
        self.tag = tag
        self.name = name
        self.line = line

    def __repr__(self):
        return "<%d %s %r>" % (self.connection, self.name, self.line)


class Hook:
    def __init__(self, name, function, times, match, connection):
        self.name = name
        self.function = function
        self.times = times
        self.match = match and re.compile(match if isinstance(match, bytes) else match.encode())
        self.connection = connection

    def fits(self, name, line, number):
        if self.name not in (name, "*") or self.times == 0:
            return False
        if self.connection is not None and self.connection != number:
            return False
        return not self.match or bool(self.match.search(line))


class Cut:
    """A step of reply(): what happens after the lines before it."""

    def __init__(self, how, seconds=0):
        self.how = how
        self.seconds = seconds


FIN, RST, HANG = Cut("fin"), Cut("rst"), Cut("hang")


def pause(seconds):
    return Cut("sleep", seconds)


def reply(*steps, one_segment=False):
    """A hook that answers with these lines: text (CRLF is added, %t is the tag), bytes (sent
    as they are, %t likewise), FIN, RST, HANG or pause(seconds)."""

    def run(connection, tag, _line):
        held = b""
        for step in steps:
            if isinstance(step, Cut):
                connection.send(held)
                held = b""
                connection.step(step)
                continue
            if isinstance(step, str):
                step = step.encode() + b"\r\n"
            step = step.replace(b"%t", tag)
            if one_segment:
                held += step
            else:
                connection.send(step)
        connection.send(held)

    return run


class ScriptedServer:
    """One listening server.

    tls           None (clear), "implicit" or "starttls"
    pair, ca      certs.Pair to serve; ca_file names the CA to trust
    greeting      bytes instead of the usual greeting (CRLF included)
    segment       bytes per TCP segment for everything sent (0 = as it comes)
    latency       seconds before each default answer
    """

    protocol = "imap"
    connection_type = None

    def __init__(self, tls=None, ca=None, pair=None, host="127.0.0.1", directory=None, users=None):
        self.tls = tls
        self.host = host
        self.port = 0
        self.users = users or {"demo": "secret"}
        self.token = "token"
        self.greeting = None
        self.segment = 0
        self.latency = 0
        self.faults = set()
        self.commands = []
        self.connections = []
        self.logins = []  # (user, password, accepted, encrypted)
        self.hooks = []
        self.errors = []  # exceptions of hooks: the test should look (assert not server.errors)
        self.lock = threading.RLock()
        self.listener = None
        self._prepare_tls(ca, pair, directory)

    def _prepare_tls(self, ca, pair, directory):
        self.ca, self.pair = ca, pair
        if self.tls and not (ca and pair):
            self.scratch = None if ca or directory else tempfile.TemporaryDirectory()
            self.ca = ca or certs.CA(directory or self.scratch.name)
            self.pair = pair or self.ca.issue("server")
        self.ca_file = self.ca.cert if self.ca else None

    # Life cycle.

    def start(self):
        """Listens; after stop() on the same port again."""
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.host, self.port))
        self.listener.listen(128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    def refuse(self):
        """No new connections; those that exist go on."""
        listener, self.listener = self.listener, None
        if listener:
            try:
                listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            except OSError:
                pass
            listener.close()

    def drop(self, how="rst"):
        """Ends every open connection: fin or rst."""
        for connection in self.open_connections():
            connection.close(how)

    def stop(self):
        self.refuse()
        self.drop("rst")
        for connection in list(self.connections):
            if connection.thread.ident:
                connection.thread.join(5)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_exc):
        self.stop()

    # What a test asks.

    def on(self, name, function=None, times=-1, match=None, connection=None):
        """Installs a hook for a command ("UID FETCH", "SELECT", "GREETING", "DONE", "*" ...).

        The newest fitting hook wins. times: only so often; match: only lines that the
        expression finds; connection: only on the n-th connection (from 0). Usable as a
        decorator. Hooks are called as function(connection, tag, line), tag and line bytes.

        Besides commands: CONNECT (before TLS and greeting; replaces both), GREETING, DONE (end
        of IDLE), LITERAL (instead of the "+" that invites a literal; returns False if it has
        refused it).
        """
        if function is None:
            return lambda given: self.on(name, given, times, match, connection)
        self.hooks.append(Hook(name.upper(), function, times, match, connection))
        return function

    def off(self, name=None):
        self.hooks = [hook for hook in self.hooks if name and hook.name != name.upper()]

    def open_connections(self):
        return [connection for connection in list(self.connections) if connection.is_open]

    def count(self, name):
        """How often a command was received."""
        return sum(command.name == name.upper() for command in list(self.commands))

    def lines(self, name=None):
        """Lines received, as text, without CRLF."""
        return [command.line.decode("utf-8", "replace").rstrip("\r\n")
                for command in list(self.commands) if not name or command.name == name.upper()]

    def wait_for(self, condition, timeout=10):
        """Waits for a condition (function without arguments, or a command name)."""
        if isinstance(condition, str):
            name = condition
            condition = lambda: self.count(name) > 0
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.01)
        return bool(condition())

    def bytes_sent(self):
        return sum(connection.bytes_out for connection in list(self.connections))

    def find_hook(self, name, line, number):
        with self.lock:
            for hook in reversed(self.hooks):
                if hook.fits(name, line, number):
                    hook.times -= 1
                    return hook.function
        return None

    def _accept(self, listener):
        while True:
            try:
                sock, _address = listener.accept()
            except OSError:
                return
            connection = self.connection_type(self, sock, len(self.connections))
            self.connections.append(connection)
            connection.thread.start()


class ScriptedConnection:
    """One client. Its thread reads commands and calls hooks or the default answers."""

    def __init__(self, server, sock, number):
        self.server = server
        self.sock = sock
        self.number = number
        self.segment = server.segment
        self.is_open = True
        self.is_tls = False
        self.user = None
        self.bytes_in = 0
        self.bytes_out = 0
        self.held = None    # a list while capture() runs
        self.budget = None  # cut_after()
        self.inbuf = b""
        self.current = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    # For hooks: sending.

    def send(self, data):
        """Raw bytes (or text), in segments of self.segment bytes."""
        if isinstance(data, str):
            data = data.encode()
        if self.held is not None:
            self.held.append(data)
            return
        if self.budget and len(data) >= self.budget[0]:
            data, how = data[: self.budget[0]], self.budget[1]
            self._write(data)
            self.step(Cut(how))
        if self.budget:
            self.budget = (self.budget[0] - len(data), self.budget[1])
        self._write(data)

    def line(self, text):
        self.send(text.encode() + b"\r\n" if isinstance(text, str) else text + b"\r\n")

    def default(self):
        """Lets the well-behaved server answer the current command now."""
        tag, name, line = self.current
        self.answer(tag, name, line)

    def capture(self):
        """Like default(), but returns the bytes instead of sending them."""
        self.held = []
        try:
            self.default()
            return b"".join(self.held)
        finally:
            self.held = None

    def cut_after(self, count, how="fin"):
        """After that many more bytes: fin, rst or hang."""
        self.budget = (count, how)

    # For hooks: ending and waiting.

    def sleep(self, seconds):
        end = time.monotonic() + seconds
        while self.is_open and time.monotonic() < end:
            time.sleep(min(0.05, seconds))

    def fin(self):
        self.close("fin")
        raise Closed

    def rst(self):
        self.close("rst")
        raise Closed

    def hang(self):
        """Silent until the test or the client ends the connection; reads nothing more."""
        while self.is_open:
            time.sleep(0.05)
        raise Closed

    def step(self, cut):
        if cut.how == "sleep":
            self.sleep(cut.seconds)
        else:
            getattr(self, cut.how)()

    def close(self, how="fin"):
        """From any thread."""
        self.is_open = False
        try:
            if how == "rst":
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # Its thread may sit in recv(), which close() does not end: shutdown does. For a
            # reset only the read side may go.
            self.sock.shutdown(socket.SHUT_RD if how == "rst" else socket.SHUT_RDWR)
        except OSError:
            pass
        if threading.current_thread() is self.thread or how == "rst":
            self.sock.close()

    def start_tls(self, pair=None):
        """Server side of the TLS handshake on this connection, now."""
        pair = pair or self.server.pair
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        try:
            self.sock = context.wrap_socket(self.sock, server_side=True)
        except (OSError, ValueError):
            self.close("rst")
            raise Closed from None
        self.is_tls = True

    # Bytes.

    def _write(self, data):
        data = self.pack(data)
        size = self.segment or len(data) or 1
        try:
            for at in range(0, len(data), size):
                self.sock.sendall(data[at : at + size])
                self.bytes_out += len(data[at : at + size])
        except (OSError, ValueError):
            self.close("rst")
            raise Closed from None

    def pack(self, data):
        """What goes over the line for these bytes."""
        return data

    unpack = pack

    def read(self, timeout=None):
        """Some bytes; b"" on timeout. Closed when the client is gone."""
        if self.inbuf:
            data, self.inbuf = self.inbuf, b""
            return data
        try:
            self.sock.settimeout(timeout)
            data = self.sock.recv(65536)
        except (TimeoutError, ssl.SSLWantReadError):
            return b""
        except (OSError, ValueError):
            data = None
        finally:
            self._unset_timeout()
        if not data:
            self.close("fin")
            raise Closed
        self.bytes_in += len(data)
        return self.unpack(data)

    def _unset_timeout(self):
        try:
            self.sock.settimeout(None)
        except OSError:
            pass

    def read_line(self, timeout=None):
        """One line with its CRLF; b"" on timeout."""
        while b"\n" not in self.inbuf:
            held, self.inbuf = self.inbuf, b""
            try:
                data = self.read(timeout)
            finally:
                self.inbuf = held
            if not data and timeout is not None:
                return b""
            self.inbuf += data
        line, _, self.inbuf = self.inbuf.partition(b"\n")
        return line + b"\n"

    def read_exactly(self, count):
        out = b""
        while len(out) < count:
            out += self.read()
        self.inbuf = out[count:] + self.inbuf
        return out[:count]

    # The loop.

    def _run(self):
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._begin()
            while True:
                line = self.read_command()
                if line:
                    self.serve(line)
        except Closed:
            pass
        except Exception as error:  # a bug in a hook must not vanish
            # A socket that the test has closed under a hook is none.
            if self.is_open or not isinstance(error, OSError):
                self.server.errors.append(error)
        finally:
            self.is_open = False
            try:
                self.sock.close()
            except OSError:
                pass

    def _begin(self):
        if self._hook("CONNECT", b"", b""):
            return
        if self.server.tls == "implicit":
            self.start_tls()
        if self._hook("GREETING", b"", b""):
            return
        if self.server.greeting is not None:
            self.send(self.server.greeting)
        else:
            self.greet()

    def answer_or_hook(self, tag, name, line):
        """A command that was taken apart: recorded, and answered by a hook or by answer()."""
        self._record(tag, name, line)
        self.current = (tag, name, line)
        if not self._hook(name, tag, line):
            self.default()

    def _record(self, tag, name, line):
        self.server.commands.append(Command(self.number, tag, name, line))

    def _hook(self, name, tag, line):
        function = self.server.find_hook(name, line, self.number)
        if function:
            function(self, tag, line)
        return function is not None
