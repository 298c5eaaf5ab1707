"""The kernel of a job, as data that travels to other processes and machines, and found again there."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twill.errors import InputError

if TYPE_CHECKING:
    from twill.frontend.source import KernelSource


def target_json(source: KernelSource) -> dict[str, Any]:
    """Where the kernel is, and the text of its file for machines that do not have it."""
    return {
        "path": source.path, "file": source.file, "name": source.name, "sha256": source.sha256,
        "text": Path(source.file).read_text(encoding="utf-8"),
    }  # fmt: skip


@contextmanager
def found(target: Mapping[str, Any]) -> Iterator[str]:
    """`path::name` of the kernel: its own file where that is the same, else a copy that goes with the context.

    A copy stands alone: what the file imports has to be importable on the machine.
    """
    own = Path(target["path"])
    for path in (own, Path(target["file"])):
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == target["sha256"]:
            yield f"{path}::{target['name']}"
            return
    text = str(target["text"])
    if hashlib.sha256(text.encode()).hexdigest() != target["sha256"]:
        raise InputError("the kernel's file changed during the sweep.", hint="Tune it again.", location=str(own))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, own.name)
        copy.write_text(text, encoding="utf-8")
        yield f"{copy}::{target['name']}"
