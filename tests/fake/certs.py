# SPDX-License-Identifier: MIT
"""A throwaway certificate authority for tests, made with the openssl command.

    ca = CA(directory)
    good = ca.issue("good")                    # localhost, 127.0.0.1
    bad = ca.issue("other", dns=["other.example"], ips=[])
    good.cert, good.key, ca.cert               # paths of PEM files
"""

import datetime
import os
import subprocess


class Pair:
    """A certificate and its key, as two PEM files."""

    def __init__(self, cert, key):
        self.cert = cert
        self.key = key

    def fingerprint(self):
        """SHA-256 of the certificate (DER), lower-case hex."""
        text = openssl("x509", "-in", self.cert, "-noout", "-fingerprint", "-sha256")
        return text.split("=", 1)[1].strip().replace(":", "").lower()


def openssl(*args, stdin=None):
    done = subprocess.run(["openssl", *args], input=stdin, text=True,
                          capture_output=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError("openssl %s: %s" % (" ".join(args), done.stderr))
    return done.stdout


CONFIG = """
[req]
distinguished_name = dn
prompt = no
[dn]
CN = {cn}
[ca]
default_ca = this
[this]
database = {dir}/index.txt
new_certs_dir = {dir}
serial = {dir}/serial
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
[v3_ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[v3_leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = {eku}
{san}
"""


class CA:
    """Own directory, own key; certificates are valid from yesterday for a year."""

    def __init__(self, directory, name="mailfs test CA"):
        self.dir = os.path.abspath(directory)
        os.makedirs(self.dir, exist_ok=True)
        self.cert = os.path.join(self.dir, "ca.pem")
        self.key = os.path.join(self.dir, "ca.key")
        self._write("index.txt", "")
        self._write("serial", "01%014x\n" % int.from_bytes(os.urandom(7), "big"))
        conf = self._config("ca", name)
        self._new_key(self.key)
        openssl("req", "-x509", "-new", "-key", self.key, "-out", self.cert,
                "-days", "3650", "-config", conf, "-extensions", "v3_ca")

    def issue(self, label, dns=("localhost",), ips=("127.0.0.1", "::1"), cn="localhost",
              expired=False, future=False, eku="serverAuth"):
        """A leaf signed by this CA. No dns and no ips = a CN-only certificate."""
        pair = self._pair(label)
        conf = self._config(label, cn, dns, ips, eku)
        request = os.path.join(self.dir, label + ".csr")
        openssl("req", "-new", "-key", pair.key, "-out", request, "-config", conf)
        now = datetime.datetime.utcnow()
        start, end = now - datetime.timedelta(days=1), now + datetime.timedelta(days=365)
        if expired:
            start, end = now - datetime.timedelta(days=60), now - datetime.timedelta(days=30)
        if future:
            start = now + datetime.timedelta(days=30)
        openssl("ca", "-batch", "-notext", "-config", conf, "-extensions", "v3_leaf",
                "-cert", self.cert, "-keyfile", self.key, "-in", request, "-out", pair.cert,
                "-startdate", start.strftime("%Y%m%d%H%M%SZ"),
                "-enddate", end.strftime("%Y%m%d%H%M%SZ"))
        return pair

    def self_signed(self, label, dns=("localhost",), ips=("127.0.0.1",), cn="localhost"):
        """A leaf that no CA signed."""
        pair = self._pair(label)
        conf = self._config(label, cn, dns, ips)
        openssl("req", "-x509", "-new", "-key", pair.key, "-out", pair.cert,
                "-days", "365", "-config", conf, "-extensions", "v3_leaf")
        return pair

    def bad(self, kind):
        """One of the usual bad certificates: see BAD_KINDS."""
        return {
            "other-name": lambda: self.issue(kind, ["other.example"], [], "other.example"),
            "expired": lambda: self.issue(kind, expired=True),
            "not-yet-valid": lambda: self.issue(kind, future=True),
            "self-signed": lambda: self.self_signed(kind),
            "cn-only": lambda: self.issue(kind, [], []),
            "wildcard-ip": lambda: self.issue(kind, ["*.0.0.1"], [], "*.0.0.1"),
            "client-only": lambda: self.issue(kind, eku="clientAuth"),
            "unknown-ca": lambda: CA(os.path.join(self.dir, "unknown"), "unknown CA").issue(kind),
        }[kind]()

    def _pair(self, label):
        pair = Pair(os.path.join(self.dir, label + ".pem"), os.path.join(self.dir, label + ".key"))
        self._new_key(pair.key)
        return pair

    def _new_key(self, path):
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)

    def _write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as out:
            out.write(text)
        return path

    def _config(self, label, cn, dns=(), ips=(), eku="serverAuth"):
        names = ["DNS:" + name for name in dns] + ["IP:" + ip for ip in ips]
        san = "subjectAltName = " + ",".join(names) if names else ""
        text = CONFIG.format(cn=cn, dir=self.dir, san=san, eku=eku)
        return self._write(label + ".cnf", text)


BAD_KINDS = ("other-name", "expired", "not-yet-valid", "self-signed", "cn-only",
             "wildcard-ip", "client-only", "unknown-ca")
