# SPDX-License-Identifier: MIT
"""What was measured, as text and as JSON."""

import json
import os
import platform
import subprocess


def machine(world):
    """What the numbers depend on."""
    with open("/proc/cpuinfo") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    done = subprocess.run(["df", "--output=fstype", world.place], capture_output=True, text=True,
                          check=False)
    return {"cpu": models[0] if models else platform.machine(), "cpus": os.cpu_count(),
            "kernel": platform.release(), "filesystem": done.stdout.split()[-1] if done.stdout else "?",
            "load": round(os.getloadavg()[0], 2), "dovecot": version(["dovecot", "--version"]),
            "mbsync": version(["mbsync", "--version"]), "commit": version(
                ["git", "-C", os.path.dirname(os.path.abspath(__file__)), "rev-parse", "--short", "HEAD"])}


def version(command):
    try:
        out = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return "none"
    return out.split("\n")[0].strip()


def settings(options):
    return {"rtt_ms": options.rtt, "runs": options.runs, "connections": options.connections,
            "mbit": options.mbit, "counts": options.counts, "quick": options.quick,
            "mount_options": options.mount_options}


def number(value, unit=""):
    if value is None:
        return "?"
    if unit == "":
        return "%d" % value
    return ("%.2f" if value < 100 else "%.0f") % value + (unit if unit == "×" else " " + unit)


def table(rows):
    """The rows as aligned text."""
    lines = [("", "measured", "at most", "", "")]
    for row in rows:
        bound = number(row.bound, row.unit) if row.bound is not None else ""
        lines.append((row.text, number(row.value, row.unit), bound, row.verdict,
                      row.error.split("\n")[0][:140] if row.error else row.note))
    widths = [max(len(line[at]) for line in lines) for at in range(4)]
    return "\n".join("%-*s  %*s  %*s  %-*s  %s" % (
        widths[0], line[0], widths[1], line[1], widths[2], line[2], widths[3], line[3], line[4])
        for line in lines).replace(" \n", "\n")


def times(bench):
    """Medians of every contender."""
    lines = []
    for group, series in bench.series.items():
        lines.append("%-34s %4s %10s %19s %10s %10s %10s" % (
            group, "runs", "median s", "least - most s", "CPU s", "all busy", "peak MiB"))
        for name, one in series.items():
            if not one.samples:
                lines.append("  %-32s failed: %s" % (name, (one.error or "?").split("\n")[0][:100]))
                continue
            least, most = one.spread()
            peak = one.median("peak") or 0
            busy = one.median("busy")
            lines.append("  %-32s %4d %10.3f %9.3f - %7.3f %10.3f %10s %10.1f" % (
                name, len(one.samples), one.median(), least, most, one.median("cpu"),
                "?" if busy is None else "%.0f %%" % (100 * busy), peak / (1 << 20)))
        lines.append("")
    return "\n".join(lines)


def text(bench, rows, facts):
    asked = settings(bench.options)
    head = "mailfs bench: %(cpu)s, %(cpus)s CPUs, kernel %(kernel)s, %(filesystem)s, load %(load)s\n" \
           "commit %(commit)s, Dovecot %(dovecot)s, %(mbsync)s\n" % facts
    head += "%d ms, %d connections, TLS, medians of %d; mixed: %s, small: %s messages\n" % (
        asked["rtt_ms"], asked["connections"], asked["runs"], asked["counts"]["mixed"],
        asked["counts"]["small"])
    verdicts = [row.verdict for row in rows]
    foot = "%d ok, %d over, %d failed, %d without a bound" % tuple(
        verdicts.count(one) for one in ("ok", "OVER", "failed", "-"))
    return "%s\n%s\n\n%s\n%s\n" % (head, table(rows), times(bench), foot)


def as_json(bench, rows, facts):
    return json.dumps({
        "machine": facts, "settings": settings(bench.options),
        "rows": [row.as_dict() for row in rows],
        "samples": {group: {name: {"error": one.error,
                                   "runs": [sample.as_dict() for sample in one.samples]}
                            for name, one in series.items()}
                    for group, series in bench.series.items()},
    }, indent=1, ensure_ascii=False) + "\n"
