"""Reverse proxies between client and server: the first part of a URL's path is the port that they pass it to."""

from .running import free_port, wait_until_listening
from .tools import FOLDER

NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  server {{
    listen 127.0.0.1:{plain};
    listen 127.0.0.1:{tls} ssl;
    ssl_certificate {certificates}/server.pem;
    ssl_certificate_key {certificates}/server.key;
    location ~ ^/([0-9]+)/ {{
      proxy_pass http://127.0.0.1:$1;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
    }}
  }}
}}
"""
HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout tunnel 30s
frontend all
  bind 127.0.0.1:{plain}
  bind 127.0.0.1:{tls} ssl crt {certificates}/both.pem alpn http/1.1
  default_backend by_path
backend by_path
  http-request set-dst ipv4(127.0.0.1)
  http-request set-dst-port path,field(2,/)
  server any 0.0.0.0:0
"""
CADDY = """
{{
  admin off
  auto_https off
  storage file_system {folder}/caddy
  servers {{
    protocols h1
  }}
}}
(pass) {{
  bind 127.0.0.1
  @port path_regexp port ^/([0-9]+)/
  reverse_proxy @port 127.0.0.1:{{re.port.1}}
}}
http://:{plain} {{
  import pass
}}
https://:{tls} {{
  tls {certificates}/server.pem {certificates}/server.key
  import pass
}}
"""


class Proxy:
    def __init__(self, name, program, config, command):
        self.name, self.config, self.command = name, config, command
        self.needs = (program, "TLS")

    def start(self, processes):
        self.plain, self.tls = free_port(), free_port()
        folder = FOLDER / "proxies"
        folder.mkdir(exist_ok=True)
        file = folder / self.name
        names = {"plain": self.plain, "tls": self.tls, "folder": folder, "certificates": FOLDER / "tls"}
        file.write_text(self.config.format(**names))
        command = [str(file) if word == "CONFIG" else word for word in self.command]
        self.process, log = processes.start(command)
        wait_until_listening(self.plain, log)
        wait_until_listening(self.tls, log)

    def url(self, port, is_tls):
        return f"wss://localhost:{self.tls}/{port}/" if is_tls else f"ws://127.0.0.1:{self.plain}/{port}/"


PROXIES = [
    Proxy("nginx", "nginx", NGINX, ["nginx", "-c", "CONFIG"]),
    Proxy("HAProxy", "haproxy", HAPROXY, ["haproxy", "-db", "-f", "CONFIG"]),
    Proxy("Caddy", "caddy", CADDY, ["caddy", "run", "--adapter", "caddyfile", "--config", "CONFIG"]),
]
