"""The package's own rules: the pure core has no effects, imports form no circle, files stay small.

Does not prove that the core calls nothing impure by other ways than an import.
"""

from __future__ import annotations

import ast
import unittest
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "node" / "supervisor"
# What decides needs no files, sockets, processes, threads, randomness, and is told the time.
PURE_LIBRARY = {"__future__", "collections.abc", "dataclasses", "json", "math", "re", "typing"}
LINES_OF_A_MODULE = 500


class Modules(unittest.TestCase):
    def test_the_core_imports_only_itself_and_what_has_no_effects(self) -> None:
        for name, imports in imports_of_all().items():
            if name.startswith("supervisor.core"):
                foreign = {
                    item
                    for item in imports
                    if item not in PURE_LIBRARY and not item.startswith("supervisor.core.")
                }
                self.assertEqual(foreign, set(), name)

    def test_the_core_opens_no_file(self) -> None:
        for path in sorted((PACKAGE / "core").glob("*.py")):
            calls = {
                node.func.id
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            self.assertFalse(calls & {"open", "print", "input", "exec", "eval", "__import__"}, path)

    def test_imports_form_no_circle(self) -> None:
        imports = {
            name: {item for item in items if item.startswith("supervisor.")}
            for name, items in imports_of_all().items()
        }
        while imports:
            free = {name for name, items in imports.items() if not items & set(imports)}
            self.assertTrue(free, f"a circle is among {sorted(imports)}")
            imports = {name: items for name, items in imports.items() if name not in free}

    def test_nothing_imports_the_command_line_or_the_probe_script(self) -> None:
        for name, imports in imports_of_all().items():
            self.assertFalse(imports & {"supervisor.__main__", "supervisor.ray_probe"}, name)

    def test_a_module_has_less_than_500_lines_and_says_what_it_is_for(self) -> None:
        for path in sorted(PACKAGE.rglob("*.py")):
            text = path.read_text()
            self.assertLess(len(text.splitlines()), LINES_OF_A_MODULE, path)
            self.assertTrue(ast.get_docstring(ast.parse(text)), path)


def imports_of_all() -> dict[str, set[str]]:
    """Module -> modules that it imports, also inside functions."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        words = ["supervisor", *path.relative_to(PACKAGE).with_suffix("").parts]
        items: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                items |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0 and node.module
                items.add(node.module)
        found[".".join(words)] = items
    return found


if __name__ == "__main__":
    unittest.main()
