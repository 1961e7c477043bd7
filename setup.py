"""Metadata, dependencies and entry points: the one place for them. Tool settings are in pyproject.toml."""

from pathlib import Path

from setuptools import Extension, find_packages, setup

here = Path(__file__).parent
readme = here / "README.md"

setup(
    name="pyramid_socketio",
    version="1.0.dev0",
    description="Socket.IO for Pyramid: class-based contexts, one port, one command, on gevent",
    long_description=readme.read_text(encoding="utf-8") if readme.exists() else "",
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE.txt"],
    keywords="pyramid socket.io socketio websocket long-polling gevent realtime",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Framework :: Pyramid",
        "Intended Audience :: Developers",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Programming Language :: Python :: Implementation :: CPython",
        "Topic :: Internet :: WWW/HTTP :: WSGI :: Server",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    packages=find_packages(include=["pyramid_socketio", "pyramid_socketio.*"]),
    # Without a C compiler the same is done in Python.
    ext_modules=[Extension("pyramid_socketio._speedups", ["pyramid_socketio/_speedups.c"], optional=True)],
    package_data={"pyramid_socketio": ["py.typed", "*.pyi", "static/*.js", "templates/*"]},
    zip_safe=False,
    install_requires=[
        "pyramid>=2.0",
        "gevent>=25.4.1",
        "gevent-websocket>=0.10.1",
        "paste>=3.10",
        "pastedeploy>=3.0",
        'orjson>=3.10; platform_python_implementation == "CPython"',
    ],
    extras_require={
        "testing": [
            "colander",
            "coverage[toml]",
            "hypothesis",
            "mypy",
            "pyramid_chameleon",
            "pyramid_jinja2",
            "pyramid_mako",
            "pytest>=8.2",
            "pytest-cov",
            "pytest-timeout",
            "python-socketio[client]>=5.11",
            "redis>=5",
            "ruff",
            "selenium>=4.20",
            "setuptools>=77",
            "waitress",
            "websocket-client",
            "webtest",
        ],
    },
    entry_points={
        "console_scripts": [
            "socketio-serve = pyramid_socketio.server.serve:main",
            "socketio-serve-reload = pyramid_socketio.server.reload:main",
        ],
        "paste.server_runner": [
            "main = pyramid_socketio.server.paste:main",
            "sioserver = pyramid_socketio.server.paste:sioserver",
            "sioserver_patched = pyramid_socketio.server.paste:sioserver_patched",
        ],
    },
)
