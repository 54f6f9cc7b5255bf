"""Devices against each other over batches, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from heuristics.ranking import By, Flip, Offer, Ranking
from reports.lines import bullet, table
from reports.words import number

MOST_FLIPS = 6

Section = tuple[str, list[str]]


def sections(found: Ranking | None, columns: int) -> Iterator[Section]:
    """Tokens a dollar by batch, where there are prices, and where the order changes."""
    if found is None:
        return
    yield "Tokens per dollar in practice (* the most)", _by_batch(found, columns)
    lines = [line for text in _changes(found) for line in bullet(text, columns)]
    yield "Where the ranking changes, in practice", lines


def _by_batch(found: Ranking, columns: int) -> list[str]:
    priced = [o for o in found.by_batch if o.tokens_per_usd is not None]
    names = list(dict.fromkeys(o.gpu for o in priced))
    if not names:
        return []
    rows = []
    for batch in dict.fromkeys(o.batch for o in priced):
        offers = {o.gpu: o for o in priced if o.batch == batch}
        held = {name: o.tokens_per_usd or 0.0 for name, o in offers.items() if o.fits is not False}
        most = max(held.values(), default=0.0)
        rows.append((number(batch), *(_cell(offers[name], most, len(names) > 1) for name in names)))
    return table(("batch", *names), rows, columns, left=set())


def _cell(offer: Offer, most: float, several: bool) -> str:
    if offer.fits is False:
        return "does not fit "
    value = offer.tokens_per_usd or 0.0
    return f"{number(value)}{'*' if several and value >= most else ' '}"


def _changes(found: Ranking) -> Iterator[str]:
    """A line a change that both devices have memory for, with the batch by the peaks beside it."""
    told = [f for f in found.flips if not f.at_roof and f.fits is not False]
    for flip in told[:MOST_FLIPS]:
        peers = [f for f in found.flips if f.at_roof and _alike(f, flip)]
        alike = [f for f in told if _alike(f, flip)]
        roof = peers[alike.index(flip)] if len(peers) == len(alike) else None
        beside = f" ({number(roof.batch)} at the roof)" if roof is not None else ""
        what = "cheaper" if flip.by is By.COST else "faster"
        below, above, at = flip.leader_below, flip.leader_above, f"{number(flip.batch)}{beside}"
        a, b = flip.devices
        if above is None:
            yield f"{below} is {what} than {b if below == a else a} below a batch of {at}, equal above"
        elif below is None:
            yield f"{above} is {what} than {b if above == a else a} above a batch of {at}, equal below"
        else:
            yield f"{below} is {what} below a batch of {at}, {above} above"


def _alike(one: Flip, other: Flip) -> bool:
    return (one.by, one.devices, one.leader_below, one.leader_above) == (
        other.by,
        other.devices,
        other.leader_below,
        other.leader_above,
    )
