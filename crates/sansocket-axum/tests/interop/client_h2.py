"""Opens a WebSocket over HTTP/2 with Python's `h2` and checks the echo. usage: client_h2.py HOST PORT [CA]"""

import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings

host, port = sys.argv[1], int(sys.argv[2])
stream = socket.create_connection((host, port), timeout=20)
if len(sys.argv) > 3:
    context = ssl.create_default_context(cafile=sys.argv[3])
    context.set_alpn_protocols(["h2"])
    stream = context.wrap_socket(stream, server_hostname=host)
    assert stream.selected_alpn_protocol() == "h2"
connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
connection.initiate_connection()
stream.sendall(connection.data_to_send())


def events():
    while True:
        data = stream.recv(65536)
        assert data, "the server ended the connection"
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            yield event
        stream.sendall(connection.data_to_send())


received = events()
for event in received:
    if isinstance(event, h2.events.RemoteSettingsChanged):
        break
assert connection.remote_settings.enable_connect_protocol == 1, "no extended CONNECT"
number = connection.get_next_available_stream_id()
connection.send_headers(
    number,
    [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https" if len(sys.argv) > 3 else "http"),
        (":authority", f"{host}:{port}"),
        (":path", "/"),
        ("sec-websocket-version", "13"),
        ("origin", f"http://{host}:{port}"),
    ],
)
# A masked text before the response, and a Close frame.
connection.send_data(number, b"\x81\x82\0\0\0\0hi" + b"\x88\x82\0\0\0\0\x03\xe8")
stream.sendall(connection.data_to_send())
content = b""
for event in received:
    if isinstance(event, h2.events.ResponseReceived):
        assert dict(event.headers)[":status"] == "200", event
    elif isinstance(event, h2.events.DataReceived):
        content += event.data
    elif isinstance(event, h2.events.StreamEnded):
        break
    else:
        assert not isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)), event
assert content == b"\x81\x02hi\x88\x02\x03\xe8", content
print("ok")
