"""The group protocol: who is believed, who is let in."""

from __future__ import annotations

import json
import socket
import unittest

from simulation import TIMING
from supervisor.channel import Channel, ProtocolError, is_report, is_target
from supervisor.core.head import HeadCore
from supervisor.core.member import MemberCore
from supervisor.core.slot import Facts
from supervisor.logs import TAIL_LINES
from supervisor.sockets import LINE_LIMIT, LineSocket, parse_address
from supervisor.text import TAIL_LINE_CHARS


def pair(
    head_token: bytes = b"token", member_token: bytes = b"token", clusters: tuple = ("c", "c")
) -> tuple[Channel, Channel]:
    head = Channel(head_token, clusters[0], "head")
    member = Channel(member_token, clusters[1], "member")
    head.open_greeting(member.greeting())
    member.open_greeting(head.greeting())
    return head, member


class Authentication(unittest.TestCase):
    def refuses(self, channel: Channel, line: bytes, text: str) -> None:
        with self.assertRaises(ProtocolError) as caught:
            channel.open(line)
        self.assertIn(text, str(caught.exception))

    def test_both_sides_read_what_the_other_sealed(self) -> None:
        head, member = pair()
        for number in range(3):
            self.assertEqual(head.open(member.seal({"n": number})), {"n": number})
            self.assertEqual(member.open(head.seal({"ä": [number]})), {"ä": [number]})

    def test_another_token_or_cluster_name_is_refused(self) -> None:
        for head, member in (pair(member_token=b"other"), pair(clusters=("c", "d"))):
            self.refuses(head, member.seal({}), "token or cluster name differs")
            self.refuses(member, head.seal({}), "token or cluster name differs")

    def test_a_changed_line_is_refused(self) -> None:
        head, member = pair()
        envelope = json.loads(member.seal({"a": 1}))
        envelope["body"] = '{"a":2}'
        self.refuses(head, json.dumps(envelope).encode(), "failed authentication")

    def test_replay_reordering_and_omission_are_refused(self) -> None:
        head, member = pair()
        first, second, third = (member.seal({"n": number}) for number in range(3))
        head.open(first)
        self.refuses(head, first, "sent line 1 after line 1")
        self.refuses(head, third, "sent line 3 after line 1")
        head.open(second)

    def test_replay_on_another_connection_is_refused(self) -> None:
        head, member = pair()
        line = member.seal({})
        head.open(line)
        later = Channel(b"token", "c", "head")
        later.open_greeting(member.greeting())
        self.refuses(later, line, "failed authentication")

    def test_a_reflected_line_is_refused(self) -> None:
        head, _ = pair()
        self.refuses(head, head.seal({}), "failed authentication")

    def test_the_longest_report_fits_into_a_line(self) -> None:
        _, member = pair()
        core = MemberCore("node1", "i", TIMING)
        wide = ["\U0001f600" * (TAIL_LINE_CHARS + 1)] * TAIL_LINES
        for slot in core.node.slots.values():
            slot.facts = Facts(tail=tuple(wide))
            slot.exit = {"epoch": 1, "reason": "x", "tail": wide}
        line = member.seal({"cluster": "c", "node": "node1", "report": core.report()})
        self.assertLess(len(line), LINE_LIMIT)

    def test_lines_that_are_no_protocol_are_refused(self) -> None:
        head, _ = pair()
        for line in (
            b"",
            b"GET / HTTP/1.1",
            b"[]",
            b"{}",
            b'{"n":1,"mac":1,"body":"{}"}',
            b"[" * 9999,
        ):
            self.refuses(head, line, "sent a line")
        fresh = Channel(b"token", "c", "head")
        greetings = {
            b'{"protocol":9,"nonce":"' + b"0" * 32 + b'"}': "speaks protocol 9",
            b'{"protocol":1,"nonce":"short"}': "greets without a nonce",
        }
        for line, text in greetings.items():
            with self.assertRaisesRegex(ProtocolError, text):
                fresh.open_greeting(line)


class Admission(unittest.TestCase):
    def setUp(self) -> None:
        self.head = HeadCore("node0", "c", "i0", TIMING, 0)

    def admit(self, now: float, name: str, cluster: str = "c") -> str:
        return self.head.admit(now, cluster, name, ("node0", "node1"))

    def test_only_planned_members_of_this_cluster_get_in(self) -> None:
        self.assertEqual(self.admit(0, "node1"), "")
        self.assertIn("of cluster c, not of d", self.admit(0, "node1", "d"))
        self.assertIn("node9 is not a planned node (node0, node1)", self.admit(0, "node9"))
        self.assertIn("node0 is the head's own name", self.admit(0, "node0"))

    def test_while_nothing_is_planned_any_member_gets_in(self) -> None:
        self.assertEqual(self.head.admit(0, "c", "node9", ()), "")

    def test_a_name_that_is_heard_is_taken_one_that_fell_silent_is_free(self) -> None:
        self.head.on_report(0, "node1", {})
        self.assertIn("node1 is connected already, heard 1.0 s ago", self.admit(1, "node1"))
        self.assertEqual(self.admit(4, "node1"), "")
        self.head.on_report(5, "node1", {})
        self.head.on_disconnect("node1")
        self.assertEqual(self.admit(5, "node1"), "")

    def test_a_report_or_target_of_another_shape_is_not_let_through_to_the_core(self) -> None:
        report = MemberCore("node1", "i", TIMING).report()
        self.assertTrue(is_report(report))
        for key in ("instance", "releases", "slots"):
            self.assertFalse(is_report({**report, key: 7}), key)
        broken = {**report["slots"], "ray": {**report["slots"]["ray"], "exit": {}}}
        self.assertFalse(is_report({**report, "slots": broken}))
        message = self.head.message_for("node1")
        self.assertTrue(is_target(message))
        for key in ("sequence", "target", "group"):
            self.assertFalse(is_target({**message, key: "x"}), key)
        self.assertFalse(is_target({**message, "target": {"ray": {}, "serve": None}}))


class Lines(unittest.TestCase):
    def setUp(self) -> None:
        left, self.right = socket.socketpair()
        self.lines = LineSocket(left)
        self.addCleanup(self.lines.close)
        self.addCleanup(self.right.close)

    def test_lines_come_out_whole(self) -> None:
        self.right.sendall(b"one\ntw")
        self.assertEqual(self.lines.lines(), ([b"one"], ""))
        self.right.sendall(b"o\n")
        self.assertEqual(self.lines.lines(), ([b"two"], ""))
        self.right.close()
        self.assertEqual(self.lines.lines(), ([], "closed by the other side"))

    def test_a_line_without_end_is_cut_off(self) -> None:
        self.right.setblocking(False)
        over = ""
        for _ in range(100):
            try:
                self.right.send(b"x" * 65536)
            except BlockingIOError:
                pass
            _, over = self.lines.lines()
            if over:
                break
        self.assertIn("sent a line longer than", over)

    def test_a_peer_that_does_not_read_is_given_up(self) -> None:
        over = ""
        for _ in range(100):
            over = over or self.lines.send(b"x" * 65536)
        self.assertEqual(over, "does not read what it is sent")

    def test_addresses_have_a_port(self) -> None:
        self.assertEqual(parse_address("10.0.0.1:7000"), ("10.0.0.1", 7000))
        self.assertEqual(parse_address("[fd00::1]:7000"), ("fd00::1", 7000))
        for text in ("10.0.0.1", ":7000", "host:", "host:x"):
            with self.assertRaises(Exception, msg=text):
                parse_address(text)


if __name__ == "__main__":
    unittest.main()
