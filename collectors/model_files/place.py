"""Where the files of a stated model lie: a local folder or file, a hub's cache, or a blob of Ollama.

The cache's layout is walked through the process's own links. ``huggingface_hub`` would follow an absolute link out of
a container's root, and takes 0.4 s of CPU to import, a tenth of a core over a short watch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from collectors.model_files.view import CannotRead, NotThere, ProcessView
from collectors.redaction import model_name

_ID = re.compile(r"(?P<repository>[\w.-]{1,96}(?:/[\w.-]{1,96})?)(?::(?P<tag>[\w.-]{1,64}))?", re.ASCII)
_REVISION = re.compile(r"(?!.*\.\.)[\w.-][\w./-]{0,254}", re.ASCII)
_SNAPSHOT = re.compile(r"/models--([^/]+)/snapshots/[^/]+/?")
_DIGEST = re.compile(r"sha256[-:]([0-9a-f]{64})")
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")

_LONGEST_NOTE_BYTES = 1 << 16
"""References and manifests take a few hundred bytes."""

MOST_PARTS = 1000
"""Files that one model is split into, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A model's files, as the process names them: a GGUF's parts, or a configuration and the folder of its weights.

    ``name`` is None where only the file itself can tell, as in a store of blobs.
    """

    name: str | None
    where: str
    config: str | None = None
    weights: str | None = None
    gguf: tuple[str, ...] = ()


def find(
    name_or_path: str, view: ProcessView, *, revision: str | None = None, download_dir: str | None = None
) -> Place:
    """The files that an engine told to load ``name_or_path`` uses.

    Raises:
        CannotRead: nothing is there, or this user may not look.
    """
    stated = name_or_path.removeprefix("file://")
    if "://" in stated:
        raise CannotRead("the model is loaded from a URL, of which no file is at hand", unlock=_GIVE)
    if not stated.strip():
        raise CannotRead("no model is stated", unlock=_GIVE)
    closed: list[CannotRead] = []
    matched = _ID.fullmatch(stated)
    look: list[Callable[[], Place | None]] = [lambda: _local(stated, view), lambda: _ollama(stated, view)]
    if matched is not None:
        kept = "models--" + matched["repository"].replace("/", "--")
        snapshots = [_in_cache(f"{cache}/{kept}", revision, view, closed) for cache in caches(view, download_dir)]
        found = [s for s in snapshots if s is not None]
        look.append(lambda: _cached(matched["repository"], matched["tag"], found, view))
    for place in look:
        try:
            seen = place()
        except CannotRead as error:
            if matched is None or not error.closed:
                raise
            closed.append(error)
        else:
            if seen is not None:
                return seen
    if closed:
        raise closed[0]
    where = "no such file or folder" if matched is None else "neither in a local folder nor in the hub's cache"
    raise NotThere(f"{model_name(stated)}: no config.json to read, {where}", unlock=_GIVE)


_GIVE = "give --model PATH to the model's config.json, folder or GGUF"


def _local(stated: str, view: ProcessView) -> Place | None:
    try:
        path = view.absolute(stated)
    except NotThere:
        return None
    if view.is_folder(path):
        return _folder(path, view)
    if not view.is_file(path):
        if stated.startswith(("/", "~", "./", "../")):
            view.file(path)
        return None
    named = PurePosixPath(path)
    if named.suffix == ".gguf" or _DIGEST.fullmatch(named.name) or _starts_with_gguf(path, view):
        if _DIGEST.fullmatch(named.name):
            return Place(name=None, where="an Ollama blob", gguf=(path,))
        return _gguf(path, view, where="a GGUF file")
    folder = str(named.parent)
    if named.name == "config.json":
        return Place(name=_folder_name(folder), where="a local folder", config=path, weights=folder)
    if named.suffix == ".safetensors":
        return _folder(folder, view)
    return Place(name=model_name(named.stem), where="a configuration file", config=path)


def _folder(path: str, view: ProcessView) -> Place:
    if view.is_file(f"{path}/config.json"):
        return Place(name=_folder_name(path), where="a local folder", config=f"{path}/config.json", weights=path)
    one = _only_gguf(path, None, view)
    if one is None:
        raise NotThere(f"{_folder_name(path)}: neither config.json nor a GGUF in the model's folder", unlock=_GIVE)
    return _gguf(one, view, where="a GGUF file")


def _folder_name(path: str) -> str:
    snapshot = _SNAPSHOT.search(f"{path}/")
    if snapshot is not None:
        return model_name(snapshot[1].replace("--", "/", 1))
    return model_name(PurePosixPath(path).name or "model")


def _starts_with_gguf(path: str, view: ProcessView) -> bool:
    with open(view.file(path), "rb") as stream:
        return stream.read(4) == b"GGUF"


def _gguf(path: str, view: ProcessView, *, where: str, name: str | None = None) -> Place:
    """A GGUF with the other parts that lie beside it, under the names the process sees (a cache's links differ)."""
    file = PurePosixPath(path)
    part = _PART.fullmatch(file.name)
    if part is None:
        return Place(name=name or model_name(file.stem), where=where, gguf=(path,))
    count = int(part["count"])
    if not 0 < count <= MOST_PARTS:
        raise CannotRead(f"{file.name}: a model in {count} parts")
    names = (f"{part['stem']}-{number:05d}-of-{part['count']}.gguf" for number in range(1, count + 1))
    return Place(name=name or model_name(part["stem"]), where=where, gguf=tuple(str(file.parent / n) for n in names))


def _only_gguf(folder: str, tag: str | None, view: ProcessView) -> str | None:
    """The one model among a folder's GGUFs, the one of a quantisation where a tag names it."""
    found = [n for n in view.names(folder) if n.endswith(".gguf") and not n.startswith("mmproj")]
    first = [n for n in found if (part := _PART.fullmatch(n)) is None or int(part["number"]) == 1]
    if tag is not None:
        first = [n for n in first if tag.lower() in n.lower()]
    if len(first) > 1:
        raise CannotRead(f"{len(first)} GGUF files in the model's folder, and nothing says which", unlock=_GIVE)
    return f"{folder}/{first[0]}" if first else None


def caches(view: ProcessView, download_dir: str | None = None) -> list[str]:
    """Folders of the hub's cache that the process may use, the ones it prefers first."""
    env = view.env
    hub = (env.get("HF_HUB_CACHE"), env.get("HUGGINGFACE_HUB_CACHE"))
    under = ((env.get("HF_HOME"), "hub"), (env.get("XDG_CACHE_HOME"), "huggingface/hub"))
    found = [download_dir, *hub, *(f"{folder}/{rest}" for folder, rest in under if folder)]
    if view.home is not None:
        found.append(f"{view.home}/.cache/huggingface/hub")
    return list(dict.fromkeys(folder for folder in found if folder))


def _in_cache(kept: str, revision: str | None, view: ProcessView, closed: list[CannotRead]) -> str | None:
    """The snapshot in one cache; one that this user may not enter is passed over and remembered."""
    try:
        return _snapshot(kept, revision, view)
    except CannotRead as error:
        closed.append(error)
        return None


def _cached(repository: str, tag: str | None, snapshots: Sequence[str], view: ProcessView) -> Place | None:
    """A hub's model: configuration and weights may lie in different caches, as an engine's own download folder does."""
    if not snapshots:
        return None
    if tag is None:
        config = next((f"{s}/config.json" for s in snapshots if view.is_file(f"{s}/config.json")), None)
        if config is not None:
            weights = next((s for s in snapshots if _has_weights(s, view)), None)
            return Place(name=model_name(repository), where="the hub's cache", config=config, weights=weights)
    for snapshot in snapshots:
        one = _only_gguf(snapshot, tag, view)
        if one is not None:
            return _gguf(one, view, where="a GGUF in the hub's cache", name=model_name(repository))
    raise NotThere(f"{model_name(repository)}: no config.json in the hub's cache", unlock=_GIVE)


def _has_weights(folder: str, view: ProcessView) -> bool:
    return any(name.endswith((".safetensors", ".bin")) for name in view.names(folder))


def _snapshot(kept: str, revision: str | None, view: ProcessView) -> str | None:
    """The folder of a revision: through its reference, by its own name, or the only one where none was asked for."""
    if revision is not None and not _REVISION.fullmatch(revision):
        return None
    reference = f"{kept}/refs/{revision or 'main'}"
    commit = revision
    if view.is_file(reference):
        commit = view.content(reference, _LONGEST_NOTE_BYTES).decode("ascii", "replace").strip()
    snapshots = f"{kept}/snapshots"
    if commit is None and view.is_folder(snapshots):
        present = view.names(snapshots)
        commit = present[0] if len(present) == 1 else None
    if commit is None or not _REVISION.fullmatch(commit):
        return None
    folder = f"{snapshots}/{commit}"
    return folder if view.is_folder(folder) else None


def _ollama(stated: str, view: ProcessView) -> Place | None:
    """A blob by its digest, or a model of Ollama by the name it was pulled under."""
    store = view.env.get("OLLAMA_MODELS") or (f"{view.home}/.ollama/models" if view.home is not None else None)
    if store is None:
        return None
    name = None
    digest = _DIGEST.fullmatch(stated)
    if digest is None:
        matched = _ID.fullmatch(stated)
        if matched is None:
            return None
        parts = PurePosixPath(matched["repository"]).parts
        owner = parts if len(parts) == 2 else ("library", *parts)
        manifest = "/".join((store, "manifests/registry.ollama.ai", *owner, matched["tag"] or "latest"))
        if ".." in parts or not view.is_file(manifest):
            return None
        name, digest = stated, _DIGEST.fullmatch(_model_digest(view.content(manifest, _LONGEST_NOTE_BYTES)))
        if digest is None:
            raise CannotRead(f"{model_name(stated)}: its Ollama manifest names no model")
    path = f"{store}/blobs/sha256-{digest[1]}"
    if not view.is_file(path):
        return None
    return Place(name=name and model_name(name), where="an Ollama blob", gguf=(path,))


def _model_digest(content: bytes) -> str:
    try:
        layers = json.loads(content)["layers"]
        return str(next(x["digest"] for x in layers if str(x["mediaType"]).endswith(".image.model")))
    except (ValueError, KeyError, TypeError, StopIteration, RecursionError):
        return ""
