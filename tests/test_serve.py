"""The command ``socketio-serve`` before it serves; in processes of their own, because its module patches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def python(script: str, *, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a script in an interpreter of its own, where a warning is an error."""
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_module_patches_before_it_imports() -> None:
    done = python(
        "import warnings; warnings.filterwarnings('error', message='Monkey-patching')\n"
        "import sys, pyramid_socketio.server\n"
        "assert not {'gevent', 'ssl', 'pyramid'} & sys.modules.keys()\n"
        "from pyramid_socketio.server import serve\n"
        "from pyramid_socketio.server.patching import imported_too_early\n"
        "from gevent import monkey\n"
        "assert all(monkey.is_module_patched(name) for name in ('socket', 'ssl', 'threading', 'time', 'subprocess'))\n"
        "assert imported_too_early() == []\n"
    )
    assert done.returncode == 0, done.stderr


def test_the_monitor_is_not_patched() -> None:
    done = python(
        "import sys\n"
        "from pyramid_socketio.server import reload\n"
        "reload.parse_arguments('x', ['a.ini'])\n"
        "assert 'gevent' not in sys.modules and 'greenlet' not in sys.modules\n"
    )
    assert done.returncode == 0, done.stderr


def test_serve_is_a_function_for_scripts() -> None:
    done = python(
        "from pyramid_socketio.server.serve import serve\n"
        "import os, signal, threading, urllib.request\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [b'hello']\n"
        "from pyramid_socketio.server import run\n"
        "url_of = run.url_of\n"
        "def ask(listener):\n"
        "    url = url_of(listener)\n"
        "    def get():\n"
        "        print(urllib.request.urlopen(url).read())\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        # A thread that is a greenlet: were it not, nobody would notice here that something blocks.
        "    threading.Thread(target=get).start()\n"
        "    return url\n"
        "run.url_of = ask\n"
        "before = signal.getsignal(signal.SIGTERM)\n"
        "serve(app, '127.0.0.1', 0)\n"
        "assert signal.getsignal(signal.SIGTERM) is before\n"
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("Serving on 127.0.0.1:")
    assert second == "b'hello'"


def test_user_errors_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "app.ini").write_text("[app:main]\nuse = egg:no_such_distribution\n[server:main]\nport = 0\n")
    script = "from pyramid_socketio.server.serve import main\nimport sys\nsys.exit(main({!r}))"
    done = python(script.format(["app.ini"]), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("socketio-serve: app.ini: the application cannot be imported")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    done = python(script.format(["app.ini", "-v"]), cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
