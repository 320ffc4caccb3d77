"""What the servers in Python have in common."""

import re
import ssl
import sys

DEFLATE = sys.argv[1] == "on"


def tls():
    if len(sys.argv) < 4:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    return context


def requested_close(message):
    """The code and the reason with which the client wants the server to close."""
    found = re.fullmatch(r"close (\d+) (.*)", message) if isinstance(message, str) else None
    return found and (int(found[1]), found[2])


def report(close):
    print("closed {} {}".format(*close) if close else "error not closed", flush=True)
