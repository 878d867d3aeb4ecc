"""Supervisor of one node: starts, watches and stops Ray and vLLM together with its group.

PID 1 of the node's container. Python 3.10+ standard library only, the same on every node and for
every topology; what runs comes from the release files in `in/`. docs/supervisor.md explains states,
protocol and files.

Reading order: `core/` decides and does nothing (release, desired -> slot, node: one node's
processes -> start, group: the head's decisions -> head, member); `loop` gathers what `core` wants to
know and does what it says, with `files`, `children`, `checks` and, between the nodes, `channel`,
`head_server` and `member_client`; `commit`, `switch` and `status` are the other modes of the command
line, which reach a running supervisor through its files only.
"""
