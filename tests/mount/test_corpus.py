# SPDX-License-Identifier: MIT
"""Every message of a large mailbox, by every tool: real mail where there is some, else generated."""

import os

import pytest

import mailgen
from tools import (TREE_TOOLS, all_flags, files_of, run, sums, tree_by_tar, true_sums)

FOLDERS = 7


def spread(mails):
    """Real mail over some folders, nested and not."""
    names = ["INBOX"] + ["Corpus/%d" % at for at in range(1, FOLDERS)]
    return {name: mails[at :: FOLDERS] for at, name in enumerate(names)}


def check_all(mount, server, folders, tmp_path, tool):
    flags = all_flags(server, folders)
    expected = true_sums(server, folders)
    m = mount(server)
    tree = TREE_TOOLS[tool](m.path, tmp_path)
    assert sums(tree) == expected
    for path, data in tree.items():
        assert os.stat(m.join(path)).st_size == len(data), path
    assert m.status()["reasons"] == []
    m.stop()
    assert all_flags(server, folders) == flags
    return m, expected


@pytest.fixture(scope="module")
def corpus_dovecot(corpus, ca, ca_pair):
    from dovecot import Dovecot
    server = Dovecot(ca=ca, pair=ca_pair, max_userip=50)
    server.mails = spread(corpus)
    try:
        server.start()
        mailgen.fill(server, server.mails)
        yield server
    finally:
        server.stop()


@pytest.mark.may_skip
@pytest.mark.deadline(180)
@pytest.mark.parametrize("tool", sorted(TREE_TOOLS))
def test_real_mail_is_exact_on_a_cold_mount(mount, corpus_dovecot, tmp_path, tool):
    check_all(mount, corpus_dovecot, list(corpus_dovecot.mails), tmp_path, tool)


@pytest.mark.may_skip
@pytest.mark.deadline(180)
def test_real_mail_is_there_without_the_server(mount, corpus_dovecot, tmp_path):
    m, expected = check_all(mount, corpus_dovecot, list(corpus_dovecot.mails), tmp_path, "tar")
    corpus_dovecot.halt()
    try:
        m.remount()
        assert sums(tree_by_tar(m.path, None)) == expected
        assert m.status()["bodies-fetched"] == 0
        m.stop()
    finally:
        corpus_dovecot.start()


@pytest.mark.deadline(120)
@pytest.mark.parametrize("tool", sorted(TREE_TOOLS))
def test_generated_mail_is_exact_on_a_cold_mount(mount, dovecot, tmp_path, tool):
    check_all(mount, dovecot, list(dovecot.mails), tmp_path, tool)


@pytest.mark.deadline(120)
def test_generated_mail_is_there_without_the_server(mount, make_dovecot, tmp_path):
    mails = mailgen.generate(200, seed=7)
    server = make_dovecot(mails)
    m, expected = check_all(mount, server, list(mails), tmp_path, "tar")
    server.halt()
    m.remount()
    assert sums(tree_by_tar(m.path, None)) == expected
    assert m.status()["bodies-fetched"] == 0
    run(["ls", "-lR", m.path], 20)
    assert len(files_of(m.path)) == len(expected)
