"""The Python that runs the tests as a layer of an image, as small as one program needs it.

No image can be pulled, and no program that the wheels bring can be told how to serve and how to end. So a
fresh interpreter says which modules a program imports, the loader says which libraries those and the
interpreter need, and exactly these files go into the layer, under the paths that they have here, wherever
this machine's Python comes from. The bytecode goes with them, or each container would compile it anew.
"""

from __future__ import annotations

import marshal
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from pathlib import Path

from controller.demo.archive import Layer

_SECONDS = 60
_UNCHECKED = 1  # in the head of bytecode: it goes by a hash, which nobody needs to check
_LIST = """
import runpy, sys
runpy.run_path(sys.argv[1], run_name="listed")
import encodings.idna, encodings.latin_1
for module in list(sys.modules.values()):
    if getattr(module, "__file__", None):
        print(module.__file__)
print(sys.modules["os"].__file__)
"""


def interpreter() -> Path:
    """The program behind the virtual environment's."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def python_layer(program: Path) -> Layer:
    """All that `program` needs but itself; it is run once as a module that is not the main one."""
    python = interpreter()
    said = subprocess.run(
        [python, "-I", "-S", "-c", _LIST, program],
        check=True,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    ).stdout
    modules = {Path(line) for line in said.splitlines()}
    files: dict[str, bytes | Path] = {}
    for path in sorted(modules):
        files[_inside(path)] = path
        if path.suffix == ".py":
            files[_inside(Path(cache_from_source(str(path))))] = _compiled(path)
    for path in (python, *sorted(one for one in modules if one.suffix == ".so")):
        for library in _libraries(path):
            files[_inside(library)] = library.resolve()
    files[_inside(python)] = python
    return Layer(files, folders=("tmp",))


def _inside(path: Path) -> str:
    return str(path.absolute()).removeprefix("/")


def _compiled(path: Path) -> bytes:
    """Bytecode that is taken as it is, because the files of a layer have no time that could prove it."""
    code = SourceFileLoader(path.stem, str(path)).get_code(path.stem)
    return (
        MAGIC_NUMBER + _UNCHECKED.to_bytes(4, "little") + source_hash(path.read_bytes()) + marshal.dumps(code)
    )


def _libraries(program: Path) -> list[Path]:
    """What the loader finds for it, with the loader itself; nothing for a static program."""
    done = subprocess.run(["ldd", program], check=False, capture_output=True, text=True, timeout=_SECONDS)
    words = (word for line in done.stdout.splitlines() for word in line.split())
    return sorted({Path(word) for word in words if word.startswith("/") and not word.endswith(":")})
