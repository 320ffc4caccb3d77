"""Browsers: a page of ours asks for one URL after the other, and posts what happened."""

import http.server
import queue
import tempfile
import threading
from pathlib import Path

from .running import Failed
from .tools import FOLDER, HERE, run

FILES = {"/page.html": "text/html", "/cases.mjs": "text/javascript"}
FIREFOX_PREFERENCES = """
user_pref("app.update.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.proxy.type", 0);
user_pref("toolkit.telemetry.enabled", false);
"""


class Page(http.server.BaseHTTPRequestHandler):
    """Serves the page, the next URL and takes the report."""

    def do_GET(self):
        if self.path == "/next":
            self.respond(self.server.urls.get(), "text/plain")
        elif kind := FILES.get(self.path):
            self.respond((HERE / "peers" / self.path[1:]).read_text(), kind)
        else:
            self.send_error(404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.reports.put(body.decode().splitlines())
        self.respond("", "text/plain")

    def respond(self, body, kind):
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


class Browser:
    faults, cannot = (), {}

    def __init__(self, name, deflate):
        self.name, self.deflate = name, deflate
        self.needs = (self.program, "certutil", "TLS")

    def open(self, processes):
        self.processes = processes
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.server.daemon_threads = True
        self.server.urls, self.server.reports = queue.Queue(), queue.Queue()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.home = tempfile.TemporaryDirectory(prefix="interop-", ignore_cleanup_errors=True)
        page = f"http://127.0.0.1:{self.server.server_address[1]}/page.html"
        home = Path(self.home.name)
        self.process, self.log = processes.start(self.command(home, page), HOME=str(home))
        return self

    def lines(self, processes, url):
        self.server.urls.put(url)
        try:
            return self.server.reports.get(timeout=40)
        except queue.Empty:
            raise Failed("the page reports nothing: " + " | ".join(self.log.lines()[-3:])) from None

    def close(self):
        self.server.urls.put("")
        self.processes.stop(self.process)
        self.server.shutdown()
        self.home.cleanup()

    def trust(self, database):
        """Makes our authority one of the browser's."""
        database.mkdir(parents=True, exist_ok=True)
        where = ["-d", f"sql:{database}"]
        failed = run(["certutil", "-N", *where, "--empty-password"], 30) or run(
            ["certutil", "-A", *where, "-n", "test", "-t", "C,,", "-i", FOLDER / "tls" / "ca.pem"], 30
        )
        if failed:
            raise Failed(failed)


class Chromium(Browser):
    program = "chromium"

    def command(self, home, page):
        self.trust(home / ".pki" / "nssdb")
        quiet = "disable-gpu disable-quic no-first-run disable-background-networking disable-component-update disable-sync"
        flags = [f"--{flag}" for flag in f"headless no-sandbox {quiet}".split()]
        return ["chromium", *flags, f"--user-data-dir={home}/profile", page]


class Firefox(Browser):
    program = "firefox-esr"

    def command(self, home, page):
        profile = home / "profile"
        self.trust(profile)
        (profile / "user.js").write_text(FIREFOX_PREFERENCES)
        return ["firefox-esr", "--headless", "--no-remote", "--profile", profile, page]
