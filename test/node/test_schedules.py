"""Random fault schedules: one epoch lives at a time, and the group gets back to what is desired.

Does not prove anything about real processes or sockets.
"""

from __future__ import annotations

import os
import unittest

from simulation import World, fault, heal, run_until

SCHEDULES = int(os.environ.get("SUPERVISOR_SCHEDULES", "500"))
FIRST_SEED = int(os.environ.get("SUPERVISOR_SEED", "1"))
CONVERGES_WITHIN_SEC = 200


class RandomSchedules(unittest.TestCase):
    def test_invariants_hold_over_the_first_half(self) -> None:
        for seed in range(FIRST_SEED, FIRST_SEED + SCHEDULES // 2):
            run_schedule(seed)


class MoreRandomSchedules(unittest.TestCase):
    """A class of its own, so that it runs on the other core."""

    def test_invariants_hold_over_the_second_half(self) -> None:
        for seed in range(FIRST_SEED + SCHEDULES // 2, FIRST_SEED + SCHEDULES):
            run_schedule(seed)


class Changes(unittest.TestCase):
    def test_an_undisturbed_serve_change_restarts_serve_only(self) -> None:
        for seed in range(20):
            world = World(seed, nodes=3, topology="ray")
            world.calm = True
            world.want("running", "r1", "s1")
            self.assertTrue(run_until(world, lambda: is_ready(world), 120), f"seed {seed}")
            rays = dict(world.live("ray"))
            world.want("running", "r1", "s2")
            self.assertTrue(run_until(world, lambda: is_ready(world), 120), f"seed {seed}")
            self.assertEqual(dict(world.live("ray")), rays)
            self.assertEqual([ident.hash for _, ident in world.live("serve")], ["s2"])

    def test_rotated_secrets_restart_serve_only(self) -> None:
        world = World(5, nodes=2, topology="ray")
        world.calm = True
        world.want("running", "r1", "s1", secrets="v1")
        self.assertTrue(run_until(world, lambda: is_ready(world), 120))
        rays, serves = world.live("ray"), world.live("serve")
        world.want("running", "r1", "s1", secrets="v2")
        self.assertTrue(run_until(world, lambda: is_ready(world), 120))
        self.assertEqual(world.live("ray"), rays)
        self.assertNotEqual(world.live("serve"), serves)
        self.assertEqual(world.head.core.status(world.now)["serve"]["secrets"], "v2")

    def test_a_ray_change_waits_for_a_serve_release_that_names_it(self) -> None:
        world = World(7, nodes=2, topology="ray")
        world.calm = True
        world.want("running", "r1", "s1")
        self.assertTrue(run_until(world, lambda: is_ready(world), 120))
        world.want("running", "r2", "s1")
        ray_ready = run_until(
            world,
            lambda: (
                world.head.core.group.kind_state("ray") == "ready"
                and {ident.hash for _, ident in world.live("ray")} == {"r2"}
            ),
            120,
        )
        self.assertTrue(ray_ready)
        run_until(world, lambda: False, 30)
        self.assertEqual(world.live("serve"), [])
        self.assertEqual(world.head.core.group.state, "waiting")
        self.assertIn("serve release s1 needs Ray release r1", world.head.core.group.reason)
        rays = world.live("ray")
        world.want("running", "r2", "s3")
        self.assertTrue(run_until(world, lambda: is_ready(world), 120))
        self.assertEqual(world.live("ray"), rays)


def run_schedule(seed: int) -> None:
    world = World(seed, nodes=1 + seed % 3, topology="mp" if seed % 4 == 0 else "ray")
    rng = world.random
    for name in world.names[1:]:
        world.nodes[name].up_at = rng.choice([0.0, 0.0, rng.uniform(0, 20)])
    ray, serve = rng.choice(world.choices())
    world.want("running", ray, serve)
    story = []
    next_fault = rng.uniform(0, 20)
    end = rng.uniform(20, 60)
    try:
        while world.now < end:
            world.step()
            if world.now >= next_fault:
                story.append(fault(world))
                next_fault = world.now + rng.choice([0.3, 2.0, 8.0, 20.0])
        heal(world)
        ray, serve = rng.choice(world.choices())
        stopped = rng.random() < 0.15
        world.want("stopped" if stopped else "running", ray, serve, rng.choice(["", "new"]))
        if stopped:
            done = run_until(world, lambda: is_stopped(world), CONVERGES_WITHIN_SEC)
            world.require(done, "does not stop: " + summary(world))
            run_until(world, lambda: False, 20)
            world.require(is_stopped(world), "does not stay stopped: " + summary(world))
        else:
            # A node lost just now may leave the group "ready" for the length of the lease.
            done = run_until(
                world,
                lambda: is_ready(world) and current_only(world, ray, serve),
                CONVERGES_WITHIN_SEC,
            )
            world.require(done, "does not converge: " + summary(world))
    except AssertionError as error:
        raise AssertionError(f"{error}\nschedule:\n  " + "\n  ".join(story)) from None


def is_ready(world: World) -> bool:
    group = world.head.core and world.head.core.group
    return bool(group and group.state == "ready" and group.desired == world.desired)


def is_stopped(world: World) -> bool:
    group = world.head.core and world.head.core.group
    quiet = not world.live("ray") and not world.live("serve")
    return bool(group and group.state == "stopped" and quiet)


def current_only(world: World, ray: str | None, serve: str) -> bool:
    runs = world.head.core.group.runs
    for kind, digest in (("ray", ray), ("serve", serve)):
        expected = {
            (name, runs[kind].ident)
            for name in world.names
            if digest and world.releases[name][f"{kind}:{digest}"].command
        }
        if set(world.live(kind)) != expected:
            return False
    return True


def summary(world: World) -> str:
    group = world.head.core.group if world.head.core else None
    state = f"{group.state}: {group.reason}" if group else "head is down"
    slots = {
        name: {kind: slot.state for kind, slot in node.core.node.slots.items()}
        if node.core
        else "down"
        for name, node in world.nodes.items()
    }
    return f"{state}; {slots}; live {world.live('ray')} {world.live('serve')}"


if __name__ == "__main__":
    unittest.main()
