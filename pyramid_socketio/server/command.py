"""The command line of ``socketio-serve`` and ``socketio-serve-reload``, and what they say about an error."""

from __future__ import annotations

import argparse
import configparser
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from pyramid.exceptions import ConfigurationError, ConfigurationExecutionError
from pyramid.scripts.common import parse_vars

from ..errors import BindError

__all__ = ["explain", "parse_arguments"]


def parse_arguments(prog: str, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the options of both commands, which are those of ``pserve``.

    ``variables`` holds the ``key=value`` pairs; ``config_uri`` is without PasteDeploy's ``config:``.

    Raises:
        SystemExit: with 2 for wrong usage, with 0 after ``--help`` and ``--version``.
    """
    parser = argparse.ArgumentParser(prog, description="Serve a Pyramid application with Socket.IO from its .ini file.")
    add = parser.add_argument
    add("config_uri", metavar="file.ini[#name]", help="the configuration file, and the name of the application in it")
    add(
        "config_vars",
        metavar="key=value",
        nargs="*",
        default=[],  # or else argparse calls it required
        help="variables of the file; host= and port= win over its own",
    )
    add("-n", "--app-name", metavar="NAME", help="load the application of this name (default: main)")
    add("-s", "--server", metavar="NAME", help="ignored: this command is the server")
    add("--server-name", metavar="NAME", help="read the section [server:NAME] (default: main)")
    add(
        "-q",
        "--quiet",
        dest="verbose",
        action="store_const",
        const=0,
        default=1,
        help="print errors only; the root logger's level becomes at least WARNING, also where the file sets it",
    )
    add(
        "-v",
        "--verbose",
        action="count",
        default=1,
        help="print a traceback for every error, and log DEBUG where the file has no [loggers]",
    )
    add("-b", "--browser", action="store_true", help="open the application in a browser, or open_url of [pserve]")
    add("--reload", action="store_true", help="restart at every change, as socketio-serve-reload does")
    add("--reload-interval", metavar="SECONDS", type=float, default=1.0, help="time between two looks at the files")
    add("--version", action="version", version=f"%(prog)s {_version()}")
    # What the monitor of `socketio-serve-reload` tells the server that it starts.
    add("--watch", action="store_true", help=argparse.SUPPRESS)
    add("--fd", type=int, action="append", default=[], help=argparse.SUPPRESS)
    add("--monitor", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_intermixed_args(argv)
    # Plaster, which reads the file, does not know this prefix.
    arguments.config_uri = arguments.config_uri.removeprefix("config:")
    try:
        arguments.variables = parse_vars(arguments.config_vars)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def _version() -> str:
    try:
        return version("pyramid_socketio")
    except PackageNotFoundError:
        return "(not installed)"


def explain(error: BaseException, uri: str) -> str | None:
    """Put an error of reading, loading or listening into a sentence that says what to do.

    Returns:
        One line; ``None`` where the application's own code is wrong and its traceback says more.
    """
    if isinstance(error, ConfigurationExecutionError):
        error = error.evalue
    if isinstance(error, BindError):
        return f"{error}, in the server section or with port=NUMBER"
    if isinstance(error, ConfigurationError):
        return str(error)
    if isinstance(error, SyntaxError) or _in_application(error):
        return None
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return f"{error.filename or uri}: no such file; give the path of the application's .ini file"
    if isinstance(error, OSError):
        return f"{uri} cannot be read: {error.strerror or reason}"
    if isinstance(error, configparser.Error):
        hint = "; a percent sign is written %%" if isinstance(error, configparser.InterpolationError) else ""
        if isinstance(error, configparser.InterpolationMissingOptionError):
            hint += f", and {error.reference}=VALUE on the command line gives a variable"
        return f"{uri} is not a correct .ini file; correct it: {reason}{hint}"
    if isinstance(error, ImportError | AttributeError):
        return f"{uri}: the application cannot be imported: {reason}; install it, or correct the line `use = ...`"
    if isinstance(error, LookupError):
        return f"{uri}: {reason}; correct the file, or give the name of an application in it with --app-name"
    return f"{uri}: {reason}; correct the file, or give the path of another .ini file"


#: Packages through which an application is loaded; every other one is part of the application.
LOADERS: Final = {
    *("__main__", "pyramid_socketio", "pyramid", "paste", "plaster", "plaster_pastedeploy"),
    *sys.stdlib_module_names,
}


def _in_application(error: BaseException) -> bool:
    """Whether the error comes out of code that is neither ours nor that of what loads applications."""
    traceback = error.__traceback__
    while traceback is not None:
        if str(traceback.tb_frame.f_globals.get("__name__", "")).partition(".")[0] not in LOADERS:
            return True
        traceback = traceback.tb_next
    return False
