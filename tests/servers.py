"What the tests that start a server share."
import socket
import sys
import time

LAB = [sys.executable, "-c", "import sys; from rheumkit.cli import main; sys.exit(main())", "lab", "--no-browser"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(condition, seconds, what):
    "Ask again and again until `condition()` holds; whatever it returns then."
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition(): return found
        time.sleep(.1)
    raise TimeoutError(f"waited {seconds} s for {what}")


def places(folder):
    "Environment of a JupyterLab that keeps everything in a folder of the test's."
    return {"JUPYTER_CONFIG_DIR": str(folder/"config"), "JUPYTER_RUNTIME_DIR": str(folder/"runtime"), "IPYTHONDIR": str(folder/"ipython")}
