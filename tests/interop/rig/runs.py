"""All runs: which program meets which of our servers and clients on which route."""

import time

from . import judge
from .programs import CA, CERTIFICATE, CLIENTS, SERVERS, Command
from .routes import PROXIES
from .running import Failed, Tap
from .tools import EXAMPLES, missing

ADAPTERS = ("std", "tokio")
DEFLATES = ("off", "shared", "dedicated")
VARIANTS = [(adapter, deflate) for adapter in ADAPTERS for deflate in DEFLATES]
# Through proxies fewer: what differs there is the route.
PROXIED = [("std", "off"), ("tokio", "dedicated")]


class Route:
    """How a client reaches the tap before the server."""

    def __init__(self, proxy, is_tls):
        self.proxy, self.is_tls = proxy, is_tls
        self.server_tls = is_tls and proxy is None
        self.variants = VARIANTS if proxy is None else PROXIED
        self.name = (proxy.name if proxy else "direct") + (", TLS" if is_tls else "")

    def url(self, port):
        if self.proxy:
            return self.proxy.url(port, self.is_tls)
        return f"wss://localhost:{port}/" if self.is_tls else f"ws://127.0.0.1:{port}/"


class Runs:
    def __init__(self, processes, failed, only, table):
        self.processes, self.failed, self.table = processes, failed, table
        self.only, self.started = only, {}

    def wanted(self, name):
        return not self.only or name.lower() in self.only

    def all(self):
        clients = [program for program in CLIENTS if self.wanted(program.name)]
        servers = [program for program in SERVERS if self.wanted(program.name)]
        self.routes = [Route(proxy, tls) for proxy in [None, *self.proxies()] for tls in (False, True)]
        for program in filter(self.is_there, clients):
            self.clients_of_ours(program)
        for program in filter(self.is_there, servers):
            self.ours_as_clients(program)

    def is_there(self, program):
        why = missing(program.needs, self.failed)
        if why:
            self.table.unavailable[program.name] = why
        return not why

    def proxies(self):
        for proxy in filter(self.is_there, PROXIES):
            try:
                proxy.start(self.processes)
                yield proxy
            except Failed as error:
                self.table.failed(proxy.name, "its start", str(error))

    def clients_of_ours(self, program):
        try:
            client = program.open(self.processes)
        except Failed as error:
            self.table.failed(program.name, "its start", str(error))
            return
        try:
            for route in self.routes:
                for variant in route.variants:
                    server = self.our_server(variant, route.server_tls)
                    self.one("client", program, client, server, route, variant)
        finally:
            client.close()

    def ours_as_clients(self, program):
        for route in self.routes:
            for variant in route.variants:
                try:
                    server = self.server((program.name, route.server_tls), program.start, True, route.server_tls)
                except Failed as error:
                    self.table.failed(program.name, route.name, str(error))
                    break
                self.one("server", program, self.our_client(variant), server, route, variant)

    def one(self, role, program, client, server, route, variant):
        """Lets the client do all cases; `server` is its port and its log."""
        port, log = server
        skipped, began = len(log.lines()), time.monotonic()
        tap = Tap(port)
        try:
            said = client.lines(self.processes, route.url(tap.port))
            answers = log.wait(lambda lines: len(lines) >= 2, 3, skipped)
        except Failed as error:
            said, answers = [f"error {error}"], log.lines(skipped)
        finally:
            tap.close()
        deflate = "no" if variant[1] == "off" else program.deflate
        wrong = judge.failures(said, answers, tap, deflate, program.cannot)
        checks = len(judge.CHECKS) - len(program.cannot)
        self.table.add(role, program, route.name, variant, deflate, checks, wrong, time.monotonic() - began)

    def our_server(self, variant, is_tls):
        adapter, deflate = variant
        command = [EXAMPLES / f"interop_{adapter}", "server", "127.0.0.1:0", *our_deflate(deflate)]
        command += ["--tls", *CERTIFICATE] if is_tls else []
        return self.server((*variant, is_tls), self.processes.start, command)

    def server(self, key, start, *arguments):
        """Started at its first use."""
        if key not in self.started:
            arguments = arguments if start == self.processes.start else (self.processes, *arguments)
            _, log = start(*arguments)
            self.started[key] = log.port(), log
        return self.started[key]

    def our_client(self, variant):
        adapter, deflate = variant
        command = [EXAMPLES / f"interop_{adapter}", "client", "URL", "--ca", CA, *our_deflate(deflate)]
        return Command("ours", command)


def our_deflate(deflate):
    return [] if deflate == "off" else [f"--deflate={deflate}"]
