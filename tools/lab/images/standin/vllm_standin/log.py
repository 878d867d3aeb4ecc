from __future__ import annotations

import os
import sys
import time
import traceback


class Log:
    """Lines in vLLM's form, prefixed by the process as vLLM does."""

    def __init__(self, process: str) -> None:
        self.prefix = f"({process} pid={os.getpid()})"

    def info(self, source: str, message: str) -> None:
        self._vllm("INFO", source, message)

    def warning(self, source: str, message: str) -> None:
        self._vllm("WARNING", source, message)

    def error(self, source: str, message: str) -> None:
        self._vllm("ERROR", source, message)

    def exception(self, source: str, message: str) -> None:
        for line in (message + "\n" + traceback.format_exc()).rstrip().split("\n"):
            self.error(source, line)

    def uvicorn(self, message: str) -> None:
        self.raw(f"INFO:     {message}")

    def raw(self, text: str) -> None:
        for line in text.rstrip("\n").split("\n"):
            # One write per line: threads and processes share the stream.
            sys.stdout.write(f"{self.prefix} {line}\n")
        sys.stdout.flush()

    def _vllm(self, level: str, source: str, message: str) -> None:
        self.raw(f"{level} {time.strftime('%m-%d %H:%M:%S')} [{source}] {message}")
