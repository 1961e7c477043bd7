"""The video: a page orders it, ffmpeg makes it, and the server says when it is ready. Nobody polls, nothing blocks."""

from __future__ import annotations

import logging
import shutil
import signal
import tempfile
import uuid
import weakref
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from gevent import Greenlet, Timeout
from gevent.lock import BoundedSemaphore
from gevent.subprocess import DEVNULL, PIPE, STDOUT, Popen
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import FileResponse
from pyramid.view import view_config

from pyramid_socketio import SocketIOContext, socketio_context

log = logging.getLogger(__name__)

#: Seconds that a video lasts, and that making one may take.
LENGTH, TIME_LIMIT = 8, 120

#: What a page may order: its name, and ffmpeg's source filter for it. A name from a client is only ever looked up.
SCENES = {
    "aurora": (
        "Aurora",
        "gradients=size=960x540:rate=30:nb_colors=4:c0=0x1e1b4b:c1=0xa855f7:c2=0x22d3ee:c3=0x3730a3"
        ":x0=0:y0=0:x1=960:y1=540:speed=0.02",
    ),
    "mandelbrot": ("Mandelbrot", "mandelbrot=size=960x540:rate=30:end_scale=0.002:end_pts=240"),
    "testcard": ("Test card", "testsrc2=size=960x540:rate=30"),
}
TONE = "sine=frequency=220:beep_factor=4,tremolo=f=2,volume=0.25"


class FfmpegError(Exception):
    """ffmpeg did not make the video; the text is the last that it had to say."""


class Studio:
    """Where videos are made: the program, a directory for its files, and how many of it may run at a time."""

    def __init__(self, program: str, jobs: int) -> None:
        self.program = program
        self.slots = BoundedSemaphore(jobs)
        self.directory = Path(tempfile.mkdtemp(prefix="socketio-demo-"))
        # Removed with all it holds when the application goes, at the latest when the process ends.
        weakref.finalize(self, shutil.rmtree, self.directory, ignore_errors=True)

    @property
    def ready(self) -> bool:
        return shutil.which(self.program) is not None

    def path(self, name: str) -> Path:
        return self.directory / f"{name}.webm"

    def make(self, source: str, target: Path) -> Generator[float, None, None]:
        """Run ffmpeg and yield its progress, from 0 to 1. Closing the generator ends the process.

        Only the greenlet that iterates waits; the rest of the server goes on.

        Raises:
            FfmpegError: it failed.
        """
        command = [self.program, "-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-progress", "pipe:1"]
        command += ["-f", "lavfi", "-i", source, "-f", "lavfi", "-i", TONE, "-t", str(LENGTH)]
        # VP8 and Opus in WebM play in every browser; one thread each leaves the other cores to the server.
        command += ["-pix_fmt", "yuv420p", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M"]
        command += ["-threads", "1", "-c:a", "libopus", "-b:a", "64k", str(target)]
        complaints: deque[str] = deque(maxlen=1)
        with running(command) as process:
            for line in process.stdout:
                key, _, value = line.strip().partition("=")
                if not key.isidentifier():  # not a line of -progress, but what it has to complain about
                    complaints.append(line.strip())
                elif key == "out_time_us" and value.isdigit():
                    yield min(int(value) / (LENGTH * 1_000_000), 1.0)
            if process.wait() != 0:
                raise FfmpegError(complaints[0] if complaints else f"ffmpeg ended with {process.returncode}")


@contextmanager
def running(command: list[str]) -> Iterator[Popen[str]]:
    """A process that does not outlive the block, whatever ends it: the client's leaving, a time limit, an error."""
    process = Popen(command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, text=True, errors="replace")
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        process.stdout.close()


def includeme(config: Configurator) -> None:
    settings = config.registry.settings
    studio = Studio(settings.get("demo.ffmpeg", "ffmpeg"), int(settings.get("demo.video_jobs", 2)))
    config.registry["studio"] = studio
    config.add_route("video", "/video")
    config.add_route("film", r"/films/{name:\w+}.webm")


@view_config(route_name="video", renderer="templates/video.jinja2")
def video(request: Request) -> dict[str, Any]:
    return {"scenes": SCENES, "ready": request.registry["studio"].ready, "length": LENGTH}


@view_config(route_name="film")
def film(request: Request) -> FileResponse:
    # Not a static view: those remember which files exist, and these go with the pages that ordered them.
    try:
        path = request.registry["studio"].path(request.matchdict["name"])
        return FileResponse(path, request, content_type="video/webm")
    except FileNotFoundError:
        raise HTTPNotFound() from None


@socketio_context("/video")
class Video(SocketIOContext):
    """One page that orders videos, one at a time."""

    job: Greenlet | None = None
    #: The last video that was made for this page.
    file: Path | None = None

    def msg_transcode(self, msg: Any) -> dict[str, Any]:
        """``emit("transcode", {scene}, ack)``: the ack comes at once; ``progress`` and ``video`` are pushed later."""
        studio = self.request.registry["studio"]
        scene = msg.get("scene") if isinstance(msg, dict) else None
        if not isinstance(scene, str) or scene not in SCENES:
            return self.error("no_scene", "There is no such scene.")
        if not studio.ready:
            return self.error("no_ffmpeg", f"The server has no {studio.program}.")
        if self.job:
            return self.error("one_at_a_time", "Your last video is still being made.")
        self.job = self.spawn(self.transcode, studio, scene)
        return {"ok": True}

    def msg_cancel(self, msg: Any = None) -> dict[str, Any]:
        """Ending the greenlet ends its ffmpeg."""
        if self.job:
            self.job.kill()
        return {"ok": True}

    def transcode(self, studio: Studio, scene: str) -> None:
        """Make a video and push ``{type: "video", url}``. Runs in a greenlet that ends with the context."""
        title, source = SCENES[scene]
        if not studio.slots.acquire(blocking=False):
            self.error("busy", "All cameras are rolling for other people. Please try again in a moment.")
            return
        try:
            self.remove_file()
            name = uuid.uuid4().hex
            self.file = studio.path(name)
            too_slow = FfmpegError(f"not ready after {TIME_LIMIT} seconds")
            with Timeout(TIME_LIMIT, too_slow), closing(studio.make(source, self.file)) as shares:
                for share in shares:
                    self.msg("progress", percent=round(100 * share))
            url = self.request.route_path("film", name=name)
            self.msg("video", url=url, title=title, size=self.file.stat().st_size)
        except FfmpegError as error:
            log.warning("no video: %s", error)
            self.error("failed", "ffmpeg could not make the video; the server's log says why.")
        finally:
            studio.slots.release()

    def disconnect(self) -> None:
        # The context's greenlets have ended before this runs, so nobody writes to the file any more.
        self.remove_file()

    def remove_file(self) -> None:
        if self.file:
            self.file.unlink(missing_ok=True)
