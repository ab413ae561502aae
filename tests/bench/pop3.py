# SPDX-License-Identifier: MIT
"""The rows of POP3: a walk through 1,000 messages, against RETR of the same."""

import json
import os

import measure
import work
from measure import Failed, Sample
from rows import group, ratio
from world import MailMount, Proxy


def pop3_port(world, rtt):
    if rtt == 0:
        return world.server.pop3s_port
    key = ("pop3", rtt)
    if key not in world.proxies:
        world.proxies[key] = Proxy(os.path.join(world.tools, "delay_proxy"),
                                   world.server.pop3s_port, rtt, 0)
    return world.proxies[key].port


def raw(world, mail, rtt):
    _sample, out = measure.run([os.path.join(world.tools, "raw_pop3"), "--port",
                                str(pop3_port(world, rtt)), "--user", mail.user, "--password",
                                "secret", "--ca", world.server.ca_file])
    told = json.loads(out)
    if (told["messages"], told["bytes"]) != (mail.count, mail.bytes):
        raise Failed("raw client got %d messages, %d bytes" % (told["messages"], told["bytes"]))
    return Sample(told["seconds"], told["cpu"], work_seconds=told["seconds"] - told["login_seconds"])


class PopMount(MailMount):
    """The maildrop is the root."""

    @property
    def folder(self):
        return self.inner.path


def mount(world, mail, rtt, name, options=()):
    source = "pop3s://%s@localhost:%d" % (mail.user, pop3_port(world, rtt))
    options = ["name=" + name, "tls-ca=" + world.server.ca_file, *options,
               *world.options.mount_options]
    return PopMount(world, source, options, None)


def contenders(bench, mail, rtt):
    def cold(do, name):
        def one():
            with mount(bench.world, mail, rtt, name) as place:
                sample = place.measured(lambda: do(place.folder, mail, place.abort))
                sample.more["total_seconds"] = sample.seconds + place.mount_seconds
                return sample

        return one

    def raw_once():
        return raw(bench.world, mail, rtt)

    return {"raw": raw_once, "grep -r": cold(work.grep, "uid"), "tar": cold(work.tar, "uid"),
            "grep -r, human": cold(work.grep, "human")}


@group("pop3", "POP3: a walk of 1,000 messages", "drop")
def pop3(bench):
    mail = bench.mail("drop")
    raw(bench.world, mail, 0)  # the server's caches are not what is measured
    rows = []
    for rtt, bound in ((bench.rtt, 1.5), (0, None)):
        label = ", %d ms" % round(rtt * 1000)
        series = bench.measure({what + label: one for what, one in contenders(bench, mail, rtt).items()})
        for what in ("grep -r", "tar", "grep -r, human"):
            name = "pop3%s-%s" % (label, what)
            name = "-".join(name.replace(",", " ").replace("-r", "").replace("-", " ").split())
            rows.append(ratio(name, "POP3, cold %s%s : raw RETR" % (what, label), series, what + label,
                              "raw" + label, bound))
            rows.append(ratio(name + "-total", "the same and mounting : raw RETR", series,
                              what + label, "raw" + label, key="total_seconds", other_key="seconds"))
    return rows
