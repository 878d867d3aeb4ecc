"""The downloader against a small server that speaks the protocols of both hubs, with what goes wrong on the way: broken
connections, wrong bytes, a run that was killed. Does not prove that the real hubs still speak like this."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import os
import sys
import tempfile
import threading
import unittest
import unittest.mock
import urllib.parse
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "node"))

import fetch_model  # noqa: E402

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b'{"model_type": "qwen3"}\n',
    "model-00001.safetensors": os.urandom(300_000),
    "sub folder/模型.bin": os.urandom(70_000),
    "empty.txt": b"",
}


class FakeHub(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FakeHubHandler)
        self.files = dict(FILES)
        self.delivered: dict[str, bytes] = {}
        self.cut_after: list[int] = []
        self.answers: list[int] = []
        self.ranges: list[tuple[str, str | None]] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class FakeHubHandler(http.server.BaseHTTPRequestHandler):
    server: FakeHub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.server.answers:
            self.send_error(self.server.answers.pop(0))
            return
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        path = urllib.parse.unquote(url.path)
        routes = {
            f"/api/models/acme/tiny/revision/{COMMIT}": self.hugging_face_files,
            "/api/v1/models/acme/tiny/repo/files": self.model_scope_files,
        }
        if path in routes:
            self.send_json(routes[path](query))
        elif path.startswith(f"/acme/tiny/resolve/{COMMIT}/"):
            # As the real one: content lives elsewhere.
            self.send_response(302)
            name = urllib.parse.quote(path.split(f"{COMMIT}/")[1])
            self.send_header("Location", f"{self.server.endpoint}/content/{name}")
            self.end_headers()
        elif path.startswith("/content/"):
            self.send_content(path.removeprefix("/content/"))
        elif path == "/api/v1/models/acme/tiny/repo" and query["Revision"] == COMMIT:
            self.send_content(query["FilePath"])
        else:
            self.send_error(404)

    def hugging_face_files(self, query: dict[str, str]) -> Any:
        assert query == {"blobs": "true"}
        siblings = []
        for name, data in self.server.files.items():
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            lfs = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            is_large = name.endswith((".safetensors", ".bin"))
            entry = {"rfilename": name, "size": len(data), "blobId": blob}
            siblings.append(entry | ({"lfs": lfs} if is_large else {}))
        return {"id": "acme/tiny", "sha": COMMIT, "siblings": siblings}

    def model_scope_files(self, query: dict[str, str]) -> Any:
        if query["Revision"] != COMMIT:
            return {"Code": 10010205001, "Message": "revision not found", "Data": None}
        files: list[dict[str, Any]] = [{"Path": "sub folder", "Name": "sub folder", "Type": "tree", "Size": 0}]
        for name, data in self.server.files.items():
            sha256 = hashlib.sha256(data).hexdigest()
            files.append({"Path": name, "Type": "blob", "Size": len(data), "Sha256": sha256})
        return {"Code": 200, "Success": True, "Data": {"Files": files}}

    def send_json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_content(self, name: str) -> None:
        data = self.server.delivered.get(name, self.server.files[name])
        asked = self.headers.get("Range")
        self.server.ranges.append((name, asked))
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        if asked:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        is_large = len(data) > 200_000
        cut = self.server.cut_after.pop(0) if is_large and self.server.cut_after else None
        self.wfile.write(data[begin:] if cut is None else data[begin : begin + cut])


class FetchModel(unittest.TestCase):
    def setUp(self) -> None:
        self.hub = FakeHub()
        self.addCleanup(self.hub.close)
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name) / "model"
        for name in ("BACKOFF_SEC", "PROGRESS_SEC"):
            patch = unittest.mock.patch.object(fetch_model, name, 0.01)
            patch.start()
            self.addCleanup(patch.stop)

    def fetch(self, source: str = "huggingface", revision: str = COMMIT) -> tuple[int, str]:
        argv = ["fetch_model.py", "--source", source, "--repository", "acme/tiny", "--revision", revision]
        argv += ["--endpoint", f"{self.hub.endpoint}/", "--directory", str(self.directory)]
        told = io.StringIO()
        with (
            unittest.mock.patch.object(sys, "argv", argv),
            unittest.mock.patch("signal.signal"),
            contextlib.redirect_stderr(told),
        ):
            return fetch_model.main(), told.getvalue()

    def assert_whole(self) -> None:
        for name, data in FILES.items():
            self.assertEqual((self.directory / name).read_bytes(), data, name)

    def test_brings_every_file_from_each_hub(self) -> None:
        for source in ("huggingface", "modelscope"):
            with self.subTest(source):
                self.directory = self.directory.with_name(source)
                code, told = self.fetch(source)
                self.assertEqual(code, 0, told)
                self.assert_whole()
                self.assertRegex(told, r"acme/tiny at 0123\w+ \(\w+\): 4 files, 0\.0 GB to download, [\d.]+ GB free\n")
                self.assertTrue(told.endswith("complete, 4 files, 0.0 GB\n"), told)

    def test_asks_nobody_when_the_directory_is_complete(self) -> None:
        self.fetch()
        self.hub.answers = [500] * 20
        code, told = self.fetch()
        self.assertEqual((code, told), (0, f"acme/tiny at {COMMIT} (huggingface): already complete\n"))

    def test_goes_on_where_a_connection_broke(self) -> None:
        self.hub.cut_after = [100_000, 50_000]
        code, told = self.fetch("modelscope")
        self.assertEqual(code, 0, told)
        self.assert_whole()
        large = [asked for name, asked in self.hub.ranges if name.endswith(".safetensors")]
        self.assertEqual(large, [None, "bytes=100000-", "bytes=150000-"])

    def test_goes_on_where_an_earlier_run_ended(self) -> None:
        self.hub.cut_after = [100_000] + [0] * 20
        code, told = self.fetch()
        self.assertEqual(code, 1)
        self.assertIn("model-00001.safetensors: 100000 of 300000 bytes, then 6 failures in a row: ", told)
        self.assertIn("the next `pulumi up` goes on from here", told)
        self.assertFalse((self.directory / "model-00001.safetensors").exists())
        self.hub.cut_after = []
        self.hub.ranges = []
        self.assertEqual(self.fetch()[0], 0)
        self.assert_whole()
        self.assertIn(("model-00001.safetensors", "bytes=100000-"), self.hub.ranges)

    def test_takes_a_file_that_was_copied_there_and_is_the_same(self) -> None:
        self.directory.mkdir()
        (self.directory / "model-00001.safetensors").write_bytes(FILES["model-00001.safetensors"])
        self.assertEqual(self.fetch()[0], 0)
        self.assertNotIn("model-00001.safetensors", [name for name, _ in self.hub.ranges])

    def test_overwrites_no_file_of_other_content(self) -> None:
        self.directory.mkdir()
        (self.directory / "config.json").write_text("mine")
        code, told = self.fetch()
        self.assertEqual(code, 1)
        self.assertIn("config.json is there with other content than in acme/tiny", told)
        self.assertEqual((self.directory / "config.json").read_text(), "mine")

    def test_gives_no_name_to_a_file_of_another_hash(self) -> None:
        for name in ("model-00001.safetensors", "config.json"):
            with self.subTest(name):
                self.directory = self.directory.with_name(name)
                wrong = bytes(len(FILES[name]))
                self.hub.delivered = {name: wrong}
                code, told = self.fetch()
                self.assertEqual(code, 1)
                self.assertRegex(told, rf"{name}: (sha256|git) \w+, but the hub says \w+\nnext: a proxy or mirror")
                self.assertFalse((self.directory / name).exists())
                self.hub.delivered = {}
                self.assertEqual(self.fetch()[0], 0)

    def test_refuses_another_revision_in_the_same_directory(self) -> None:
        self.fetch()
        code, told = self.fetch(revision="f" * 40)
        self.assertEqual(code, 1)
        self.assertIn(f"holds acme/tiny at {COMMIT} (huggingface)\nnext: give each revision a directory", told)

    def test_refuses_to_begin_without_the_space(self) -> None:
        usage = unittest.mock.Mock(free=fetch_model.SPARE_BYTES + 1000)
        with unittest.mock.patch("shutil.disk_usage", return_value=usage):
            code, told = self.fetch()
        self.assertEqual(code, 1)
        self.assertRegex(told, r"needs 0\.0 GB and 1 GB to spare, but the file system of \S+ has 1\.1 GB free\nnext: ")
        self.assertEqual(self.hub.ranges, [])

    def test_tells_what_the_hub_refused(self) -> None:
        for status, expected in ((401, "gated, private or not there"), (404, "correct model.repository")):
            self.hub.answers = [status]
            code, told = self.fetch()
            self.assertEqual(code, 1)
            self.assertRegex(told, rf"HTTP {status} .*\nnext: .*{expected}")

    def test_tells_an_unknown_revision_of_each_hub(self) -> None:
        code, told = self.fetch("modelscope", "f" * 40)
        self.assertEqual(code, 1)
        self.assertIn("revision not found\nnext: correct model.repository and model.revision", told)

    def test_tries_again_when_the_hub_is_busy(self) -> None:
        self.hub.answers = [503, 429]
        self.assertEqual(self.fetch()[0], 0)
        self.assert_whole()

    def test_writes_no_file_outside_of_the_directory(self) -> None:
        for name in ("../evil", "/etc/evil", "a/../../evil", ".vllm-cluster/lock", "new\nline"):
            with self.subTest(name):
                self.hub.files = {name: b"x"}
                code, told = self.fetch("modelscope")
                self.assertEqual(code, 1)
                self.assertIn("the hub names a file", told)

    def test_waits_for_another_download_into_the_same_directory(self) -> None:
        own = self.directory / fetch_model.OWN_DIR
        own.mkdir(parents=True)
        with fetch_model.locked(own / "lock"):
            waiting = threading.Thread(target=self.fetch)
            waiting.start()
            waiting.join(0.3)
            self.assertTrue(waiting.is_alive())
            self.assertEqual(self.hub.ranges, [])
        waiting.join(20)
        self.assert_whole()


if __name__ == "__main__":
    unittest.main()
