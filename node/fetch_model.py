"""Downloads one pinned revision of a model from a hub into a directory, and verifies every file.

usage: fetch_model.py --source huggingface|modelscope --repository NAME --revision COMMIT --endpoint URL --directory DIR

Runs in the image of the cluster, because hosts need no Python. A run that was cut off is continued by the next one; a file gets
its name only after its hash was compared with the hub's. Two runs on one directory, also of two hosts on one network file
system, wait for each other. Progress on standard error, one line at a time.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import signal
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn, Protocol

AT_A_TIME = 4
CHUNK_BYTES = 4 << 20
# What else may be written to the file system meanwhile.
SPARE_BYTES = 1 << 30
SILENCE_SEC = 60.0
PROGRESS_SEC = 10.0
# Failures in a row without a byte in between.
ATTEMPTS = 6
BACKOFF_SEC = 2.0
OWN_DIR = ".vllm-cluster"


class FetchError(Exception):
    """What an operator has to know: cause and next action."""


@dataclass(frozen=True)
class Model:
    """What is wanted; written beside the files, so that two revisions never mix in one directory."""

    source: str
    repository: str
    revision: str

    def __str__(self) -> str:
        return f"{self.repository} at {self.revision} ({self.source})"


@dataclass(frozen=True)
class RemoteFile:
    """A file of the repository. `hash_name` is `sha256`, or `git` for the SHA-1 of a git blob."""

    path: str
    size: int
    hash_name: str
    hash: str

    def digest(self) -> Digest:
        if self.hash_name == "sha256":
            return hashlib.sha256()
        digest = hashlib.sha1(usedforsecurity=False)
        digest.update(b"blob %d\0" % self.size)
        return digest


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


def main() -> int:
    # The first process of a container ignores SIGTERM unless it says otherwise; parts are kept as they are.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", choices=list(HUBS), required=True)
    for name in ("repository", "revision", "endpoint"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--directory", type=Path, required=True)
    args = parser.parse_args()
    model = Model(args.source, args.repository, args.revision)
    try:
        fetch(model, HUBS[args.source](args.endpoint.rstrip("/")), args.directory)
    except FetchError as error:
        say(f"{model}: {error}")
        return 1
    except OSError as error:
        say(f"{model}: {error}\nnext: look at the file system of {args.directory}")
        return 1
    return 0


def fetch(model: Model, hub: Hub, directory: Path) -> None:
    """Brings `directory` to the model's files.

    Raises FetchError with cause and next action; files that are complete stay, and so do parts.
    """
    own = directory / OWN_DIR
    own.mkdir(parents=True, exist_ok=True)
    with locked(own / "lock"):
        claim(own / "model.json", model, directory)
        if is_complete(own / "complete.json", directory):
            say(f"{model}: already complete")
            return
        files = hub.files(model)
        Download(model, hub, directory, files).run()
        write_json(own / "complete.json", [asdict(file) for file in files])
        shutil.rmtree(own / "parts", ignore_errors=True)
        say(f"{model}: complete, {len(files)} files, {gb(sum(file.size for file in files))}")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One download at a time; the kernel frees the lock of whoever ends."""
    with path.open("a") as file:
        begin = time.monotonic()
        told = 0.0
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if told == 0.0 or time.monotonic() - told > 60:
                    told = time.monotonic()
                    say(f"another download into this directory runs; waiting for {told - begin:.0f} s")
                time.sleep(1)
        yield


def claim(path: Path, model: Model, directory: Path) -> None:
    if not path.exists():
        write_json(path, asdict(model))
        return
    other = Model(**json.loads(path.read_text()))
    if other != model:
        raise FetchError(
            f"{directory} holds {other}\n"
            "next: give each revision a directory of its own (model.path): what runs may still read this one"
        )


def is_complete(path: Path, directory: Path) -> bool:
    if not path.exists():
        return False
    files = [RemoteFile(**file) for file in json.loads(path.read_text())]
    return all(size_of(directory / file.path) == file.size for file in files)


class Download:
    """Fetches what is missing, some files at a time."""

    def __init__(self, model: Model, hub: Hub, directory: Path, files: list[RemoteFile]) -> None:
        self.model = model
        self.hub = hub
        self.directory = directory
        self.files = files
        self.parts = directory / OWN_DIR / "parts"
        self.verified = directory / OWN_DIR / "verified"
        self.lock = threading.Lock()
        self.done_bytes = 0
        self.fetched_bytes = 0
        self.stop = threading.Event()

    def run(self) -> None:
        self.parts.mkdir(exist_ok=True)
        self.check_disk()
        progress = threading.Thread(target=self.tell_progress, daemon=True)
        progress.start()
        failures: list[str] = []
        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            # The large ones first: a small file at the end keeps nobody waiting.
            futures = [pool.submit(self.bring, file) for file in sorted(self.files, key=lambda f: -f.size)]
            for future in concurrent.futures.as_completed(futures):
                try:
                    future.result()
                except FetchError as error:
                    failures.append(str(error))
                    self.stop.set()
        self.stop.set()
        progress.join()
        failures = [text for text in dict.fromkeys(failures) if text]
        if failures:
            raise FetchError("\n".join(failures[:5]))

    def check_disk(self) -> None:
        """Before the first byte: a disk that fills up after hours stops more than this download."""
        missing = sum(
            file.size - (size_of(self.part(file)) or 0)
            for file in self.files
            if size_of(self.directory / file.path) != file.size
        )
        free = shutil.disk_usage(self.directory).free
        if missing > 0 and free < missing + SPARE_BYTES:
            raise FetchError(
                f"needs {gb(missing)} and 1 GB to spare, but the file system of {self.directory} has {gb(free)} free\n"
                "next: make room there, or set model.path to a larger file system"
            )
        say(f"{self.model}: {len(self.files)} files, {gb(missing)} to download, {gb(free)} free")

    def bring(self, file: RemoteFile) -> None:
        if self.stop.is_set():
            raise FetchError("")
        target = self.directory / file.path
        if target.exists():
            self.check_existing(file, target)
            self.count(file.size, fetched=0)
            return
        part = self.part(file)
        for last_try in (False, True):
            digest = self.fetch_part(file, part)
            if digest == file.hash:
                break
            # What is wrong in it cannot be told apart from what is right.
            self.count(-file.size, fetched=0)
            part.unlink()
            if last_try:
                raise FetchError(
                    f"{file.path}: {file.hash_name} {digest}, but the hub says {file.hash}\n"
                    "next: a proxy or mirror changes what it delivers; try another model.endpoint"
                )
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        target.parent.mkdir(parents=True, exist_ok=True)
        part.rename(target)
        self.remember(file)

    def check_existing(self, file: RemoteFile, target: Path) -> None:
        """A file that was copied there by hand is as good as a downloaded one, once it was hashed."""
        if self.mark(file) in self.remembered():
            return
        if size_of(target) == file.size and hash_file(file, target, self.stop) == file.hash:
            self.remember(file)
            return
        if self.stop.is_set():
            raise FetchError("")
        raise FetchError(
            f"{target} is there with other content than in {self.model}\n"
            "next: move it away, or set model.path to a directory of its own"
        )

    def fetch_part(self, file: RemoteFile, part: Path) -> str:
        """Appends to the part until it is whole; returns the hash of all of it."""
        digest = file.digest()
        part.touch()
        if part.stat().st_size > file.size:
            part.unlink()
            part.touch()
        with part.open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                digest.update(chunk)
        have = part.stat().st_size
        self.count(have, fetched=0)
        failures = 0
        while have < file.size:
            before = have
            cause = "the connection ended early"
            try:
                with self.hub.open(self.model, file, have) as response, part.open("ab") as stream:
                    while chunk := response.read(min(CHUNK_BYTES, file.size - have)):
                        if self.stop.is_set():
                            raise FetchError("")
                        stream.write(chunk)
                        digest.update(chunk)
                        have += len(chunk)
                        self.count(len(chunk), fetched=len(chunk))
            except TRANSIENT as error:
                cause = reason_of(error)
            failures = 0 if have > before else failures + 1
            if have < file.size and failures >= ATTEMPTS:
                raise FetchError(
                    f"{file.path}: {have} of {file.size} bytes, then {failures} failures in a row: {cause}\n"
                    f"next: check that this host reaches {self.hub.endpoint}; the next `pulumi up` goes on from here"
                )
            if have < file.size:
                self.stop.wait(BACKOFF_SEC * failures)
        return digest.hexdigest()

    def part(self, file: RemoteFile) -> Path:
        return self.parts / hashlib.sha256(file.path.encode()).hexdigest()

    def mark(self, file: RemoteFile) -> str:
        stat = (self.directory / file.path).stat()
        return f"{file.hash} {stat.st_size} {stat.st_mtime_ns} {file.path}"

    def remember(self, file: RemoteFile) -> None:
        with self.lock, self.verified.open("a") as stream:
            stream.write(f"{self.mark(file)}\n")

    def remembered(self) -> set[str]:
        with self.lock:
            return set(self.verified.read_text().splitlines()) if self.verified.exists() else set()

    def count(self, size: int, fetched: int) -> None:
        with self.lock:
            self.done_bytes += size
            self.fetched_bytes += fetched

    def tell_progress(self) -> None:
        total = sum(file.size for file in self.files)
        begin = time.monotonic()
        while not self.stop.wait(PROGRESS_SEC):
            rate = self.fetched_bytes / (time.monotonic() - begin)
            left = f", {(total - self.done_bytes) / rate / 60:.0f} min left" if rate > 0 else ""
            say(f"{gb(self.done_bytes)} of {gb(total)}, {rate / 1e6:.1f} MB/s{left}")


class Hub(Protocol):
    """A place that models come from."""

    endpoint: str

    def files(self, model: Model) -> list[RemoteFile]:
        """Every file of the revision. Raises FetchError."""

    def open(self, model: Model, file: RemoteFile, offset: int) -> http.client.HTTPResponse:
        """The content from `offset` on."""


class HuggingFace:
    """The API of huggingface.co and its mirrors, as huggingface_hub 1.x uses it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def files(self, model: Model) -> list[RemoteFile]:
        url = f"{self.endpoint}/api/models/{model.repository}/revision/{quote(model.revision)}?blobs=true"
        answer = get_json(url)
        if answer.get("sha") != model.revision:
            raise FetchError(
                f"{url} answers for revision {answer.get('sha')}\n"
                "next: set model.revision to a full commit id of the repository"
            )
        files = []
        for file in answer.get("siblings", []):
            lfs = file.get("lfs")
            kind, value = ("sha256", lfs["sha256"]) if lfs else ("git", file["blobId"])
            files.append(RemoteFile(safe_path(file["rfilename"]), file["size"], kind, value))
        return files

    def open(self, model: Model, file: RemoteFile, offset: int) -> http.client.HTTPResponse:
        path = f"{model.repository}/resolve/{quote(model.revision)}/{quote(file.path)}"
        return open_at(f"{self.endpoint}/{path}", offset)


class ModelScope:
    """The API of modelscope.cn, as modelscope 1.x uses it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def files(self, model: Model) -> list[RemoteFile]:
        query = urllib.parse.urlencode({"Revision": model.revision, "Recursive": "true"})
        answer = get_json(f"{self.endpoint}/api/v1/models/{model.repository}/repo/files?{query}")
        if answer.get("Code") != 200:
            raise FetchError(
                f"{self.endpoint}: {answer.get('Message') or answer}\n"
                "next: correct model.repository and model.revision"
            )
        return [
            RemoteFile(safe_path(file["Path"]), file["Size"], "sha256", file["Sha256"])
            for file in answer["Data"]["Files"]
            if file["Type"] != "tree"
        ]

    def open(self, model: Model, file: RemoteFile, offset: int) -> http.client.HTTPResponse:
        query = urllib.parse.urlencode({"Revision": model.revision, "FilePath": file.path})
        return open_at(f"{self.endpoint}/api/v1/models/{model.repository}/repo?{query}", offset)


HUBS: dict[str, Callable[[str], Hub]] = {"huggingface": HuggingFace, "modelscope": ModelScope}

TRANSIENT = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


def get_json(url: str) -> dict[str, Any]:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with open_at(url, 0) as response:
                answer = json.loads(response.read())
                if not isinstance(answer, dict) or not answer:
                    break
                return answer
        except ValueError:
            break
        except TRANSIENT as error:
            if attempt == ATTEMPTS:
                raise FetchError(
                    f"{url}: {reason_of(error)}\n"
                    "next: check that this host reaches the hub (model.endpoint names a mirror; a proxy belongs into "
                    "root's ~/.docker/config.json); or copy the model there and set model.source: path"
                ) from error
            time.sleep(BACKOFF_SEC * attempt)
    raise FetchError(f"{url}: the answer is not the hub's\nnext: correct model.endpoint")


def open_at(url: str, offset: int) -> http.client.HTTPResponse:
    """Opens a URL at a byte offset. Raises FetchError for what no repetition changes."""
    headers = {"User-Agent": "pulumi-vllm-ascend", "Accept-Encoding": "identity"}
    if offset > 0:
        headers["Range"] = f"bytes={offset}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=SILENCE_SEC)
    except urllib.error.HTTPError as error:
        # A busy hub, and a gateway before it, get better; the rest is an answer.
        if error.code in (408, 425, 429) or error.code >= 500:
            raise
        refuse(url, error)
    assert isinstance(response, http.client.HTTPResponse)
    if offset > 0 and response.headers.get("Content-Range", "").partition("-")[0] != f"bytes {offset}":
        response.close()
        raise FetchError(
            f"{url}: the server cannot continue at byte {offset}\n"
            f"next: remove {OWN_DIR}/parts below model.path to begin again, or use another model.endpoint"
        )
    return response


def refuse(url: str, error: urllib.error.HTTPError) -> NoReturn:
    next_action = {
        401: "the repository is gated, private or not there: copy it by hand and set model.source: path",
        403: "the repository is gated, private or not there: copy it by hand and set model.source: path",
        404: "correct model.repository and model.revision",
    }.get(error.code, "correct model.endpoint, or copy the model by hand and set model.source: path")
    raise FetchError(f"{url}: HTTP {error.code} {error.reason}\nnext: {next_action}")


def reason_of(error: BaseException) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(reason) or type(error).__name__


def safe_path(path: str) -> str:
    """A hub's word is not taken for where a file is written."""
    parts = PurePosixPath(path).parts
    if not path or path.startswith("/") or ".." in parts or parts[0] == OWN_DIR or not path.isprintable():
        raise FetchError(f"the hub names a file {path!r}\nnext: do not use this repository")
    return path


def hash_file(file: RemoteFile, path: Path, stop: threading.Event) -> str:
    digest = file.digest()
    with path.open("rb") as stream:
        while (chunk := stream.read(CHUNK_BYTES)) and not stop.is_set():
            digest.update(chunk)
    return digest.hexdigest()


def size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def write_json(path: Path, value: object) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n")
    temporary.rename(path)


def quote(path: str) -> str:
    return urllib.parse.quote(path)


def gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
