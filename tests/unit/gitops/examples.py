"""The full example of the docs."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from gitops.config.controller import ControllerFile, read_controller_file
from gitops.config.document import Document, load_document
from gitops.config.models import EnvironmentSection, StagecraftFile

FULL = Path(__file__).resolve().parents[3] / "docs" / "examples" / "full"
MODELS: dict[str, tuple[Path, type[BaseModel]]] = {
    "stagecraft": (FULL / "stagecraft.yml", StagecraftFile),
    "descriptor": (FULL / "environments" / "staging.yml", EnvironmentSection),
    "controller": (FULL / "controller.yml", ControllerFile),
}


def example(name: str) -> Document:
    """One file of it as data."""
    path = MODELS[name][0]
    return read_controller_file(path) if name == "controller" else load_document(path.name, path.read_bytes())
