"The course as a web page, built once for all the tests that read it, also where they run in several processes; and a server for it."
import fcntl
import functools
import http.server
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def built(tmp_path_factory, worker_id):
    "The folder of the site; the first to ask has it made, the others wait."
    shared = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    folder = shared/"site"
    with open(shared/"site.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared/"site.said").exists():
            done = subprocess.run([sys.executable, str(ROOT/"tools"/"docs.py"), str(folder)], cwd=ROOT, capture_output=True, text=True)
            (shared/"site.said").write_text(f"{done.returncode}\n{done.stdout}\n{done.stderr}")
    said = (shared/"site.said").read_text()
    assert said.startswith("0\n"), said
    return folder/"html"


def pages_of(site): return sorted(f.relative_to(site).as_posix() for f in site.rglob("*.html") if "_static" not in f.parts)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


@contextmanager
def served(site):
    "The folder on a free port of this machine; gives its address."
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try: yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
