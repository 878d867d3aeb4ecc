"""The files of `in/` and `out/`: where they are, how they are read and written."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.core.desired import Desired, parse_desired
from supervisor.core.fields import BadFile
from supervisor.core.release import KINDS, Release, parse_release
from supervisor.text import os_text

BASE_DIR = "/vllm-cluster"


class Layout(NamedTuple):
    """Where files are, in the container."""

    base: Path

    @property
    def releases(self) -> Path:
        return self.base / "in" / "releases"

    @property
    def staged(self) -> Path:
        """Which releases were staged together, the last time."""
        return self.base / "in" / "staged.json"

    @property
    def secrets(self) -> Path:
        return self.base / "in" / "secrets"

    @property
    def out(self) -> Path:
        return self.base / "out"

    @property
    def desired(self) -> Path:
        return self.out / "desired.json"

    @property
    def status(self) -> Path:
        return self.out / "status.json"

    @property
    def epoch(self) -> Path:
        return self.out / "epoch"

    @property
    def log(self) -> Path:
        return self.out / "log"

    def release(self, kind: str, digest: str) -> Path:
        return self.releases / f"{kind}-{digest}.json"


def write_atomically(path: Path, text: str, durable: bool) -> None:
    """Old content or new content, never a part; durable also survives a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    os.replace(temporary, path)
    if durable:
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def read_json(path: Path) -> Any:
    """@throws BadFile, FileNotFoundError"""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise BadFile(f"is not JSON: {error}") from None


def check_release_file(path: Path, cluster: str, node: str, runtime: str) -> Release:
    """Reads a release file, refuses one made for something else. @throws BadFile, OSError"""
    release = parse_release(read_json(path))
    if path.name != f"{release.kind}-{release.hash}.json":
        raise BadFile(f"holds {release.kind} release {release.hash}, which is not its file name")
    if (release.cluster, release.node) != (cluster, node):
        raise BadFile(
            f"was made for node {release.node} of cluster {release.cluster}, "
            f"this is {node} of {cluster}"
        )
    if release.runtime != runtime:
        raise BadFile(
            f"needs runtime {release.runtime}, this container is {runtime}: "
            "replace the container first"
        )
    return release


class ReleaseStore:
    """The staged releases of this node, read again when they change."""

    def __init__(self, layout: Layout, cluster: str, node: str, runtime: str):
        self.layout, self.cluster, self.node, self.runtime = layout, cluster, node, runtime
        self._cache: dict[str, tuple[Any, Any]] = {}
        self._releases: dict[str, Any] = {}
        self._read_at = -1e9

    def releases(self, now: float) -> Mapping[str, Any]:
        if now - self._read_at >= 0.5:
            self._read_at = now
            self._releases = self._read()
        return self._releases

    def _read(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        cache = {}
        with contextlib.suppress(OSError):
            for path in self.layout.releases.iterdir():
                match = re.fullmatch(r"(ray|serve)-([\w.-]+)\.json", path.name)
                if match:
                    with contextlib.suppress(FileNotFoundError):
                        stamp = path.stat()
                        key = (stamp.st_mtime_ns, stamp.st_ino, stamp.st_size)
                        old = self._cache.get(path.name)
                        value = old[1] if old and old[0] == key else self._check(path)
                        cache[path.name] = (key, value)
                        found[f"{match[1]}:{match[2]}"] = value
        self._cache = cache
        return found

    def _check(self, path: Path) -> Any:
        try:
            return check_release_file(path, self.cluster, self.node, self.runtime)
        except BadFile as error:
            return str(error)
        except OSError as error:
            return f"cannot be read: {os_text(error)}"


class DesiredFile:
    """out/desired.json, read when it changes; the last good content stays when it is damaged."""

    def __init__(self, path: Path):
        self.path = path
        self.problem = ""
        self._key: Any = None
        self._desired: Desired | None = None

    def read(self) -> Desired | None:
        try:
            stamp = os.stat(self.path)
            key = (stamp.st_mtime_ns, stamp.st_ino, stamp.st_size)
            if key != self._key:
                self._key = key
                self._desired = parse_desired(read_json(self.path))
                self.problem = ""
        except FileNotFoundError:
            self._key, self._desired, self.problem = None, None, ""
        except BadFile as error:
            self.problem = f"out/desired.json {error}"
        except OSError as error:
            self.problem = f"out/desired.json cannot be read: {os_text(error)}"
        return self._desired


def read_epoch(layout: Layout) -> int:
    """The start counter; when its file is damaged, the newest epoch that the last status names."""
    try:
        return int(layout.epoch.read_text())
    except FileNotFoundError:
        return 0
    except (OSError, ValueError):
        with contextlib.suppress(OSError, BadFile, AttributeError, TypeError):
            last = read_json(layout.status)
            return max((last[kind].get("epoch") or 0) for kind in KINDS)
        return 0
