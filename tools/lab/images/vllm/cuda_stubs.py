#!/usr/bin/env python3
"""Makes the PyPI (CUDA) build of torch importable without 2.5 GB of NVIDIA libraries.

usage: cuda_stubs.py TORCH_LIB        (needs gcc and readelf)

Each library that torch's own libraries need and that neither torch nor the system ships (cublas,
cudnn, nccl, ...) is written to TORCH_LIB as a stub of the same soname and symbol versions. Every
function of a stub returns cudaErrorInsufficientDriver; none is called in a run on the CPU, where
torch.cuda.is_available() is False.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

CUDA_ERROR_INSUFFICIENT_DRIVER = 35

SYSTEM_LIBRARY = re.compile(
    r"(libc|libm|libdl|librt|libpthread|libgcc_s|libstdc\+\+|ld-linux.*|libgomp)\.so"
)
SYSTEM_VERSION = ("GLIBC", "GCC", "CXXABI", "GOMP", "OMP")
# libcudart comes from its wheel: torch's static initialisers register their kernels with it.
# libcuda is the driver's; torch opens it at run time and does without.
NOT_STUBBED = ("libcudart.so", "libcuda.so")

# Most symbols carry no version that names their library; their prefix does.
PREFIX_OF = {
    "libnccl.so": r"_?p?nccl",
    "libcudnn.so": r"cudnn",
    "libcufile.so": r"cuFile",
    "libcusparseLt.so": r"cusparseLt",
    "libnvshmem_host.so": r"_?nvshmem|.*nvshmem",
    "libcupti.so": r"cupti",
    "libnvrtc.so": r"nvrtc",
    "libcufft.so": r"cufft",
    "libcurand.so": r"curand",
    "libcublasLt.so": r"cublasLt",
    "libcublas.so": r"cublas",
    "libcusolver.so": r"cusolver",
    "libcusparse.so": r"cusparse",
}


class Symbol(NamedTuple):
    name: str
    version: str


def main(torch_lib: Path) -> None:
    libraries = sorted(torch_lib.glob("*.so*"))
    needed: set[str] = set()
    undefined: set[Symbol] = set()
    defined: set[str] = set()
    for library in libraries:
        needed |= needed_libraries(library)
        unresolved, exported = dynamic_symbols(library)
        undefined |= unresolved
        defined |= exported
    shipped = {library.name for library in libraries}
    missing = sorted(
        name
        for name in needed - shipped
        if not SYSTEM_LIBRARY.match(name) and not name.startswith(NOT_STUBBED)
    )
    stubs: dict[str, set[Symbol]] = {name: set() for name in missing}
    for symbol in undefined:
        if symbol.name in defined or symbol.version.startswith(SYSTEM_VERSION):
            continue
        home = library_of(symbol, missing)
        if home:
            stubs[home].add(symbol)
    for name, symbols in stubs.items():
        write_stub(torch_lib / name, symbols)
        print(f"{name}: {len(symbols)} symbols")


def needed_libraries(library: Path) -> set[str]:
    return set(re.findall(r"NEEDED.*\[(.*?)\]", readelf("-dW", library)))


def dynamic_symbols(library: Path) -> tuple[set[Symbol], set[str]]:
    """Undefined symbols, names of defined ones."""
    undefined: set[Symbol] = set()
    defined: set[str] = set()
    for line in readelf("-W", "--dyn-syms", library).splitlines():
        fields = line.split()
        if len(fields) < 8 or not fields[0].rstrip(":").isdigit():
            continue
        name, _, version = fields[7].partition("@")
        if fields[6] == "UND":
            undefined.add(Symbol(name, version.lstrip("@")))
        else:
            defined.add(name)
    return undefined, defined


def library_of(symbol: Symbol, libraries: list[str]) -> str | None:
    if symbol.version:
        for library in libraries:
            stem = library.split(".so")[0] + ".so"
            if symbol.version == library or symbol.version.startswith(stem):
                return library
    for stem, prefix in PREFIX_OF.items():
        if re.match(prefix, symbol.name):
            return next((library for library in libraries if library.startswith(stem)), None)
    return None


def write_stub(path: Path, symbols: set[Symbol]) -> None:
    with tempfile.TemporaryDirectory() as work:
        source = Path(work, "stub.c")
        source.write_text(
            "".join(
                f"int {name}(void) {{ return {CUDA_ERROR_INSUFFICIENT_DRIVER}; }}\n"
                for name in sorted({symbol.name for symbol in symbols})
                if re.fullmatch(r"[A-Za-z_]\w*", name)
            )
        )
        command = ["gcc", "-shared", "-fPIC", "-w", "-fno-builtin", "-o", str(path), str(source)]
        command += [f"-Wl,-soname,{path.name}"]
        versions = sorted({symbol.version for symbol in symbols if symbol.version})
        if versions:
            script = Path(work, "versions")
            script.write_text(
                "".join(
                    "%s { global: %s };\n"
                    % (
                        version,
                        " ".join(
                            f"{symbol.name};"
                            for symbol in sorted(symbols)
                            if symbol.version == version
                        ),
                    )
                    for version in versions
                )
            )
            command += [f"-Wl,--version-script={script}"]
        subprocess.run(command, check=True)


def readelf(*arguments: object) -> str:
    command = ["readelf", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
