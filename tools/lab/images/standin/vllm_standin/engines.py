"""The engines behind the HTTP interface: local ones are processes, others report by themselves."""

from __future__ import annotations

import itertools
import json
import os
import queue
import subprocess
import sys
import threading
from typing import Any, BinaryIO

from .data_parallel import Handshake, parallel_config
from .http_server import EngineDead
from .topology import Topology


class EngineProcess:
    def __init__(self, model: str, topology: Topology, index: int, pipes: list[int]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vllm_standin.engine_core", model, topology.to_json()]
            + [str(index), json.dumps(pipes)],
            pass_fds=pipes,
        )

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def shutdown(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            # As vLLM's process manager; Ray takes the NPUs of a dead driver back by itself.
            self.process.kill()
            self.process.wait()


class Channel:
    """Requests to one engine and its answers, as JSON lines."""

    def __init__(self, requests: BinaryIO, replies: BinaryIO) -> None:
        self.ready = threading.Event()
        self.dead = threading.Event()
        self.numbers = itertools.count()
        self.waiting: dict[int, queue.Queue[dict[str, Any]]] = {}
        self.requests = requests
        self.lock = threading.Lock()
        self.taken = 0
        threading.Thread(target=self._read, args=(replies,), daemon=True).start()

    def load(self) -> tuple[int, int]:
        """Requests under way, then all of them, so that requests one after the other spread too."""
        return len(self.waiting), self.taken

    def generate(self, prompt: str, max_tokens: int) -> list[str]:
        number = next(self.numbers)
        reply: queue.Queue[dict[str, Any]] = queue.Queue(1)
        self.waiting[number] = reply
        request = {"id": number, "prompt": prompt, "maxTokens": max_tokens}
        try:
            if self.dead.is_set():
                raise EngineDead
            with self.lock:
                self.requests.write(json.dumps(request).encode() + b"\n")
            message = reply.get()
        except OSError:
            raise EngineDead from None
        finally:
            self.waiting.pop(number, None)
        if "words" not in message:
            raise EngineDead
        return message["words"]

    def _read(self, replies: BinaryIO) -> None:
        try:
            for line in replies:
                message = json.loads(line)
                if message.get("ready"):
                    self.ready.set()
                elif "id" in message:
                    self.waiting[message["id"]].put(message)
                else:
                    break
        except OSError:
            pass
        self.dead.set()
        for reply in list(self.waiting.values()):
            reply.put({})


class Engines:
    """All engines of the group, seen from the head: ready when each is, dead when one is."""

    def __init__(self, model: str, topology: Topology) -> None:
        self.count = topology.engines
        self.failure = ""
        self.lock = threading.Lock()
        self.channels: dict[int, Channel] = {}
        local = topology.local_engine_indexes
        if len(local) < self.count:
            Handshake(
                topology.handshake,
                range(len(local), self.count),
                parallel_config(topology),
                self._add,
                self._fail,
            )
        self.processes = [self._start(model, topology, index) for index in local]

    def generate(self, prompt: str, max_tokens: int) -> tuple[int, list[str]]:
        """(engine, words). The engine with the fewest requests takes it."""
        if not self.is_alive():
            raise EngineDead
        with self.lock:
            index, channel = min(self.channels.items(), key=lambda item: item[1].load())
            channel.taken += 1
        return index, channel.generate(prompt, max_tokens)

    def is_ready(self) -> bool:
        with self.lock:
            channels = list(self.channels.values())
        return len(channels) == self.count and all(channel.ready.is_set() for channel in channels)

    def is_alive(self) -> bool:
        with self.lock:
            channels = list(self.channels.values())
        # Before it is ready, an engine of another node that goes away is not noticed, as in vLLM.
        lost = any(channel.dead.is_set() and channel.ready.is_set() for channel in channels)
        return not (
            self.failure or lost or not all(process.is_alive() for process in self.processes)
        )

    def shutdown(self) -> None:
        for process in self.processes:
            process.shutdown()

    def _start(self, model: str, topology: Topology, index: int) -> EngineProcess:
        request_end, requests = os.pipe()
        replies, reply_end = os.pipe()
        process = EngineProcess(model, topology, index, [request_end, reply_end])
        for end in (request_end, reply_end):
            os.close(end)
        self._add(index, os.fdopen(requests, "wb", buffering=0), os.fdopen(replies, "rb"))
        return process

    def _add(self, index: int, requests: BinaryIO, replies: BinaryIO) -> None:
        with self.lock:
            self.channels[index] = Channel(requests, replies)

    def _fail(self, why: str) -> None:
        self.failure = why
