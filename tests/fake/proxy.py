#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A TCP proxy that makes a network slow, narrow, or broken.

    with Proxy(("127.0.0.1", port)) as proxy:
        proxy.down.delay = 0.05          # server to client: latency of each piece
        proxy.up.rate = 10000            # client to server: bytes per second
        proxy.down.cut = (1234, "rst")   # after so many bytes: fin, rst or hang
        proxy.connect_to(proxy.port)...
        proxy.bytes_down(), proxy.connections[0].down

Settings hold for connections made later; cut, delay and rate of a living
connection are its own copies: connection.settings_down.cut = ...
proxy.is_paused = True holds back what comes on every connection until it is
False again. A connection that hangs is open for as long as its client is.
As a command: proxy.py --to 127.0.0.1:143 [--port N] [--delay-down S]
[--delay-up S] [--rate-down B] [--cut-down N:rst] [--verbose]
"""

import argparse
import copy
import socket
import struct
import sys
import threading
import time
from collections import deque


class Settings:
    """One direction. piece = most bytes passed on at once (0 = as they come)."""

    def __init__(self, delay=0.0, rate=0, cut=None, piece=0):
        self.delay = delay
        self.rate = rate
        self.cut = cut
        self.piece = piece


class Proxy:
    def __init__(self, target, host="127.0.0.1", port=0):
        self.target = target
        self.host = host
        self.port = port
        self.up = Settings()
        self.down = Settings()
        self.connections = []
        self.log = []  # (time, connection number, text)
        self.refuse = False  # accept and close at once
        self.blackhole = False  # accept and say nothing
        self.is_paused = False  # pass nothing on, for now
        self.listener = None

    def start(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.host, self.port))
        self.listener.listen(128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    def stop(self):
        self.close_listener()
        self.drop("rst")
        for connection in self.connections:
            connection.join()

    def close_listener(self):
        """Connections are refused from now on; start() listens again on the same port."""
        listener, self.listener = self.listener, None
        if listener:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()

    def drop(self, how="rst"):
        """Ends every connection: fin, rst, or hang (open, but nothing passes any more)."""
        for connection in list(self.connections):
            if connection.is_open:
                connection.end(how)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_exc):
        self.stop()

    def bytes_up(self):
        return sum(connection.up for connection in list(self.connections))

    def bytes_down(self):
        return sum(connection.down for connection in list(self.connections))

    def open_connections(self):
        return [connection for connection in list(self.connections) if connection.is_open]

    def note(self, number, text):
        self.log.append((time.monotonic(), number, text))

    def _accept(self, listener):
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            connection = Connection(self, client, len(self.connections))
            self.connections.append(connection)
            threading.Thread(target=connection.run, daemon=True).start()


class Connection:
    """One client; up and down count the bytes passed on."""

    def __init__(self, proxy, client, number):
        self.proxy = proxy
        self.client = client
        self.server = None
        self.number = number
        self.up = self.down = 0
        self.is_open = True
        self.hanging = False
        self.settings_up = copy.copy(proxy.up)
        self.settings_down = copy.copy(proxy.down)
        self.threads = []
        self.state = threading.Condition()

    def run(self):
        proxy = self.proxy
        proxy.note(self.number, "accepted")
        if proxy.refuse:
            self.end("rst")
            return
        if proxy.blackhole:
            self.hanging = True
            self._swallow()
            return
        try:
            self.server = socket.create_connection(proxy.target, timeout=10)
            self.server.settimeout(None)
        except OSError as error:
            proxy.note(self.number, "target: %s" % error)
            self.end("rst")
            return
        try:
            for sock in (self.client, self.server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:  # it was ended meanwhile
            self.end("rst")
            return
        self._pump("up", self.client, self.server, self.settings_up)
        self._pump("down", self.server, self.client, self.settings_down)

    def end(self, how):
        if how == "hang":
            self.hanging = True
            self.proxy.note(self.number, "hangs")
            return
        if self.is_open:
            self.proxy.note(self.number, how)
        self.is_open = False
        with self.state:
            self.state.notify_all()
        for sock in (self.client, self.server):
            if sock:
                close(sock, how)

    def half_close(self, way):
        """FIN for one side: up, the server, or down, the client; the other way stays open."""
        self.proxy.note(self.number, "half closed: %s" % way)
        try:
            (self.server if way == "up" else self.client).shutdown(socket.SHUT_WR)
        except (OSError, AttributeError):
            pass

    def _swallow(self):
        """Says nothing until the client goes."""
        try:
            while self.client.recv(65536):
                pass
        except OSError:
            pass
        self.end("fin")

    def join(self):
        for thread in list(self.threads):
            thread.join(5)

    def _pump(self, way, source, sink, settings):
        """A reader that stamps pieces and a writer that lets them out in time: so a delay
        does not lower the bandwidth."""
        queue = deque()
        for target in (self._read, self._write):
            thread = threading.Thread(target=target, args=(way, source, sink, settings, queue),
                                      daemon=True)
            thread.start()
            self.threads.append(thread)

    def _read(self, way, source, _sink, settings, queue):
        data = b"x"
        while data and self.is_open:
            try:
                data = source.recv(settings.piece or 65536)
            except OSError:
                data = b""
            with self.state:
                queue.append((time.monotonic() + settings.delay, data))
                self.state.notify_all()
                while self.is_open and len(queue) > 64:
                    self.state.wait(1)

    def _write(self, way, _source, sink, settings, queue):
        while self.is_open:
            with self.state:
                while self.is_open and not queue:
                    self.state.wait(1)
                if not self.is_open:
                    return
                due, data = queue.popleft()
                self.state.notify_all()
            self._sleep(due - time.monotonic())
            while self.proxy.is_paused and self.is_open:
                time.sleep(0.01)
            if not self._pass_on(way, sink, settings, data):
                return

    def _pass_on(self, way, sink, settings, data):
        """One piece to its sink; False when the connection has come to its end."""
        if not data:
            if self.hanging:
                return self._end_of_hanging(way)
            self._half_close(way, sink)
            return False
        if self.hanging:
            return True
        cut = settings.cut
        done = getattr(self, way)
        if cut and done + len(data) >= cut[0]:
            data = data[: max(0, cut[0] - done)]
        if settings.rate:
            self._sleep(len(data) / settings.rate)
        if self.hanging:
            return True
        setattr(self, way, done + len(data))  # before the peer can see them and ask
        try:
            sink.sendall(data)
        except OSError:
            self.end("rst")
            return False
        if cut and done + len(data) >= cut[0]:
            self.end(cut[1])
            return self.hanging
        return True

    def _end_of_hanging(self, way):
        """The client has closed what told it nothing any more; of the server's end it knows not."""
        if way == "up":
            self.end("fin")
        return False

    def _half_close(self, way, sink):
        self.proxy.note(self.number, "end of %s" % way)
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        if way == "down":
            self.end("fin")

    def _sleep(self, seconds):
        end = time.monotonic() + seconds
        while self.is_open and time.monotonic() < end:
            time.sleep(min(0.05, max(0, end - time.monotonic())))


def close(sock, how):
    try:
        if how == "rst":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # A thread may sit in recv(): shutdown wakes it; for a reset only the read side may go.
        sock.shutdown(socket.SHUT_RD if how == "rst" else socket.SHUT_RDWR)
    except OSError:
        pass
    sock.close()


def cut_argument(text):
    count, _, how = text.partition(":")
    return int(count), how or "fin"


def main():
    parser = argparse.ArgumentParser(description="a TCP proxy that breaks things")
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--port", type=int, default=0)
    for way in ("up", "down"):
        parser.add_argument("--delay-" + way, type=float, default=0, metavar="SECONDS")
        parser.add_argument("--rate-" + way, type=int, default=0, metavar="BYTES")
        parser.add_argument("--cut-" + way, type=cut_argument, metavar="N:fin|rst|hang")
        parser.add_argument("--piece-" + way, type=int, default=0, metavar="BYTES")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    host, _, port = args.to.rpartition(":")
    proxy = Proxy((host, int(port)), port=args.port)
    for way in ("up", "down"):
        setattr(proxy, way, Settings(*(getattr(args, "%s_%s" % (name, way))
                                       for name in ("delay", "rate", "cut", "piece"))))
    proxy.start()
    print(proxy.port, flush=True)
    try:
        while True:
            time.sleep(0.5)
            while args.verbose and proxy.log:
                print("%.3f #%d %s" % proxy.log.pop(0), file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        proxy.stop()


if __name__ == "__main__":
    main()
