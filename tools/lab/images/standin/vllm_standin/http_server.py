"""The OpenAI interface, with the answers that vLLM 0.23 gives (recorded)."""

from __future__ import annotations

import hmac
import json
import sys
import threading
import time
import uuid
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Callable, Protocol

from . import VLLM_VERSION
from .faults import Faults
from .log import Log


class EngineDead(Exception):
    def __init__(self) -> None:
        super().__init__(
            "EngineCore encountered an issue. See stack trace (above) for the root cause."
        )


class Engine(Protocol):
    count: int

    def generate(self, prompt: str, max_tokens: int) -> tuple[int, list[str]]: ...

    def is_alive(self) -> bool: ...


class Counters:
    """By engine; a request that no engine has answered yet counts for the first."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running = 0
        self.successes: dict[int, int] = {}
        self.tokens: dict[int, int] = {}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        models: list[str],
        keys: list[str],
        quiet_paths: list[str],
        faults: Faults,
        log: Log,
    ) -> None:
        # As in vLLM the port is taken before the engine starts and opened after it is ready.
        super().__init__(address, Handler, bind_and_activate=False)
        self.models = models
        self.keys = keys
        self.quiet_paths = quiet_paths
        self.faults = faults
        self.log = log
        self.counters = Counters()
        self.engine: Engine | None = None

    def server_bind(self) -> None:
        # HTTPServer's own looks up the host's name, which takes as long as the resolver.
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            self.log.exception("http_server", "a request failed")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "uvicorn"
    sys_version = ""
    server: Server

    def do_GET(self) -> None:
        self._route({"/health": self._health, "/ping": self._health, "/metrics": self._metrics,
                     "/version": self._version, "/v1/models": self._models})  # fmt: skip

    def do_POST(self) -> None:
        self._route({"/v1/completions": self._completions, "/v1/chat/completions": self._chat})

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if self.path.split("?")[0] in self.server.quiet_paths:
            return
        status = HTTPStatus(int(code))
        client = f"{self.client_address[0]}:{self.client_address[1]}"
        self.server.log.uvicorn(
            f'{client} - "{self.command} {self.path} HTTP/1.1" {status.value} {status.phrase}'
        )

    def _route(self, routes: dict[str, Callable[[], None]]) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.split("?")[0]
        if path.startswith("/v1") and not self._authorized():
            self._json(401, {"error": "Unauthorized"})
            return
        if path not in routes:
            self._json(404, {"detail": "Not Found"})
            return
        try:
            self.body = json.loads(body) if body else {}
        except ValueError:
            self._error(400, "BadRequestError", "invalid JSON in the request's body", None)
            return
        try:
            routes[path]()
        except EngineDead as error:
            self._error(500, "InternalServerError", str(error), None)

    def _authorized(self) -> bool:
        if not self.server.keys:
            return True
        scheme, _, token = (self.headers.get("Authorization") or "").partition(" ")
        matches = [hmac.compare_digest(token.encode(), key.encode()) for key in self.server.keys]
        return scheme.lower() == "bearer" and any(matches)

    def _health(self) -> None:
        engine = self.server.engine
        dead = engine is None or not engine.is_alive() or self.server.faults.get("refuse", False)
        self._send(503 if dead else 200, b"", None)

    def _version(self) -> None:
        self._json(200, {"version": VLLM_VERSION})

    def _models(self) -> None:
        models = [
            {"id": name, "object": "model", "created": int(time.time()), "owned_by": "vllm"}
            for name in self.server.models
        ]
        self._json(200, {"object": "list", "data": models})

    def _metrics(self) -> None:
        engines = range(self.server.engine.count if self.server.engine else 1)
        model = f'model_name="{self.server.models[0]}"'
        counters = self.server.counters
        reasons = ("stop", "length", "abort", "error", "repetition")
        with counters.lock:
            running = {
                f'engine="{engine}",{model}': counters.running if engine == 0 else 0
                for engine in engines
            }
            tokens = {
                f'engine="{engine}",{model}': counters.tokens.get(engine, 0) for engine in engines
            }
            successes = {
                f'engine="{engine}",finished_reason="{reason}",{model}': (
                    counters.successes.get(engine, 0) if reason == "length" else 0
                )
                for engine in engines
                for reason in reasons
            }
        text = (
            metric(
                "vllm:num_requests_running",
                "gauge",
                "Number of requests in model execution batches.",
                running,
            )
            + metric(
                "vllm:generation_tokens_total",
                "counter",
                "Number of generation tokens processed.",
                tokens,
            )
            + metric(
                "vllm:request_success_total",
                "counter",
                "Count of successfully processed requests.",
                successes,
            )
        )
        self._send(200, text.encode(), "text/plain; version=1.0.0; charset=utf-8")

    def _completions(self) -> None:
        prompt = self.body.get("prompt")
        if isinstance(prompt, list):
            prompt = " ".join(map(str, prompt))
        self._answer(prompt, "text_completion", "cmpl", lambda text: {"text": text}, None)

    def _chat(self) -> None:
        messages = self.body.get("messages") or []
        prompt = " ".join(str(message.get("content", "")) for message in messages) or None
        self._answer(
            prompt,
            "chat.completion",
            "chatcmpl",
            lambda text: {"message": {"role": "assistant", "content": text}},
            lambda text: {"delta": {"content": text}},
        )

    def _answer(
        self,
        prompt: str | None,
        kind: str,
        prefix: str,
        choice: Callable[[str], dict[str, Any]],
        delta: Callable[[str], dict[str, Any]] | None,
    ) -> None:
        model = self.body.get("model", self.server.models[0])
        if model not in self.server.models:
            self._error(404, "NotFoundError", f"The model `{model}` does not exist.", "model")
            return
        if not prompt:
            self._error(400, "BadRequestError", "the request has no prompt", None)
            return
        words = self._generate(prompt, int(self.body.get("max_tokens") or 16))
        texts = [word if number == 0 else f" {word}" for number, word in enumerate(words)]
        head = {
            "id": f"{prefix}-{uuid.uuid4().hex[:16]}",
            "created": int(time.time()),
            "model": model,
        }
        if self.body.get("stream"):
            kind = kind if delta is None else "chat.completion.chunk"
            self._stream(head | {"object": kind}, texts, delta or choice)
            return
        counts = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(words)}
        self._json(
            200,
            head
            | {
                "object": kind,
                "choices": [{"index": 0, **choice("".join(texts)), "finish_reason": "length"}],
                "usage": counts | {"total_tokens": sum(counts.values())},
            },
        )

    def _generate(self, prompt: str, max_tokens: int) -> list[str]:
        counters = self.server.counters
        engine = self.server.engine
        with counters.lock:
            counters.running += 1
        try:
            if engine is None or self.server.faults.get("refuse", False):
                raise EngineDead
            while self.server.faults.get("wedged", False):
                time.sleep(0.5)
            index, words = engine.generate(prompt, max_tokens)
        finally:
            with counters.lock:
                counters.running -= 1
        with counters.lock:
            counters.successes[index] = counters.successes.get(index, 0) + 1
            counters.tokens[index] = counters.tokens.get(index, 0) + len(words)
        return words

    def _stream(
        self, head: dict[str, Any], texts: list[str], part: Callable[[str], dict[str, Any]]
    ) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        last = len(texts) - 1
        events = [
            json.dumps(
                head
                | {
                    "choices": [
                        {
                            "index": 0,
                            **part(text),
                            "finish_reason": "length" if number == last else None,
                        }
                    ]
                }
            )
            for number, text in enumerate(texts)
        ]
        for event in [*events, "[DONE]"]:
            data = f"data: {event}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")

    def _error(self, status: int, kind: str, message: str, parameter: str | None) -> None:
        error = {"message": message, "type": kind, "param": parameter, "code": status}
        self._json(status, {"error": error})

    def _json(self, status: int, content: Any) -> None:
        self._send(status, json.dumps(content).encode(), "application/json")

    def _send(self, status: int, content: bytes, kind: str | None) -> None:
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def metric(name: str, kind: str, help_text: str, values: dict[str, int]) -> str:
    lines = [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
    lines += [f"{name}{{{labels}}} {float(value)}" for labels, value in values.items()]
    return "\n".join(lines) + "\n"
