"""A real nginx as a backend where speed or a real server's habits matter.

In: a host, a folder for its files, an address. Out: a running process, answering on port 9080:
/0 (empty), /1k, /64k, /64m, anything else its name. Its owner ends it.
"""

import os
import time

CONF = """daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log warn;
events {{ worker_connections 4096; multi_accept on; }}
http {{
    access_log off; sendfile on; keepalive_requests 1000000000; keepalive_timeout 1h; client_max_body_size 0;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen {address}:9080 backlog=4096;
        root {folder}/files;
        add_header x-served-by nginx;
        location /any {{ return 200 "{address}\\n"; }}
    }}
}}
"""
SIZES = {"0": 0, "1k": 1024, "64k": 65536, "64m": 64 << 20}


def start(host, folder, address):
    os.makedirs(f"{folder}/files", exist_ok=True)
    for name, size in SIZES.items():
        with open(f"{folder}/files/{name}", "wb") as file:
            file.truncate(size)
    with open(f"{folder}/nginx.conf", "w") as file:
        file.write(CONF.format(folder=folder, address=address))
    if os.path.exists(f"{folder}/nginx.pid"):
        os.unlink(f"{folder}/nginx.pid")
    process = host.start("nginx", "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf", log=f"{folder}/nginx.log")
    deadline = time.monotonic() + 5
    while not os.path.exists(f"{folder}/nginx.pid"):
        if time.monotonic() > deadline or process.poll() is not None:
            raise RuntimeError(f"nginx did not start: {open(f'{folder}/nginx.log').read()}")
        time.sleep(0.01)
    return process
