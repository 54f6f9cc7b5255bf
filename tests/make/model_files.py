"""Models of a few kilobytes in the formats of the real ones: safetensors, GGUF, a hub's cache."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from collectors.model_files import ModelRecord, ProcessView, StatedModel, Unread, read_model
from tests.make.configs import PLAIN, Config

Tensors = Mapping[str, tuple[str, tuple[int, ...]]]
"""Name to (type, dimensions)."""

WIDTHS = {"F32": 32, "BF16": 16, "F16": 16, "F8_E4M3": 8, "I32": 32, "U8": 8, "I8": 8, "I64": 64}


def config(**changes: Any) -> Config:
    """The plain configuration, small, after changes; None takes a field away."""
    small = PLAIN | {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 50}
    return {k: v for k, v in (small | changes).items() if v is not None}


def llama(dtype: str = "BF16", *, layers: int = 2, head: bool = True, prefix: str = "model.") -> dict[str, Any]:
    """Tensors of the small configuration: 8 heads of 8, 2 of them for keys and values."""
    found: dict[str, Any] = {f"{prefix}embed_tokens.weight": (dtype, (50, 64)), f"{prefix}norm.weight": (dtype, (64,))}
    if head:
        found["lm_head.weight"] = (dtype, (50, 64))
    for layer in range(layers):
        of = f"{prefix}layers.{layer}."
        found |= {
            f"{of}self_attn.{n}_proj.weight": (dtype, (w, 64)) for n, w in zip("qkvo", (64, 16, 16, 64), strict=True)
        }
        found |= {f"{of}mlp.{n}_proj.weight": (dtype, (96, 64)) for n in ("gate", "up")}
        found[f"{of}mlp.down_proj.weight"] = (dtype, (64, 96))
    return found


LAYER_PARAMETERS = 64 * (64 + 16 + 16 + 64) + 3 * 96 * 64
"""In one layer of the small model."""


def safetensors_bytes(tensors: Tensors) -> bytes:
    """A file of zeros."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (dtype, dimensions) in tensors.items():
        size = int(np.prod(dimensions)) * WIDTHS[dtype] // 8
        header[name] = {"dtype": dtype, "shape": list(dimensions), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(at)


def folder(where: Path, fields: Config | None = None, tensors: Tensors | None = None, *, shards: int = 1) -> Path:
    """A model's folder: config.json, and the tensors in one file or dealt to several with an index."""
    where.mkdir(parents=True, exist_ok=True)
    (where / "config.json").write_text(json.dumps(config() if fields is None else fields))
    if tensors is None:
        return where
    if shards == 1:
        (where / "model.safetensors").write_bytes(safetensors_bytes(tensors))
        return where
    files = {name: f"model-{i % shards + 1:05d}-of-{shards:05d}.safetensors" for i, name in enumerate(tensors)}
    for file in sorted(set(files.values())):
        (where / file).write_bytes(safetensors_bytes({n: t for n, t in tensors.items() if files[n] == file}))
    (where / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    return where


def cached(hub: Path, repository: str, source: Path, *, commit: str = "0" * 40, reference: str | None = "main") -> Path:
    """The folder's files as a hub's cache keeps them: blobs, a snapshot of links to them, and a reference."""
    kept = hub / ("models--" + repository.replace("/", "--"))
    snapshot = kept / "snapshots" / commit
    (kept / "blobs").mkdir(parents=True, exist_ok=True)
    snapshot.mkdir(parents=True)
    for number, file in enumerate(sorted(source.iterdir())):
        blob = f"{commit[:8]}{number:04d}"
        (kept / "blobs" / blob).write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(f"../../blobs/{blob}")
    if reference is not None:
        (kept / "refs").mkdir(exist_ok=True)
        (kept / "refs" / reference).write_text(commit)
    return snapshot


def gguf(
    path: Path,
    *,
    arch: str = "llama",
    fields: Mapping[str, int | Sequence[Any]] | None = None,
    tensors: Mapping[str, tuple[tuple[int, ...], str]] | None = None,
    tokens: int = 50,
    more: Mapping[str, int] | None = None,
    title: str | None = None,
) -> Path:
    """A GGUF of zeros: dimensions as numpy orders them, the innermost last, with the name of the type in the file."""
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quant_shape_to_byte_shape

    writer = GGUFWriter(path, arch)
    if title is not None:
        writer.add_name(title)
    for name, value in (GGUF_FIELDS if fields is None else fields).items():
        if isinstance(value, int):
            writer.add_uint32(f"{arch}.{name}", value)
        else:
            writer.add_array(f"{arch}.{name}", value)
    for name, number in (more or {}).items():
        writer.add_uint16(name, number)
    writer.add_token_list([f"token {i}" for i in range(tokens)])
    writer.add_token_scores([0.0] * tokens)
    for name, (dimensions, kind) in (gguf_llama() if tensors is None else tensors).items():
        quantisation = GGMLQuantizationType[kind]
        if kind in ("F32", "F16"):
            writer.add_tensor(name, np.zeros(dimensions, dtype=np.float32 if kind == "F32" else np.float16))
        else:
            packed = np.zeros(quant_shape_to_byte_shape(dimensions, quantisation), dtype=np.uint8)
            writer.add_tensor(name, packed, raw_dtype=quantisation)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


GGUF_FIELDS = {
    "block_count": 2,
    "embedding_length": 256,
    "feed_forward_length": 512,
    "attention.head_count": 8,
    "attention.head_count_kv": 2,
}


def gguf_llama(kind: str = "Q4_0", *, head: str | None = "Q8_0", layers: int = 2) -> dict[str, Any]:
    """Tensors of the small GGUF: 8 heads of 32, 2 of them for keys and values."""
    found: dict[str, Any] = {"token_embd.weight": ((50, 256), "F16"), "output_norm.weight": ((256,), "F32")}
    if head is not None:
        found["output.weight"] = ((50, 256), head)
    for layer in range(layers):
        of = f"blk.{layer}."
        found |= {
            f"{of}attn_norm.weight": ((256,), "F32"),
            f"{of}attn_q.weight": ((256, 256), kind),
            f"{of}attn_k.weight": ((64, 256), kind),
            f"{of}attn_v.weight": ((64, 256), kind),
            f"{of}attn_output.weight": ((256, 256), kind),
            f"{of}ffn_gate.weight": ((512, 256), kind),
            f"{of}ffn_up.weight": ((512, 256), kind),
            f"{of}ffn_down.weight": ((256, 512), kind),
        }
    return found


def view(root: Path, *, cwd: str = "/", home: str | None = "/home/user", **env: str) -> ProcessView:
    """A process's view of a fake root."""
    return ProcessView(root=root, cwd=Path(cwd), env=env, home=None if home is None else Path(home))


def record(path: str, seen: ProcessView, **flags: str) -> ModelRecord:
    """The model, which must be readable."""
    found = read_model(StatedModel(name_or_path=path, **flags), seen)
    assert not isinstance(found, Unread), found
    return found


def refused(path: str, seen: ProcessView, **flags: str) -> Unread:
    """The refusal, which must be one."""
    found = read_model(StatedModel(name_or_path=path, **flags), seen)
    assert isinstance(found, Unread), found
    return found
