# SPDX-License-Identifier: MIT
"""The least a POP3 client can do, and all it gets, byte for byte (poplib reads lines).

    with RawPop3("localhost", port, tls=context) as pop:
        pop.login("demo", "secret")
        bodies = pop.retr_all()
"""

import socket


class RawPop3:
    def __init__(self, host, port, tls=None, starttls=None, timeout=60):
        self.sock = socket.create_connection((host, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=host)
        self.status()
        if starttls:
            self.ask(b"STLS")
            self.sock = starttls.wrap_socket(self.sock, server_hostname=host)

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.sock.close()

    def until(self, end):
        """What comes before `end`, which is taken away, too."""
        at = 0
        while (found := self.buffer.find(end, at)) < 0:
            at = max(0, len(self.buffer) - len(end))
            data = self.sock.recv(1 << 18)
            if not data:
                raise EOFError("the server hung up")
            self.buffer += data
        out = bytes(self.buffer[:found])
        del self.buffer[: found + len(end)]
        return out

    def status(self):
        line = self.until(b"\r\n")
        if not line.startswith(b"+OK"):
            raise RuntimeError(repr(line))
        return line

    def ask(self, *lines):
        self.sock.sendall(b"".join(line + b"\r\n" for line in lines))
        return self.status()

    def body(self):
        """A message, its dots unstuffed. That of no line at all is its lone dot."""
        self.status()
        self.buffer[:0] = b"\r\n"
        raw = self.until(b"\r\n.\r\n")
        return raw.replace(b"\r\n.", b"\r\n")[2:] + (b"\r\n" if len(raw) > 0 else b"")

    def login(self, user, password):
        self.ask(b"USER " + user.encode())
        self.ask(b"PASS " + password.encode())

    def retr_all(self, ahead=50):
        """Every message, pipelined; then QUIT."""
        count = int(self.ask(b"STAT").split()[1])
        bodies, sent = [], 0
        while len(bodies) < count:
            upto = min(count, len(bodies) + ahead)
            self.sock.sendall(b"".join(b"RETR %d\r\n" % at for at in range(sent + 1, upto + 1)))
            sent = upto
            bodies.append(self.body())
        self.ask(b"QUIT")
        return bodies
