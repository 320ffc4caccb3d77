"""Fails if the library's dependencies, with default features, are other, more or newer than they may be."""

import json
import subprocess
import sys

DIRECT = {"base64", "bytes", "httparse", "rand", "sha1", "simdutf8"}
OPTIONAL = {
    "futures-core",
    "futures-sink",
    "http",
    "pulp",
    "rustls",
    "rustls-platform-verifier",
    "tokio",
    "tokio-rustls",
    "webpki-roots",
    "zlib-rs",
}  # off by default, so that what it needs is not counted
MOST = 18  # crates in all, the library included
NO_RUST_VERSION = {"httparse", "simdutf8"}  # they state none; they build with compilers far older than ours


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


host = next(line.split()[1] for line in output("rustc", "-vV").splitlines() if line.startswith("host:"))
metadata = json.loads(output("cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", host))
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
root = metadata["resolve"]["root"]


def used_by(node):
    """What is compiled into the library or for it: no tests, no benches."""
    return [dep["pkg"] for dep in nodes[node]["deps"] if any(kind["kind"] != "dev" for kind in dep["dep_kinds"])]


reached = {root}
queue = [root]
while queue:
    for package in used_by(queue.pop()):
        if package not in reached:
            reached.add(package)
            queue.append(package)


def version(text):
    return tuple(int(part) for part in (text.split(".") + ["0", "0"])[:3])


problems = []
# The manifest's list, so that an optional dependency that is off by default counts too.
direct = {dep["name"] for dep in packages[root]["dependencies"] if dep["kind"] is None}
if direct != DIRECT | OPTIONAL:
    problems.append(f"direct dependencies: {sorted(direct)}, allowed are exactly {sorted(DIRECT | OPTIONAL)}")
if len(reached) > MOST:
    problems.append(f"{len(reached)} crates in all, at most {MOST}")
msrv = packages[root]["rust_version"]
with open("clippy.toml", encoding="utf-8") as file:
    if f'msrv = "{msrv}"' not in file.read():
        problems.append(f"clippy.toml does not have the MSRV {msrv} of Cargo.toml")
for package in sorted((packages[id] for id in reached), key=lambda package: package["name"]):
    name, needs = package["name"], package["rust_version"]
    print(f"{name} {package['version']}, rust-version {needs or 'not stated'}")
    if needs is None and name not in NO_RUST_VERSION:
        problems.append(f"{name} states no rust-version: look it up, then add it to NO_RUST_VERSION")
    elif needs is not None and version(needs) > version(msrv):
        problems.append(f"{name} needs Rust {needs}, the MSRV is {msrv}")
print(f"{len(reached)} crates in all")
sys.exit("\n".join(problems) or None)
