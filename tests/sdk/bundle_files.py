"""Bundles opened up, changed and closed again, as somebody would who wants to be believed."""

import json
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

Members = dict[str, bytes]
Lines = list[dict[str, Any]]


def members(file: Path) -> Members:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def put(file: Path, held: Members) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in held.items():
            archive.writestr(name, data)
    return file


def lines(data: bytes) -> Lines:
    return [json.loads(line) for line in data.splitlines()]


def joined(held: Lines) -> bytes:
    return b"".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" for line in held)


def manifest_of(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(members(file)["manifest.json"])
    return found


def changed(file: Path, name: str, change: Callable[[bytes], bytes], *, vouched: bool = True) -> Path:
    """The bundle with another member; ``vouched``: with a manifest that gives the new member's digest."""
    held = members(file)
    held[name] = change(held[name])
    if vouched and name != "manifest.json":
        manifest = json.loads(held["manifest.json"])
        manifest["members"][name] = {"sha256": sha256(held[name]).hexdigest(), "bytes": len(held[name])}
        held["manifest.json"] = json.dumps(manifest).encode()
    return put(file, held)


def with_lines(file: Path, name: str, change: Callable[[Lines], Lines], *, vouched: bool = True) -> Path:
    return changed(file, name, lambda data: joined(change(lines(data))), vouched=vouched)


def with_manifest(file: Path, **fields: Any) -> Path:
    return changed(file, "manifest.json", lambda data: json.dumps({**json.loads(data), **fields}).encode())
