"""What shall happen, without I/O, clock or threads: `step(now, ...)` decides, returns actions.

Imports nothing of the package but itself; test/node/test_modules.py checks that.
"""
