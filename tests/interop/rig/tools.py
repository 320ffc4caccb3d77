"""Installs what the run needs, from the registries with their own clients, below target/interop."""

import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
FOLDER = ROOT / "target" / "interop"
EXAMPLES = ROOT / "target" / "debug" / "examples"
PYTHON = FOLDER / "venv" / "bin" / "python"
NODE_PACKAGES = FOLDER / "node"
WEBSOCAT = FOLDER / "cargo" / "bin" / "websocat"
WEBSOCAT_VERSION = "1.14.1"

# What is run and Debian's package that brings it.
DEBIAN = {
    "chromium": "chromium",
    "firefox-esr": "firefox-esr",
    "certutil": "libnss3-tools",
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "caddy": "caddy",
    "java": "default-jdk-headless",
    "javac": "default-jdk-headless",
    "openssl": "openssl",
    "node": "nodejs",
    "npm": "npm",
}


def missing(needs, failed):
    """Why one of the programs and steps of the installation is not there, or nothing."""
    for need in needs:
        if need in failed:
            return failed[need]
        if need in DEBIAN and not shutil.which(need, path=path()):
            return f"Debian's package {DEBIAN[need]} is not there"
    return None


def path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def run(command, seconds, **options):
    """What went wrong, or nothing."""
    command = [str(word) for word in command]
    try:
        done = subprocess.run(
            command, timeout=seconds, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    if done.returncode == 0:
        return None
    return f"{' '.join(command[:3])}: " + " ".join((done.stderr or done.stdout).split())[-300:]


def install():
    """Installs what is missing; returns what failed, by name of the step."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    failed = {}
    steps = {
        "Debian's packages": debian,
        "Python's packages": python,
        "npm packages": node,
        "Java class": java,
        "libwebsockets": libwebsockets,
        "websocat": websocat,
        "TLS": certificates,
    }
    for name, step in steps.items():
        print(f"  {name}", flush=True)
        if why := step():
            failed[name] = why
            print(f"    {why}")
    return failed


def debian():
    packages = {package for program, package in DEBIAN.items() if not shutil.which(program, path=path())}
    if not packages:
        return None
    command = ["apt-get", "install", "-y", "--no-install-recommends", *sorted(packages)]
    # No service is to start with its package.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    if run(command, 600, env=environment) is None:
        return None
    return run(["apt-get", "update"], 120) or run(command, 600, env=environment)


def python():
    wanted = (HERE / "requirements.txt").read_text()
    installed = FOLDER / "venv" / "requirements.txt"
    if installed.exists() and installed.read_text() == wanted:
        return None
    failed = run(["python3", "-m", "venv", FOLDER / "venv"], 120) or run(
        [PYTHON, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"], 300
    )
    return failed or (installed.write_text(wanted) and None)


def node():
    NODE_PACKAGES.mkdir(exist_ok=True)
    wanted = (HERE / "package.json").read_text()
    installed = NODE_PACKAGES / "installed.json"
    if installed.exists() and installed.read_text() == wanted:
        return None
    (NODE_PACKAGES / "package.json").write_text(wanted)
    failed = run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], 300, cwd=NODE_PACKAGES)
    return failed or (installed.write_text(wanted) and None)


def java():
    source = HERE / "peers" / "Client.java"
    compiled = FOLDER / "java" / "Client.class"
    if compiled.exists() and compiled.stat().st_mtime > source.stat().st_mtime:
        return None
    return run(["javac", "-encoding", "UTF-8", "-d", compiled.parent, source], 120)


def libwebsockets():
    """Its test server in Debian has no echo; its library has what a server of ours needs."""
    source, compiled = HERE / "peers" / "server_lws.c", FOLDER / "server_lws"
    if compiled.exists() and compiled.stat().st_mtime > source.stat().st_mtime:
        return None
    package = ["apt-get", "install", "-y", "--no-install-recommends", "libwebsockets-dev"]
    compile_it = ["gcc", "-O1", "-o", compiled, source, "-lwebsockets"]
    return run(compile_it, 60) and (run(package, 300) or run(compile_it, 60))


def websocat():
    if WEBSOCAT.exists():
        return None
    what = ["websocat", "--version", WEBSOCAT_VERSION, "--locked", "--root", FOLDER / "cargo"]
    return run(["cargo", "install", "--quiet", "-j", "1", *what], 600)


def certificates():
    """An authority and a certificate for localhost, made anew for each run."""
    folder = FOLDER / "tls"
    folder.mkdir(exist_ok=True)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    commands = [
        ["req", "-x509", *key, "-days", "2", "-subj", "/CN=authority of a test", "-keyout", "ca.key", "-out", "ca.pem"],
        ["req", *key, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"],
        ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
         "-extfile", "names", "-out", "server.pem"],
    ]
    for command in commands:
        if failed := run(["openssl", *command], 30, cwd=folder):
            return failed
    # HAProxy reads both from one file.
    (folder / "both.pem").write_text((folder / "server.pem").read_text() + (folder / "server.key").read_text())
    return None
