"""The programs on the other end: how each is started, and what it cannot do."""

from dataclasses import dataclass, field

from .browsers import Chromium, Firefox
from .tools import FOLDER, HERE, NODE_PACKAGES, PYTHON, WEBSOCAT

PEERS = HERE / "peers"
CA = FOLDER / "tls" / "ca.pem"
CERTIFICATE = [FOLDER / "tls" / "server.pem", FOLDER / "tls" / "server.key"]
NODE = {"NODE_PACKAGES": str(NODE_PACKAGES), "NODE_EXTRA_CA_CERTS": str(CA), "NODE_NO_WARNINGS": "1"}


@dataclass
class Fault:
    deflate: str  # with this class of our compression
    sign: str  # what is said then
    why: str


@dataclass
class Program:
    name: str
    command: list
    needs: tuple = ()  # steps of the installation and programs
    environment: dict = field(default_factory=dict)
    # What is compressed if both want it: "no" message, "both" directions, or only what the server "answers".
    deflate: str = "no"
    # Checks that its interface does not allow, and why.
    cannot: dict = field(default_factory=dict)
    # What fails by faults of its own, and is a failure if it shows in another way.
    faults: tuple = ()


class Command(Program):
    """A client that is started for each URL."""

    def open(self, processes):
        return self

    def close(self):
        pass

    def lines(self, processes, url):
        process, log = processes.start([*self.command[:1], *self.placed(url)], **self.environment)
        try:
            lines = log.wait(lambda lines: False, 30)
            if process.poll() is None:
                lines.append("error does not end")
            return lines
        finally:
            processes.stop(process)

    def placed(self, url):
        return [url if word == "URL" else word for word in self.command[1:]]


class Server(Program):
    def start(self, processes, deflate, is_tls):
        tls = CERTIFICATE if is_tls else []
        return processes.start([*self.command, "on" if deflate else "off", *tls], **self.environment)


def python_client(name, title, **options):
    return Command(title, [PYTHON, PEERS / f"client_{name}.py", "URL", CA], ("Python's packages",), **options)


def node_client(name, title, *options, **more):
    command = ["node", *options, PEERS / f"client_{name}.mjs", "URL", CA]
    return Command(title, command, ("node", "npm packages"), environment=NODE, **more)


TORNADO = "overlooks extension parameters without a value, here both `no_context_takeover`"
TORNADO_CLIENT = Fault("shared", "compressed message cannot be inflated", TORNADO)
WEBSOCAT_CANNOT = {
    **{f"{kind} 0": "takes an empty message for the end" for kind in ("text", "binary")},
    "client closes: answered": "does not tell the code",
    "server closes: seen by the client": "does not tell the code",
    "server closes: answered": "answers with the code of its command line",
}
# It shows with `websockets` as the client too. Empty compressed messages, which we do not send, even end its process.
LWS_FAULTS = (
    Fault("shared", "pm_deflate: zlib error inflate", "fails to inflate large messages over TLS"),
)
LWS_CANNOT = {"server closes: answered": "keeps the answer to its close for itself"}
ANSWERS_1000 = {"server closes: answered": "answers every close with 1000"}

CLIENTS = [
    node_client("ws", "ws", deflate="both"),
    node_client("undici", "undici", deflate="answers"),
    node_client("node", "Node.js", "--experimental-websocket", deflate="answers"),
    python_client("websockets", "websockets", deflate="both"),
    python_client("aiohttp", "aiohttp", deflate="both"),
    python_client("websocket_client", "websocket-client", cannot=ANSWERS_1000),
    python_client("tornado", "tornado", deflate="both", faults=(TORNADO_CLIENT,)),
    Command("Java", ["java", "-cp", FOLDER / "java", "Client", "URL", CA], ("java", "Java class")),
    python_client("curl", "libcurl"),
    Command(
        "websocat",
        [PYTHON, PEERS / "client_websocat.py", "URL", CA, WEBSOCAT],
        ("Python's packages", "websocat"),
        cannot=WEBSOCAT_CANNOT,
    ),
    Chromium("Chromium", deflate="both"),
    Firefox("Firefox", deflate="both"),
]

SERVERS = [
    Server("ws", ["node", PEERS / "server_ws.mjs"], ("node", "npm packages"), environment=NODE, deflate="both"),
    # It declines both what our shared and what our dedicated class asks for first, and takes the second offer.
    Server(
        "ws with limits",
        ["node", PEERS / "server_ws.mjs"],
        ("node", "npm packages"),
        environment={**NODE, "DEFLATE_OPTIONS": '{"serverMaxWindowBits":14,"serverNoContextTakeover":false}'},
        deflate="both",
    ),
    Server("websockets", [PYTHON, PEERS / "server_websockets.py"], ("Python's packages",), deflate="both"),
    Server("aiohttp", [PYTHON, PEERS / "server_aiohttp.py"], ("Python's packages",), deflate="both"),
    Server("tornado", [PYTHON, PEERS / "server_tornado.py"], ("Python's packages",), deflate="both"),
    Server(
        "libwebsockets",
        [FOLDER / "server_lws"],
        ("libwebsockets",),
        deflate="both",
        faults=LWS_FAULTS,
        cannot=LWS_CANNOT,
    ),
]
