# SPDX-License-Identifier: MIT
"""What is done with a directory of messages. Each call is timed and checks its own result.

    work(folder, mail, abort) → Sample      abort(): breaks the mount if the work hangs in it
"""

import os
import re

import corpus
from measure import Failed, run

REPEAT = 5  # what takes only milliseconds is done five times in one go
LIMIT = 600


def expect(what, got, wanted):
    if got != wanted:
        raise Failed("%s: %d, not %d" % (what, got, wanted))


def number(out):
    return int(out.split()[0])


def grep(folder, mail, abort=None):
    sample, out = run(["grep", "-rlF", corpus.NEEDLE, folder], LIMIT, good=(0, 1), on_timeout=abort)
    expect("files with the needle", out.count(b"\n"), mail.needles)
    return sample


def tar(folder, mail, abort=None):
    # To a pipe: GNU tar does not read what it writes to /dev/null.
    sample, out = run("tar -cf - . | wc -c", LIMIT, cwd=folder, on_timeout=abort)
    if not mail.bytes < number(out) < mail.bytes + mail.count * 2048 + 65536:
        raise Failed("an archive of %d bytes for %d" % (number(out), mail.bytes))
    return sample


def head(folder, mail, abort=None):
    sample, out = run("find . -type f -exec head -qn 5 {} + | wc -l", LIMIT, cwd=folder,
                      on_timeout=abort)
    expect("lines", number(out), 5 * mail.count)
    return sample


def readers(folder, mail, abort=None):
    """Four at once, each with runs of 32 messages in listing order."""
    sample, out = run("find . -type f -print0 | xargs -0 -P 4 -n 32 cat | wc -c", LIMIT,
                      cwd=folder, on_timeout=abort)
    expect("bytes", number(out), mail.bytes)
    return sample


def backwards(folder, mail, abort=None):
    sample, out = run("seq %d -1 1 | sed 's/$/.eml/' | xargs cat | wc -c" % mail.count, LIMIT,
                      cwd=folder, on_timeout=abort)
    expect("bytes", number(out), mail.bytes)
    return sample


def rsync_to(world):
    """rsync -a into a new directory of the same disk."""

    def rsync(folder, mail, abort=None):
        with world.directory() as place:
            sample, _out = run(["rsync", "-a", folder + "/", place + "/"], LIMIT, on_timeout=abort)
            found = list(os.scandir(place))
            expect("files copied", len(found), mail.count)
            expect("bytes copied", sum(one.stat().st_size for one in found), mail.bytes)
        return sample

    return rsync


def repeated(command):
    return "for i in %s; do %s; done" % (" ".join(str(i) for i in range(REPEAT)), command)


def ls(folder, mail, abort=None):
    sample, out = run(["ls", folder], LIMIT, on_timeout=abort)
    expect("names", out.count(b"\n"), mail.count)
    return sample


def look_for_nothing(folder, mail, abort=None):
    """Answered when all of a folder is known, without listing it."""
    sample, out = run("stat '%s/4294967295.eml' 2>&1 || true" % folder, LIMIT, on_timeout=abort)
    expect("answers that there is no such name", out.count(b"No such file"), 1)
    return sample


def many_ls(folder, mail, abort=None):
    sample, out = run(repeated("ls"), LIMIT, cwd=folder, on_timeout=abort)
    expect("names", out.count(b"\n"), mail.count * REPEAT)
    return sample


def many_ls_long(folder, mail, abort=None):
    sample, out = run(repeated("ls -l"), LIMIT, cwd=folder, on_timeout=abort)
    expect("lines", len(re.findall(rb"\.eml$", out, re.M)), mail.count * REPEAT)
    return sample


def many_find_newer(reference, wanted):
    def find_newer(folder, _mail, abort=None):
        sample, out = run(repeated("find . -type f -newer '%s'" % reference), LIMIT, cwd=folder,
                          on_timeout=abort)
        expect("newer files", out.count(b"\n"), wanted * REPEAT)
        return sample

    return find_newer


def read_start(path, size, abort=None):
    sample, out = run(["head", "-c", str(size), path], LIMIT, on_timeout=abort)
    expect("bytes", len(out), size)
    return sample


def cat(path, size, abort=None):
    sample, out = run("cat '%s' | wc -c" % path, LIMIT, on_timeout=abort)
    expect("bytes", number(out), size)
    return sample
