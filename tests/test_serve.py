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
        "import logging\n"
        "logging.getLogger('pyramid_socketio').info('a refusal')\n"
        "assert signal.getsignal(signal.SIGTERM) is before\n"
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("Serving on 127.0.0.1:")
    assert second == "b'hello'"
    assert done.stderr.endswith("INFO:pyramid_socketio:a refusal\n")


def test_serve_leaves_the_logging_of_a_script_alone() -> None:
    done = python(
        "from pyramid_socketio.server import serve\n"
        "import logging\n"
        "logging.basicConfig(level=logging.ERROR)\n"
        "serve.run = lambda app, listeners, options: listeners[0].close()\n"
        "serve.serve(None, '127.0.0.1', 0)\n"
        "assert logging.getLogger().level == logging.ERROR and len(logging.getLogger().handlers) == 1\n"
    )
    assert done.returncode == 0, done.stderr


def test_user_errors_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "app.ini").write_text("[app:main]\nuse = egg:no_such_distribution\n[server:main]\nport = 0\n")
    script = "from pyramid_socketio.server.serve import main\nimport sys\nsys.exit(main({!r}))"
    done = python(script.format(["app.ini"]), cwd=tmp_path)
    assert done.returncode == 1
    # A warning of Pyramid's own imports may come first.
    assert done.stderr.splitlines()[-1].startswith("socketio-serve: app.ini: the application cannot be imported")
    assert done.stderr.count("socketio-serve: ") == 1
    assert done.stdout == ""
    done = python(script.format(["app.ini", "-v"]), cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


LOGGING = """\
[app:main]
use = call:shop:main
[server:main]
port = 0
[loggers]
keys = root, shop
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = {level}
handlers = console
[logger_shop]
level = DEBUG
handlers =
qualname = shop
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain
[formatter_plain]
format = %(levelname)s %(name)s %(message)s
"""

SHOP = """\
import logging
def main(global_conf, **settings):
    for name in ("other", "shop"):
        logging.getLogger(name).info("of %s", name)
"""


def load(directory: Path, *argv: str, level: str = "INFO", logging: str = LOGGING) -> subprocess.CompletedProcess[str]:
    """Load an application whose file says how to log, and open the browser, but serve nothing."""
    (directory / "shop.py").write_text(SHOP)
    (directory / "app.ini").write_text(logging.replace("{level}", level))
    return python(
        "import sys; sys.path.insert(0, '')\n"
        "from pyramid_socketio.server import serve\n"
        "serve.run = lambda app, listeners, *rest, **options: listeners[0].close()\n"
        "serve.open_browser = lambda url: print('opened', url)\n"
        f"sys.exit(serve.main({list(argv)!r}))",
        cwd=directory,
    )


def test_quiet_raises_the_level_that_the_file_sets(tmp_path: Path) -> None:
    assert "INFO other of other" in load(tmp_path, "app.ini").stderr
    quiet = load(tmp_path, "app.ini", "-q")
    assert quiet.returncode == 0, quiet.stderr
    assert "INFO other" not in quiet.stderr
    # Its level is the file's own word.
    assert "INFO shop of shop" in quiet.stderr
    assert "WARNING" not in load(tmp_path, "app.ini", "-q", "-s", "x", level="ERROR").stderr


def test_another_server_is_ignored_with_a_word(tmp_path: Path) -> None:
    done = load(tmp_path, "app.ini", "-s", "waitress")
    assert done.returncode == 0, done.stderr
    assert "--server waitress is ignored" in done.stderr


def test_what_is_wrong_with_logging_is_said(tmp_path: Path) -> None:
    done = load(tmp_path, "app.ini", logging=LOGGING.replace("[logger_shop]", "[logger_ship]"))
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith(
        "socketio-serve: app.ini: logging cannot be set up: 'logger_shop' is missing; correct [loggers]"
    )
    done = load(tmp_path, "app.ini", level="LOUD")
    assert done.returncode == 1
    assert "logging cannot be set up: " in done.stderr.splitlines()[-1] and "LOUD" in done.stderr


def test_serve_names_what_a_script_imported_too_early() -> None:
    done = python(
        "from time import sleep\n"
        "import multiprocessing\n"
        "from pyramid_socketio.server import serve\n"
        "serve.run = lambda app, listeners, options: listeners[0].close()\n"
        "serve.serve(None, '127.0.0.1', 0)\n"
    )
    assert done.returncode == 0, done.stderr
    assert "blocking therefore: __main__; import pyramid_socketio.server.serve first" in done.stderr


def test_a_script_that_does_not_patch_is_told() -> None:
    script = (
        "{first}\n"
        "import gevent, logging\n"
        "from pyramid_socketio import SocketIOServer\n"
        "logging.basicConfig(format='%(message)s')\n"
        "server = SocketIOServer(('127.0.0.1', 0), None)\n"
        "server.start()\n"
        "gevent.spawn(server.stop)\n"
        "server.serve_forever()\n"
    )
    done = python(script.format(first=""))
    assert done.returncode == 0, done.stderr
    assert "the standard library is not patched" in done.stderr and "monkey.patch_all()" in done.stderr
    done = python(script.format(first="from gevent import monkey; monkey.patch_all()"))
    assert done.returncode == 0, done.stderr
    assert "not patched" not in done.stderr


def test_the_browser_opens_what_the_file_says(tmp_path: Path) -> None:
    done = load(tmp_path, "config:app.ini", "-b")
    assert done.stdout.startswith("opened http://127.0.0.1:"), done.stderr
    done = load(tmp_path, "app.ini", "-b", logging=LOGGING + "[pserve]\nopen_url = https://shop.example/\n")
    assert done.stdout == "opened https://shop.example/\n", done.stderr
