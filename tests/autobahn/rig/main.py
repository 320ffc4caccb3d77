"""Command line of the two runners."""

import argparse
import fnmatch
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from .processes import Failure
from .session import Run, run_client, run_server
from .verdict import case_key, load_reports, print_summary, summarise

HERE = Path(__file__).resolve().parent.parent
CRATE = HERE.parent.parent
SUITE = HERE / "venv" / "bin"
CLIENT_PREFIX = "autobahn_client_"

# Sections of the suite that a run covers unless it is told otherwise, and those that compression adds to them.
DEFAULT_CASES = "1.*,2.*,3.*,4.*,5.*,6.*,7.*,9.*,10.*"
DEFLATE_CASES = "12.*,13.*"
PEER_ARGUMENTS = {"server": ["{addr}"], "client": ["{url}", "{agent}"]}


def main(role):
    # So that a time-out of whoever called us still ends what was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return run_role(role, parse(role))
    except Failure as failure:
        print(f"autobahn {role}: {failure}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parse(role):
    words = "{addr} {port}" if role == "server" else "{url} {agent}"
    short = "" if role == "server" else f" (std is short for {CLIENT_PREFIX}std)"
    parser = argparse.ArgumentParser(
        prog=f"tests/autobahn/{role}",
        description=f"Runs the Autobahn test suite against an example {role} of the crate.",
        epilog="Exit status: 0 as the table expects, 1 a deviation, 2 the rig could not run.",
    )
    option = parser.add_argument
    option("name", metavar="NAME", help=f"the example or program{short}; with --command any name for the reports")
    option("--command", metavar="CMD", help=f"test this command instead; it may contain {words}")
    option("--cases", metavar="LIST", help=f"patterns, default {DEFAULT_CASES}; with --deflate {DEFLATE_CASES} too")
    option("--deflate", metavar="CLASS", help="with compression: the example gets --deflate=CLASS, shared or dedicated")
    option("--quick", action="store_true", help="leave out section 9 (large and many messages)")
    option("--features", metavar="LIST", help="features for cargo, default those that the example requires")
    option("--package", metavar="NAME", help="package of the example, default the first that has it")
    option("--stall", metavar="S", type=float, default=60, help="seconds for one case, default %(default)g")
    option("--limit", metavar="S", type=float, default=900, help="seconds in all, default %(default)g")
    options = parser.parse_args()
    if not options.cases:
        options.cases = f"{DEFAULT_CASES},{DEFLATE_CASES}" if options.deflate else DEFAULT_CASES
    if not re.fullmatch(r"\w[\w-]*", options.name, re.ASCII):
        parser.error(f"{options.name!r} is no name: letters, digits, _ and - only")
    return options


def run_role(role, options):
    if not (SUITE / "wstest").exists():
        raise Failure("the suite is not installed: run tests/autobahn/install")
    table = json.loads((HERE / "expected.json").read_text())
    cases = select(table, options)
    name = options.name
    if role == "client" and not options.command and not name.startswith(CLIENT_PREFIX):
        name = CLIENT_PREFIX + name
    argv = shlex.split(options.command) if options.command else [build(name, options), *PEER_ARGUMENTS[role]]
    if options.deflate:
        argv.append(f"--deflate={options.deflate}")
        name = f"{name}-{options.deflate}"
    out = fresh_folder(role, name)
    accelerated = subprocess.run([SUITE / "wstest-accelerated"], stderr=subprocess.DEVNULL).returncode == 0
    slow = "" if accelerated else ", slow for want of wsaccel"
    print(f"{role} {name}: {len(cases)} cases{slow}", flush=True)
    run = Run(
        name=name,
        peer_argv=argv,
        announces=not options.command,
        wstest=str(SUITE / "wstest"),
        cases=cases,
        out=out,
        stall_s=options.stall,
        limit_s=options.limit,
    )
    {"server": run_server, "client": run_client}[role](run)
    summary = summarise(run, role, table, load_reports(run), accelerated)
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    print_summary(summary, os.path.relpath(out))
    return 0 if summary["passed"] else 1


def select(table, options):
    """The chosen cases; every one must be listed by the suite and have a row in the table."""
    listing = subprocess.run([SUITE / "wstest-cases"], stdout=subprocess.PIPE, check=True, text=True)
    listed = listing.stdout.split()
    patterns = options.cases.replace(" ", "").split(",")
    for pattern in patterns:
        if not fnmatch.filter(listed, pattern):
            raise Failure(f"--cases: the suite has no case {pattern}")
    chosen = {case for pattern in patterns for case in fnmatch.filter(listed, pattern)}
    if options.quick:
        chosen = {case for case in chosen if not case.startswith("9.")}
    if not chosen:
        raise Failure("no case is left to run")
    if unknown := sorted(chosen - set(table), key=case_key):
        raise Failure(f"expected.json has no row for {', '.join(unknown)}")
    return sorted(chosen, key=case_key)


def build(name, options):
    """Builds the example or program in release mode; the path of its executable."""
    package, kind, features, required = find(name, options.package)
    argv = ["cargo", "build", "--release", "--package", package, f"--{kind}", name]
    argv += ["--message-format", "json-render-diagnostics"]
    wanted = options.features or ",".join(required + ["deflate"] * bool(options.deflate and "deflate" in features))
    argv += ["--features", wanted]
    built = subprocess.run(argv, cwd=CRATE, stdout=subprocess.PIPE, text=True)
    if built.returncode != 0:
        raise Failure(f"{name} does not build")
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == name:
            return message["executable"]
    raise Failure(f"cargo named no executable for {name}")


def find(name, package):
    """The member of the workspace that has the example or program, its kind, the member's features, and those that it requires."""
    argv = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    listed = subprocess.run(argv, cwd=CRATE, stdout=subprocess.PIPE, text=True)
    if listed.returncode != 0:
        raise Failure("cargo does not read the manifest")
    for member in json.loads(listed.stdout)["packages"]:
        for target in member["targets"]:
            kind = target["kind"][0]
            if target["name"] == name and kind in ("example", "bin") and package in (None, member["name"]):
                return member["name"], kind, member["features"], target.get("required-features", [])
    raise Failure(f"no member of the workspace has an example or program {name}")


def fresh_folder(role, name):
    out = HERE / "reports" / f"{role}-{name}"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    return out
