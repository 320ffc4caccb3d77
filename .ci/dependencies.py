"""Fails if the library's dependencies, with default features, are other, more or newer than they may be."""

import json
import subprocess
import sys

DIRECT = {"base64", "bytes", "httparse", "rand", "sha1", "simdutf8"}
OPTIONAL = {
    "futures-core",
    "futures-sink",
    "h2",
    "http",
    "hyper",
    "hyper-util",
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


metadata = json.loads(output("cargo", "metadata", "--locked", "--format-version=1"))
packages = {package["id"]: package for package in metadata["packages"]}
by_name = {(package["name"], package["version"]): package["id"] for package in metadata["packages"]}
root = metadata["resolve"]["root"]

# cargo's metadata has the features of all members of the workspace at once; its tree has those of the library alone. What is
# compiled into the library or for it: no tests, no benches.
tree = output("cargo", "tree", "--locked", "--package=sansocket", "--edges=normal,build", "--prefix=none", "--format={p}")
reached = {by_name[name, version[1:]] for name, version, *_ in map(str.split, tree.splitlines())}


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
for package in sorted((packages[id] for id in reached), key=lambda package: package["name"]):
    name, needs = package["name"], package["rust_version"]
    print(f"{name} {package['version']}, rust-version {needs or 'not stated'}")
    if needs is None and name not in NO_RUST_VERSION:
        problems.append(f"{name} states no rust-version: look it up, then add it to NO_RUST_VERSION")
    elif needs is not None and version(needs) > version(msrv):
        problems.append(f"{name} needs Rust {needs}, the MSRV is {msrv}")
print(f"{len(reached)} crates in all")
sys.exit("\n".join(problems) or None)
