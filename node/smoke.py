"""Smoke run: what the engine needs of the NPUs and of the network between them, before any weights are loaded.

usage: python3 -u -c "<this file>" node <request.json    in the planned container of every node at once

The head's process is the coordinator: it prints {"listening": port}, the processes of all nodes connect to it, and it leads
them through the stages; no stage begins before all have ended the one before, so whoever fails or hangs is known. Each rank
is a process of its own. One JSON line on the head's standard output is the result.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

OUT_DIR = "/vllm-cluster/out"
DRIVER_FILE = "/usr/local/Ascend/driver/version.info"
THREADS = 64
# Above any path MTU, so that a path that carries small packets only does not pass.
PEER_BYTES = 1 << 20
MATRIX_SIZE = 1024
REDUCE_ELEMENTS = 1 << 18
# Rounds of pairs: every node with every other up to four nodes, with three others beyond.
MOST_ROUNDS = 3
TAIL_LINES = 12
Message = dict[str, Any]


def main(mode: str) -> int:
    if mode == "rank":
        return Rank().run()
    request = json.loads(sys.stdin.read())
    # Whatever hangs, also in a driver: nothing of a smoke run outlives it. Ranks end with their parent.
    limit = threading.Timer(request["limitSec"] + 45, os._exit, (124,))
    limit.daemon = True
    limit.start()
    if mode == "engine":
        return print_engine(request["engine"])
    if request["coordinator"] is not None:
        return Node(request).run(tuple(request["coordinator"]))
    server = socket.create_server((request["address"], 0), backlog=128)
    print(json.dumps({"listening": server.getsockname()[1]}), flush=True)
    node = threading.Thread(target=Node(request).run, args=(server.getsockname(),), daemon=True)
    node.start()
    result = Coordinator(request, server).run()
    node.join(10)
    print(json.dumps(result), flush=True)
    return 0


# ---- one node


class Node:
    """Does what the coordinator says on its node, and carries words between it and the ranks."""

    def __init__(self, request: Mapping[str, Any]):
        self.request = request
        self.env = {**os.environ, **request["env"]}
        self.ranks: dict[int, subprocess.Popen[str]] = {}
        self.send_lock = threading.Lock()

    def run(self, coordinator: tuple[str, int]) -> int:
        address = self.request["address"]
        try:
            self.connection = socket.create_connection(coordinator, 20, (address, 0))
        except OSError as error:
            host, port = coordinator
            print(
                json.dumps({"unreachable": f"{host} port {port} from {address}: {error}"}),
                flush=True,
            )
            return 1
        self.connection.settimeout(None)
        self.send({"hello": self.request["node"], **self.state()})
        try:
            for line in self.connection.makefile("r", encoding="utf-8"):
                message = json.loads(line)
                if "end" in message:
                    self.remember(message["end"])
                    break
                self.obey(message)
        finally:
            for process in self.ranks.values():
                process.kill()
            self.connection.close()
        return 0

    def obey(self, message: Message) -> None:
        stage = message["stage"]
        if stage == "ranks":
            self.start_ranks(message)
        elif "rank" in message:
            stdin = self.ranks[message["rank"]].stdin
            assert stdin
            with contextlib.suppress(OSError):  # its end is reported by who waits for it
                stdin.write(json.dumps(message) + "\n")
                stdin.flush()
        else:
            act = {"threads": self.threads, "engine": self.engine, "listen": self.listen}
            act |= {"hosts": self.hosts}
            threading.Thread(
                target=self.answer, args=(message, act[stage]), daemon=True
            ).start()

    def answer(self, message: Message, act: Callable[[Message], Message]) -> None:
        try:
            reply = act(message)
        except Exception as error:
            reply = {"error": one_line(error)}
        self.send({"stage": message["stage"], "node": self.request["node"], **reply})

    def send(self, message: Message) -> None:
        data = (json.dumps(message) + "\n").encode()
        with self.send_lock, contextlib.suppress(OSError):  # the coordinator is gone: over anyway
            self.connection.sendall(data)

    def state(self) -> Message:
        """What decides whether the run is needed, and whether the NPUs are free for it."""
        record = read_json(f"{OUT_DIR}/smoke.json")
        return {"busy": busy_with(read_json(f"{OUT_DIR}/status.json")), "driver": driver_version()} | (
            {"record": record} if record else {}
        )

    def remember(self, end: Mapping[str, Any]) -> None:
        if end["record"] is None or not os.path.isdir(OUT_DIR):
            return
        record = {**end["record"], "driver": driver_version()}
        temporary = f"{OUT_DIR}/smoke.json.tmp"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(record, file)
        os.replace(temporary, f"{OUT_DIR}/smoke.json")

    def threads(self, _: Message) -> Message:
        started = []
        for number in range(THREADS):
            thread = threading.Thread(target=lambda: None, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise RuntimeError(f"thread {number + 1} of {THREADS}: {error}") from None
            started.append(thread)
        for thread in started:
            thread.join(5)
        return {}

    def engine(self, _: Message) -> Message:
        """In a process of its own: what it imports must not be in this one."""
        run = subprocess.run(
            self_command("engine"),
            input=json.dumps(self.request),
            capture_output=True,
            text=True,
            env=self.env,
            check=False,
        )
        lines = [line for line in run.stdout.splitlines() if line.startswith('{"engine":')]
        if run.returncode != 0 or not lines:
            tail = run.stderr.strip().splitlines()[-TAIL_LINES:]
            return {"error": tail[-1] if tail else f"ended with {run.returncode}", "tail": tail}
        return json.loads(lines[-1])

    def listen(self, _: Message) -> Message:
        """An ephemeral port on the planned address, as Gloo and ZMQ open them."""
        listener = socket.create_server((self.request["address"], 0), backlog=128)
        threading.Thread(target=self.echo, args=(listener,), daemon=True).start()
        return {"port": listener.getsockname()[1]}

    def echo(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.echo_one, args=(connection,), daemon=True).start()

    def echo_one(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(30)
            rest = PEER_BYTES
            while rest > 0 and (piece := connection.recv(1 << 16)):
                rest -= len(piece)
            connection.sendall(b"ok")

    def hosts(self, message: Message) -> Message:
        """Sends as much as no single packet holds to every other node. All at once."""
        problems: dict[str, str] = {}

        def ask(name: str, peer: tuple[str, int]) -> None:
            try:
                source = (self.request["address"], 0)
                with socket.create_connection(peer, message["limitSec"] / 2, source) as connection:
                    connection.settimeout(message["limitSec"] / 2)
                    connection.sendall(bytes(PEER_BYTES))
                    if connection.recv(2) != b"ok":
                        problems[name] = f"{peer[0]} port {peer[1]} closed the connection"
            except OSError as error:
                problems[name] = f"{peer[0]} port {peer[1]}: {error}"

        peers = {name: tuple(peer) for name, peer in message["peers"].items()}
        peers.pop(self.request["node"], None)
        asking = [
            threading.Thread(target=ask, args=(name, peer), daemon=True)
            for name, peer in peers.items()
        ]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join(message["limitSec"])
        return {"problems": problems}

    def start_ranks(self, message: Message) -> None:
        for rank in message["ranks"]:
            process = subprocess.Popen(
                self_command("rank"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                env={**self.env, "LOCAL_RANK": str(rank["local"]), "RANK": str(rank["rank"])},
            )
            self.ranks[rank["rank"]] = process
            threading.Thread(target=self.relay, args=(rank["rank"], process), daemon=True).start()

    def relay(self, rank: int, process: subprocess.Popen[str]) -> None:
        tail: list[str] = []

        def collect() -> None:
            assert process.stderr
            for line in process.stderr:
                tail.append(line.rstrip()[:400])
                del tail[:-TAIL_LINES]

        reader = threading.Thread(target=collect, daemon=True)
        reader.start()
        assert process.stdout
        for line in process.stdout:
            with contextlib.suppress(ValueError):  # a library that prints to a descriptor of its own
                self.send({"rank": rank, **json.loads(line)})
        code = process.wait()
        reader.join(2)
        self.send({"rank": rank, "ended": code, "tail": tail})


def busy_with(status: Mapping[str, Any] | None) -> str | None:
    """What of this cluster runs on the node, so that its NPUs are not to be touched."""
    if status is None:
        return None
    for kind in ("serve", "ray"):
        if status[kind]["state"] not in ("stopped", "failed"):
            return f"{kind} release {status[kind]['hash']}"
    if status["role"] == "head" and status["state"] in ("starting", "backoff"):
        return "a start that is under way"
    return None


def driver_version() -> str:
    """Of the mounted driver; "" where it does not tell."""
    with contextlib.suppress(OSError), open(DRIVER_FILE, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("Version="):
                return line.partition("=")[2].strip()
    return ""


def print_engine(modules: Iterable[str]) -> int:
    """The engine, its device plugin, and what they say about devices and collectives."""
    import importlib

    for module in modules:
        importlib.import_module(module)
    import vllm
    from vllm.platforms import current_platform

    device = current_platform.device_type
    torch = importlib.import_module("torch")
    plugin = importlib.import_module("torch_npu") if device == "npu" else None
    engine = {
        "platform": type(current_platform).__name__,
        "device": device,
        "backend": current_platform.dist_backend,
        "vllm": vllm.__version__,
        "torch": torch.__version__,
        **({"torch_npu": plugin.__version__} if plugin else {}),
    }
    if not engine["backend"]:
        raise RuntimeError(
            f"no device plugin of vLLM takes this machine: platform {engine['platform']}"
        )
    # A stand-in for the device plugin may print, too.
    print(f'\n{json.dumps({"engine": engine})}', flush=True)
    return 0


# ---- one rank


class Rank:
    """A process with one NPU; commands on standard input, answers on standard output."""

    def __init__(self) -> None:
        # Libraries print to standard output.
        self.channel = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
        os.dup2(2, 1)
        self.commands: queue.Queue[Message] = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self) -> None:
        for line in sys.stdin:
            self.commands.put(json.loads(line))
        os._exit(3)  # the node's process is gone, and this one may sleep in a collective

    def say(self, **words: Any) -> None:
        self.channel.write(json.dumps(words) + "\n")

    def run(self) -> int:
        while True:
            command = self.commands.get()
            try:
                act = self.npu if command["stage"] == "npu" else self.collective
                act(command)
                self.say(stage=command["stage"], group=command.get("group"))
            except Exception as error:
                self.say(
                    stage=command["stage"], group=command.get("group"), error=one_line(error)
                )

    def npu(self, command: Message) -> None:
        self.say(at="import")
        import torch

        self.torch, self.device = torch, "cpu"
        if command["device"] == "npu":
            import torch_npu  # registers the device

            local = int(os.environ["LOCAL_RANK"])
            torch_npu.npu.set_device(local)
            self.device = f"npu:{local}"
        self.say(at="matrix product")
        dtype = torch.float16 if command["device"] == "npu" else torch.float32
        ones = torch.ones((MATRIX_SIZE, MATRIX_SIZE), dtype=dtype, device=self.device)
        product = (ones @ ones).float().cpu()
        low, high = float(product.min()), float(product.max())
        if low != MATRIX_SIZE or high != MATRIX_SIZE:
            raise RuntimeError(
                f"wrong product: {low}…{high} instead of {MATRIX_SIZE} in every element"
            )

    def collective(self, command: Message) -> None:
        """All-reduce and all-to-all over one group, whose first member holds the store."""
        from datetime import timedelta

        torch, (size, own) = self.torch, (command["size"], command["index"])
        distributed = torch.distributed
        limit = timedelta(seconds=command["limitSec"])
        host, port = command["store"]
        self.say(at="rendezvous")
        store = distributed.TCPStore(
            host, port, size, is_master=own == 0, timeout=limit, wait_for_workers=False
        )
        if own == 0:
            self.say(store=store.port, group=command["group"])
        self.say(at="connect")
        distributed.init_process_group(
            command["backend"], store=store, rank=own, world_size=size, timeout=limit
        )
        try:
            self.say(at="all-reduce")
            values = torch.full((REDUCE_ELEMENTS,), float(own + 1), device=self.device)
            distributed.all_reduce(values)
            self.expect(values, size * (size + 1) / 2, "all-reduce")
            self.say(at="all-to-all")
            sent = torch.full((size * 1024,), float(own), device=self.device)
            received = torch.full((size * 1024,), -1.0, device=self.device)
            distributed.all_to_all_single(received, sent)
            for peer in range(size):
                part = received[peer * 1024 : (peer + 1) * 1024]
                self.expect(part, float(peer), f"all-to-all from member {peer}")
        finally:
            distributed.destroy_process_group()

    def expect(self, values: Any, value: float, what: str) -> None:
        seen = values.cpu()
        low, high = float(seen.min()), float(seen.max())
        if low != value or high != value:
            raise RuntimeError(f"{what}: wrong values, {low}…{high} instead of {value}")


# ---- the coordinator


class Failure(NamedTuple):
    """Who failed in a stage and what is known of it; `rank` and `peer` where it is about them."""

    stage: str
    node: str
    detail: str
    rank: int | None = None
    peer: str | None = None
    tail: tuple[str, ...] = ()


class Group(NamedTuple):
    name: str
    ranks: tuple[int, ...]


class StageFailed(Exception):
    def __init__(self, failures: list[Failure]):
        super().__init__()
        self.failures = failures


class Coordinator:
    def __init__(self, request: Mapping[str, Any], server: socket.socket):
        self.request, self.server = request, server
        self.nodes: dict[str, tuple[int, ...]] = {
            node["name"]: tuple(node["ranks"]) for node in request["nodes"]
        }
        self.addresses = {node["name"]: node["address"] for node in request["nodes"]}
        self.until = time.monotonic() + request["limitSec"]
        self.connections: dict[str, socket.socket] = {}
        self.hello: dict[str, Message] = {}
        self.inbox: queue.Queue[Message] = queue.Queue()
        self.stages: list[Message] = []
        self.engine: Message = {}
        self.is_partial = False
        self.at: dict[int, str] = {}

    def run(self) -> Message:
        try:
            self.timed("join", self.join)
            if (seen := self.seen_before()) and not self.request["isForced"]:
                return self.finish({"result": "unchanged", "time": seen})
            busy = {n: hello["busy"] for n, hello in self.hello.items() if hello["busy"]}
            self.is_partial = bool(busy)
            self.timed("threads", lambda: self.ask_nodes("threads", 0.15))
            self.timed("engine", self.import_engine)
            self.timed("hosts", self.connect_hosts)
            self.timed("npu", self.start_ranks)
            if not self.is_partial and any(len(ranks) > 1 for ranks in self.nodes.values()):
                self.timed("node", self.within_nodes)
            if len(self.nodes) > 1:
                self.timed("pairs", self.across_pairs)
                self.timed("all", self.over_all)
            return self.finish({"result": "passed", "busy": busy})
        except StageFailed as failed:
            self.stages[-1]["isPassed"] = False
            failures = [failure._asdict() for failure in failed.failures]
            return self.finish({"result": "failed", "failures": failures})

    def finish(self, result: Message) -> Message:
        passed = result["result"] == "passed" and not self.is_partial
        record = {"fingerprint": self.request["fingerprint"], "time": time.time()}
        for connection in self.connections.values():
            post(connection, {"end": {"record": record if passed else None}})
        return {
            "smoke": 1,
            **result,
            "isPartial": self.is_partial,
            "engine": self.engine,
            "stages": self.stages,
        }

    def timed(self, name: str, step: Callable[[], object]) -> None:
        begin = time.monotonic()
        self.stages.append({"name": name, "isPassed": True, "sec": 0.0})
        try:
            step()
        finally:
            self.stages[-1]["sec"] = round(time.monotonic() - begin, 1)

    def limit(self, share: float) -> float:
        """Seconds for a step: its share of the whole, and no more than is left."""
        return max(1.0, min(share * self.request["limitSec"], self.until - time.monotonic()))

    # ---- stages

    def join(self) -> None:
        deadline = time.monotonic() + self.limit(0.25)
        while len(self.connections) < len(self.nodes):
            wait = deadline - time.monotonic()
            if wait <= 0 or not select.select([self.server], [], [], wait)[0]:
                break
            connection, _ = self.server.accept()
            lines = connection.makefile("r", encoding="utf-8")
            with contextlib.suppress(OSError, ValueError):  # not one of ours
                connection.settimeout(max(0.1, deadline - time.monotonic()))
                hello = json.loads(lines.readline())
                connection.settimeout(None)
                self.hello[hello["hello"]] = hello
                self.connections[hello["hello"]] = connection
                threading.Thread(target=self.read, args=(lines,), daemon=True).start()
        absent = [name for name in self.nodes if name not in self.connections]
        if absent:
            head = self.request["node"]
            text = f"did not reach the head {head} ({self.request['address']}) in time"
            raise StageFailed([Failure("join", name, text, peer=head) for name in absent])

    def read(self, lines: Iterable[str]) -> None:
        with contextlib.suppress(OSError):
            for line in lines:
                self.inbox.put(json.loads(line))

    def seen_before(self) -> float | None:
        """When the same passed, if it did so on all nodes with the drivers of today."""
        times = []
        for hello in self.hello.values():
            record = hello.get("record", {})
            if record.get("fingerprint") != self.request["fingerprint"]:
                return None
            if record.get("driver") != hello["driver"]:
                return None
            times.append(record["time"])
        return min(times)

    def import_engine(self) -> None:
        replies = self.ask_nodes("engine", 0.6)
        self.engine = replies[self.request["node"]]["engine"]
        failures = [
            Failure("engine", name, f"{reply['engine']}, unlike the head: {self.engine}")
            for name, reply in replies.items()
            if reply["engine"] != self.engine
        ]
        if failures:
            raise StageFailed(failures)

    def connect_hosts(self) -> None:
        listening = self.ask_nodes("listen", 0.15)
        peers = {
            name: [self.addresses[name], reply["port"]] for name, reply in listening.items()
        }
        limit = self.limit(0.2)
        replies = self.ask_nodes("hosts", 0.25, peers=peers, limitSec=limit)
        failures = [
            Failure("hosts", name, text, peer=peer)
            for name, reply in replies.items()
            for peer, text in reply["problems"].items()
        ]
        if failures:
            raise StageFailed(failures)

    def start_ranks(self) -> None:
        if self.is_partial:
            # The NPUs serve: what is left is the hosts' part of collectives, one process a node.
            self.nodes = {name: (number,) for number, name in enumerate(self.nodes)}
        for name, ranks in self.nodes.items():
            described = [{"rank": rank, "local": local} for local, rank in enumerate(ranks)]
            post(self.connections[name], {"stage": "ranks", "ranks": described})
        for rank in self.all_ranks():
            self.tell(rank, {"stage": "npu", "device": self.device})
        self.await_ranks("npu", {rank: None for rank in self.all_ranks()}, 0.5)

    def within_nodes(self) -> None:
        groups = [Group(f"node {name}", ranks) for name, ranks in self.nodes.items() if len(ranks) > 1]
        self.collectives("node", groups, 0.3)

    def across_pairs(self) -> None:
        for pairs in rounds(tuple(self.nodes)):
            groups = [
                Group(f"{one} and {other}", ranks)
                for one, other in pairs
                for ranks in zip(self.nodes[one], self.nodes[other])
            ]
            self.collectives("pairs", groups, 0.25)

    def over_all(self) -> None:
        self.collectives("all", [Group("all nodes", tuple(sorted(self.all_ranks())))], 0.35)

    @property
    def device(self) -> str:
        return "cpu" if self.is_partial else self.engine["device"]

    @property
    def backend(self) -> str:
        return "gloo" if self.is_partial else self.engine["backend"]

    # ---- asking

    def ask_nodes(self, stage: str, share: float, **words: Any) -> dict[str, Message]:
        for connection in self.connections.values():
            post(connection, {"stage": stage, **words})
        deadline = time.monotonic() + self.limit(share)
        replies: dict[str, Message] = {}
        while len(replies) < len(self.nodes):
            message = self.next(deadline)
            if message is None:
                break
            if message.get("stage") == stage:
                replies[message["node"]] = message
        failures = [
            Failure(stage, name, reply["error"], tail=tuple(reply.get("tail", ())))
            for name in self.nodes
            if "error" in (reply := replies.get(name, {}))
        ]
        failures += [
            Failure(stage, name, "no answer in time") for name in self.nodes if name not in replies
        ]
        if failures:
            raise StageFailed(failures)
        return replies

    def collectives(self, stage: str, groups: list[Group], share: float) -> None:
        """One collective in each group, all groups at once."""
        # Longer than the coordinator waits: a rank that gives up would be named instead of the one that it waits for.
        limit = self.limit(share) + 20
        waiting = {f"{stage}:{number}": group for number, group in enumerate(groups)}
        self.at = {}
        for name, group in waiting.items():
            self.tell(group.ranks[0], self.member(stage, name, group, 0, 0, limit))
        of_rank = {rank: group for group in groups for rank in group.ranks}

        def on_store(message: Message) -> None:
            group = waiting[message["group"]]
            for index, rank in enumerate(group.ranks[1:], 1):
                port = message["store"]
                self.tell(rank, self.member(stage, message["group"], group, index, port, limit))

        self.await_ranks(stage, of_rank, share, on_store)

    def member(
        self, stage: str, name: str, group: Group, index: int, port: int, limit: float
    ) -> Message:
        first = next(node for node, ranks in self.nodes.items() if group.ranks[0] in ranks)
        return {
            "stage": stage,
            "group": name,
            "index": index,
            "size": len(group.ranks),
            "store": [self.addresses[first], port],
            "backend": self.backend,
            "limitSec": limit,
        }

    def await_ranks(
        self,
        stage: str,
        groups: Mapping[int, Group | None],
        share: float,
        on_store: Callable[[Message], None] | None = None,
    ) -> None:
        deadline = time.monotonic() + self.limit(share)
        done: set[int] = set()
        failed: dict[int, Message] = {}
        while len(done) + len(failed) < len(groups):
            message = self.next(deadline)
            if message is None:
                break
            rank = message.get("rank")
            if rank is None:
                continue
            if "at" in message:
                self.at[rank] = message["at"]
            elif "store" in message and on_store:
                on_store(message)
            elif "ended" in message:
                text = f"its process ended with {message['ended']}"
                failed.setdefault(rank, {"error": text, **message})
            elif message.get("stage") == stage:
                if "error" in message:
                    failed[rank] = message
                else:
                    done.add(rank)
            if failed:
                # The others fail because of the first; who else fails by itself does so soon.
                deadline = min(deadline, time.monotonic() + 3)
        if len(done) == len(groups):
            return
        raise StageFailed(self.blame(stage, groups, done, failed))

    def blame(
        self,
        stage: str,
        groups: Mapping[int, Group | None],
        done: set[int],
        failed: Mapping[int, Message],
    ) -> list[Failure]:
        """
        Who is named: the ranks whose processes ended, else those that failed, else those that hang at the earliest point, because
        the others wait for them. When all of a group hang at the same point, all its members are named.
        """
        if ended := {rank: message for rank, message in failed.items() if "ended" in message}:
            failed = ended
        if failed:
            return [
                self.rank_failure(stage, rank, groups[rank], self.words(rank, message), message)
                for rank, message in sorted(failed.items())
            ]
        silent = {
            rank: STEPS.index(self.at.get(rank, "")) for rank in sorted(groups) if rank not in done
        }
        earliest = min(silent.values())
        where = STEPS[earliest] or "its start"
        return [
            self.rank_failure(stage, rank, groups[rank], f"hangs in {where}", {})
            for rank, place in silent.items()
            if place == earliest
        ]

    def words(self, rank: int, message: Message) -> str:
        at = self.at.get(rank)
        return f"{at}: {message['error']}" if at else message["error"]

    def rank_failure(
        self, stage: str, rank: int, group: Group | None, detail: str, message: Message
    ) -> Failure:
        owner = next(name for name, ranks in self.nodes.items() if rank in ranks)
        others = (other for other in group.ranks if other != rank) if group else iter(())
        peer = None
        if group and len(group.ranks) == 2:
            other = next(others)
            node = next(name for name, ranks in self.nodes.items() if other in ranks)
            peer = f"{node} rank {other}"
        return Failure(stage, owner, detail, rank, peer, tuple(message.get("tail", ())))

    def next(self, deadline: float) -> Message | None:
        wait = deadline - time.monotonic()
        if wait <= 0:
            return None
        try:
            return self.inbox.get(timeout=wait)
        except queue.Empty:
            return None

    def tell(self, rank: int, message: Message) -> None:
        name = next(name for name, ranks in self.nodes.items() if rank in ranks)
        post(self.connections[name], {**message, "rank": rank})

    def all_ranks(self) -> list[int]:
        return [rank for ranks in self.nodes.values() for rank in ranks]


# In the order in which a rank gets there.
STEPS = ("", "import", "matrix product", "rendezvous", "connect", "all-reduce", "all-to-all")


def rounds(nodes: tuple[str, ...]) -> list[list[tuple[str, str]]]:
    """Pairs of nodes in rounds in which each node has one partner (circle method)."""
    ring: list[str | None] = [*nodes] if len(nodes) % 2 == 0 else [*nodes, None]
    result = []
    for _ in range(min(len(ring) - 1, MOST_ROUNDS)):
        half = len(ring) // 2
        pairs = zip(ring[:half], reversed(ring[half:]))
        result.append([(one, other) for one, other in pairs if one and other])
        ring = [ring[0], ring[-1], *ring[1:-1]]
    return result


def post(connection: socket.socket, message: Message) -> None:
    with contextlib.suppress(OSError):  # a node that is gone is found by its silence
        connection.sendall((json.dumps(message) + "\n").encode())


def self_command(mode: str) -> list[str]:
    # The text came as an argument: no file of it is in the container before the first staging.
    words = sys.orig_argv
    return [sys.executable, "-u", "-c", words[words.index("-c") + 1], mode]


def read_json(path: str) -> Any:
    with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
        return json.load(file)
    return None


def one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:600]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
