"""Which of the checks of one client against one server hold, from what both printed and what passed between them."""

SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20]
BYTES = 2 * sum(SIZES)
MESSAGES = [f"{kind} {size}" for size in SIZES for kind in ("text", "binary")]
CHECKS = [
    *MESSAGES,
    "client closes: seen by the server",
    "client closes: answered",
    "server closes: seen by the client",
    "server closes: answered",
    "compression",
    "no errors",
]


def failures(client, server, tap, deflate, cannot):
    """`deflate` is "no", "both" or, where only the server compresses, "answers"; `cannot` names checks to leave out."""
    wrong = {name: "no answer" for name in MESSAGES if f"ok {name}" not in client}
    closes = {
        "client closes: seen by the server": (server, "closed 4001 à bientôt"),
        "client closes: answered": (client, "closed client 4001"),
        "server closes: seen by the client": (client, "closed server 4002 à plus tard"),
        "server closes: answered": (server, "closed 4002"),
    }
    for check, (lines, wanted) in closes.items():
        if not any(line.startswith(wanted) for line in lines):
            wrong[check] = f"no {wanted!r} in {[line for line in lines if not line.startswith('ok ')]}"
    if said := compression(tap, deflate):
        wrong["compression"] = said
    if errors := [line for line in client + server if line.startswith("error")]:
        wrong["no errors"] = "; ".join(errors)
    return {check: why for check, why in wrong.items() if check not in cannot}


def compression(tap, deflate):
    """What is wrong with it, or nothing. Half of the bytes are text that shrinks to little, the others do not shrink."""
    for extensions in tap.extensions:  # none were seen in TLS
        if ("permessage-deflate" in extensions) != (deflate != "no"):
            return f"extensions: {extensions or 'none'}"
    for name, passed, small in (
        ("to the server", tap.to_server, deflate == "both"),
        ("to the client", tap.to_client, deflate != "no"),
    ):
        if small != (passed < BYTES * 3 // 4):
            return f"{passed} bytes {name}, {BYTES} without compression"
    return None
