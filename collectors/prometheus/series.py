"""The wanted series of a live ``/metrics``, scrape after scrape, at the cost of looking for them.

prometheus-client parses each series once; from then on its text before the value is known and only the value is
read. Labels are kept by an allow-list: anything may stand in them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from itertools import islice

from collectors.redaction import harmless
from collectors.units import number

LABELS = frozenset(
    {
        "engine",
        "model_name",
        "model",
        "dp_rank",
        "tp_rank",
        "pp_rank",
        "moe_ep_rank",
        "ReplicaId",
        "WorkerId",
        "mode",
        "method",
        "request_type",
        "kv_cache_block_type",
        "general_type",
        "source",
        "num_gpu_blocks",
        "block_size",
        "kv_cache_size_tokens",
        "cache_dtype",
        "gpu",
        "UUID",
        "modelName",
        "device",
        "GPU_I_ID",
        "GPU_I_PROFILE",
    }
)
"""Labels that tell series apart or state what is asked for."""

MOST_SERIES = 4096
"""Of the wanted names in one scrape; a data-parallel server has a few hundred."""
MOST_KNOWN = 4 * MOST_SERIES

FULL_EVERY = 5

Series = tuple[str, dict[str, str], float]
"""Name, allowed labels, value."""


class SeriesReader:
    """Reads the series whose names are wanted, or begin with a wanted prefix that ends in ``*``.

    Servers print their series in the same order every time, so after a full read those known are looked up one
    behind the other; a full read follows where one is not found, and now and then for series that are new.
    """

    def __init__(self, wanted: Collection[str]) -> None:
        self._exact = frozenset(name.encode() for name in wanted if not name.endswith("*"))
        self._prefixes = tuple(name[:-1].encode() for name in wanted if name.endswith("*"))
        self._begins = tuple({name[:4] for name in self._exact} | {name[:4] for name in self._prefixes})
        self._known: dict[bytes, tuple[str, dict[str, str]] | None] = {}
        self._order: list[bytes] = []
        self._reads = 0

    def read(self, body: bytes) -> list[Series]:
        """Every wanted series with a finite value."""
        self._reads += 1
        pairs = self._looked_up(body) if self._order and self._reads % FULL_EVERY else None
        if pairs is None:
            pairs = list(islice(self._lines(body), MOST_SERIES))
            self._order = [key for key, _ in pairs]
        found: list[Series] = []
        for key, text in pairs:
            described = self._known[key] if key in self._known else self._described(key)
            value = number(text) if described is not None else None
            if described is not None and value is not None and math.isfinite(value):
                found.append((*described, value))
        return found

    def _looked_up(self, body: bytes) -> list[tuple[bytes, str]] | None:
        """The known series in their order; None where one is missing or has moved."""
        found = []
        at = 0
        for key in self._order:
            place = body.find(b"\n" + key + b" ", max(0, at - 1))
            if place < 0:
                if at > 0 or not body.startswith(key + b" "):
                    return None
                place = -1
            begin = place + len(key) + 2
            at = body.find(b"\n", begin) + 1 or len(body)
            words = body[begin:at].split(None, 1)
            if not words:
                return None
            found.append((key, words[0].decode("ascii", "replace")))
        return found

    def _lines(self, body: bytes) -> Iterator[tuple[bytes, str]]:
        """Series and value of the lines that may be wanted; a time stamp behind the value is left off."""
        begins = self._begins
        for line in body.split(b"\n"):
            if not line.startswith(begins):
                continue
            name, brace, _ = line.partition(b"{")
            if not brace:
                name = line.split(None, 1)[0]
            if name not in self._exact and not (self._prefixes and name.startswith(self._prefixes)):
                continue
            end = line.rfind(b"}") + 1 if brace else len(name)
            rest = line[end:].split(None, 2)
            if end > 0 and rest:
                yield line[:end], rest[0].decode("ascii", "replace")

    def _described(self, key: bytes) -> tuple[str, dict[str, str]] | None:
        """Name and allowed labels of a series seen for the first time."""
        from prometheus_client.parser import text_string_to_metric_families

        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        described = None
        try:
            families = list(text_string_to_metric_families(key.decode("utf-8", "replace") + " 1\n"))
            sample = families[0].samples[0]
            described = (sample.name, _allowed(sample.labels))
        except (ValueError, KeyError, IndexError):
            pass
        self._known[key] = described
        return described


def _allowed(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: harmless(value) for name, value in labels.items() if name in LABELS}
