"`rheumkit lab` ends when it is told to, and its server with it."
import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from servers import LAB, free_port, places, wait_for

from rheumkit import cli
from rheumkit.cli import run_until_told

posix = pytest.mark.skipif(os.name != "posix", reason="signals as these are sent on POSIX systems only")


def is_listening(port):
    with socket.socket() as s: return s.connect_ex(("127.0.0.1", port)) == 0


def is_running(process):
    try: os.kill(process, 0)
    except ProcessLookupError: return False
    return True


@posix
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_lab_takes_its_server_along(number, tmp_path):
    port, environment = free_port(), os.environ | places(tmp_path)
    with open(tmp_path/"log", "w") as log:
        lab = subprocess.Popen([*LAB, "--port", str(port), "--folder", str(tmp_path/"course")], cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True)
    server = None
    try:
        def running():
            assert lab.poll() is None, (tmp_path/"log").read_text()
            return is_listening(port) and next((tmp_path/"runtime").glob("jpserver-*.json"), None)
        record = wait_for(running, 120, "the server to listen")
        server = json.loads(record.read_text())["pid"]
        assert server != lab.pid and is_running(server)
        os.kill(lab.pid, number)   # it alone, not its group
        assert lab.wait(60) == 0
        assert not is_running(server) and not is_listening(port)
        assert not record.exists(), "the server was killed and could not tidy up"
    finally:
        if lab.poll() is None: lab.kill()
        if server and is_running(server): os.kill(server, signal.SIGKILL)


@posix
def test_who_does_not_listen_is_ended_when_told_twice(tmp_path):
    "A program that ignores SIGTERM: the first signal is passed on, the second ends it."
    deaf = "import os, signal, sys; signal.signal(signal.SIGTERM, lambda *_: os.kill(int(sys.argv[1]), signal.SIGTERM)); os.kill(int(sys.argv[1]), signal.SIGTERM); [signal.pause() for _ in range(9)]"
    before = signal.getsignal(signal.SIGTERM)
    assert run_until_told([sys.executable, "-c", deaf, str(os.getpid())]) == 0   # it tells us, we tell it, it tells us again
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_exit_status_is_passed_on(): assert run_until_told([sys.executable, "-c", "raise SystemExit(3)"]) == 3


def test_every_command_shares_the_cores_unless_told_otherwise(monkeypatch, tmp_path):
    "What `rheumkit lab` starts, and so every kernel, is asked to let go of a core while it waits; who set it otherwise keeps it so."
    def waits(**said):
        seen = []
        monkeypatch.setattr(cli, "run_until_told", lambda command, **where: seen.append(where["env"]["OMP_WAIT_POLICY"]) or 0)
        monkeypatch.setenv("OMP_WAIT_POLICY", "")       # so that what was there, or was not, comes back afterwards
        monkeypatch.delenv("OMP_WAIT_POLICY")
        for name, value in said.items(): monkeypatch.setenv(name, value)
        assert cli.main(["lab", "--no-browser", "--folder", str(tmp_path/"course")]) == 0
        return seen
    assert waits() == ["PASSIVE"]
    assert waits(OMP_WAIT_POLICY="ACTIVE") == ["ACTIVE"]
