"""The demo of pyramid_socketio: chats, a live CPU graph, a video that is pushed when it is ready, raw WebSockets."""

from setuptools import find_packages, setup

setup(
    name="socketio_demo",
    version="1.0",
    description="A small, complete Pyramid application on pyramid_socketio",
    python_requires=">=3.10",
    packages=find_packages(),
    package_data={"socketio_demo": ["templates/*", "static/*", "static/*/*"]},
    install_requires=["pyramid>=2.0", "pyramid_jinja2", "pyramid_socketio"],
    entry_points={"paste.app_factory": ["main = socketio_demo:main"]},
    zip_safe=False,
)
