# SPDX-License-Identifier: MIT
"""The proxy: what goes in comes out, late, slowly, or not at all."""

import socket
import threading
import time

import pytest

from proxy import Proxy


@pytest.fixture
def echo():
    """A server that echoes; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(sock):
        try:
            while data := sock.recv(65536):
                sock.sendall(data)
        except OSError:
            pass
        sock.close()

    def accept():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()
    listener.close()


@pytest.fixture
def proxy(echo):
    with Proxy(echo) as running:
        yield running


def client(proxy):
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def receive(sock, count):
    out = b""
    while len(out) < count:
        data = sock.recv(count - len(out))
        if not data:
            break
        out += data
    return out


def test_bytes_pass_and_are_counted(proxy):
    data = bytes(range(256)) * 2000
    with client(proxy) as sock:
        threading.Thread(target=sock.sendall, args=(data,)).start()
        assert receive(sock, len(data)) == data
    assert proxy.bytes_up() == proxy.bytes_down() == len(data)
    assert proxy.connections[0].down == len(data)


def test_delay_is_kept(proxy):
    proxy.down.delay = 0.2
    with client(proxy) as sock:
        start = time.monotonic()
        sock.sendall(b"x")
        assert receive(sock, 1) == b"x"
        assert time.monotonic() - start >= 0.2


def test_rate_is_kept(proxy):
    proxy.down.rate = 100000
    with client(proxy) as sock:
        start = time.monotonic()
        sock.sendall(b"x" * 20000)
        assert len(receive(sock, 20000)) == 20000
        assert time.monotonic() - start >= 0.2


def test_cut_by_fin(proxy):
    proxy.down.cut = (5, "fin")
    with client(proxy) as sock:
        sock.sendall(b"0123456789")
        assert receive(sock, 10) == b"01234"


def test_cut_by_reset(proxy):
    proxy.up.cut = (5, "rst")
    with client(proxy) as sock:
        sock.sendall(b"0123456789")
        with pytest.raises(ConnectionResetError):
            assert receive(sock, 10) == b"01234"
            sock.recv(1)
            raise AssertionError("no reset")


def test_cut_by_hanging(proxy):
    proxy.down.cut = (5, "hang")
    with client(proxy) as sock:
        sock.sendall(b"0123456789")
        assert receive(sock, 5) == b"01234"
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_refused_then_back_on_the_same_port(proxy):
    port = proxy.port
    proxy.close_listener()
    with pytest.raises(ConnectionRefusedError):
        client(proxy)
    proxy.start()
    assert proxy.port == port
    with client(proxy) as sock:
        sock.sendall(b"x")
        assert receive(sock, 1) == b"x"


def test_drop_ends_living_connections(proxy):
    with client(proxy) as sock:
        sock.sendall(b"x")
        receive(sock, 1)
        proxy.drop("fin")
        assert sock.recv(1) == b""
    assert not proxy.open_connections()


def test_one_byte_pieces(proxy):
    proxy.down.piece = 1
    with client(proxy) as sock:
        sock.sendall(b"hello")
        assert receive(sock, 5) == b"hello"


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_pause_holds_back_and_lets_go(proxy):
    with client(proxy) as sock:
        sock.sendall(b"a")
        assert receive(sock, 1) == b"a"
        proxy.is_paused = True
        sock.sendall(b"hello")
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        proxy.is_paused = False
        sock.settimeout(5)
        assert receive(sock, 5) == b"hello"


def test_half_close_leaves_the_other_way_open(proxy):
    with client(proxy) as sock:
        sock.sendall(b"a")
        assert receive(sock, 1) == b"a"
        up = proxy.bytes_up()
        proxy.connections[0].half_close("down")
        assert sock.recv(1) == b""
        sock.sendall(b"hello")
        wait_for(lambda: proxy.bytes_up() == up + 5)


@pytest.mark.parametrize("how", ["hang", "blackhole"])
def test_what_hangs_is_over_when_its_client_is(proxy, how):
    proxy.blackhole = how == "blackhole"
    with client(proxy) as sock:
        sock.sendall(b"a")
        if how == "hang":
            assert receive(sock, 1) == b"a"
            proxy.drop("hang")
            sock.sendall(b"b")
        wait_for(lambda: len(proxy.open_connections()) == 1)
    wait_for(lambda: not proxy.open_connections())
