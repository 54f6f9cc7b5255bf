"""Devices against each other over batches, as JSON: the ``ranking`` field of the verdict."""

from __future__ import annotations

from typing import Any

from heuristics.ranking import Flip, Offer, Ranking
from reports.words import rounded

Json = dict[str, Any]


def ranking_of(found: Ranking) -> Json:
    """Offers by batch and device, and the batches at which the order changes."""
    return {"by_batch": [_offer(o) for o in found.by_batch], "flips": [_flip(f) for f in found.flips]}


def _offer(offer: Offer) -> Json:
    return {
        "batch": rounded(offer.batch),
        "gpu": offer.gpu,
        "tokens_per_s": rounded(offer.tokens_per_s),
        "tokens_per_usd": rounded(offer.tokens_per_usd),
        "at_roof": {
            "tokens_per_s": rounded(offer.tokens_per_s_at_roof),
            "tokens_per_usd": rounded(offer.tokens_per_usd_at_roof),
        },
        "fits": offer.fits,
    }


def _flip(flip: Flip) -> Json:
    return {
        "by": flip.by.value,
        "at_roof": flip.at_roof,
        "batch": rounded(flip.batch),
        "devices": list(flip.devices),
        "leader_below": flip.leader_below,
        "leader_above": flip.leader_above,
        "fits": flip.fits,
    }
