"""What may be shown and stored of a stranger's process: by allow-list, and then without anything that looks secret."""

from __future__ import annotations

import re
from itertools import pairwise

LONGEST = 200
"""Characters of a name; what is longer is no name."""

HIDDEN = "[redacted]"

FILES = (".gguf", ".safetensors", ".bin", ".pt")

_URL = re.compile(r"\b[a-zA-Z][\w+.-]*://\S*")
_CREDENTIALS = re.compile(r"(?<=//)(?:[^/\s:@]*:(?!\d+(?:/|$))\S*|[^/\s]*)@")
"""In an address, up to the last ``@``: passwords hold slashes and more of them."""
_QUERY = re.compile(r"[?#].*$")
_SECRET = re.compile(
    r"""(?x)
    # tokens with a known beginning, access keys, JSON web tokens
    \bhf_[A-Za-z0-9]{8,}
    | \b(?:ghp|gho|ghs|ghu|github_pat|glpat|xox[abeprs]|nvapi|gsk|r8)[-_][\w-]{8,}
    | (?<![\w-])(?:sk|pk|rk)[-_](?=[\w-]*\d)[\w-]{8,}
    | (?<![\w-])(?:api|key|tok)[-_](?=[A-Za-z]*\d)[A-Za-z0-9]{12,}
    | \b(?:AKIA|ASIA)[A-Z0-9]{12,}
    | \beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?
    # what is called a secret
    | (?i:(?:password|passwd|secret|token|(?:api|access|private|secret)[-_]?key|authorization|bearer|credential
          |signature)s?["']?\s*[=:]\s*(?:(?:bearer|basic|token)\s+)?["']?[^\s"']+)
    | (?i:(?<![\w-])(?:--[\w-]*(?:password|secret|token|key|credential)s?|bearer|basic)\s+[^\s"']+)
    | [?&][\w.%-]+=[^\s&]*
    # a user and a password before a host
    | (?<![^\s"'=])[^\s/:@"'=]+:[^\s/@"']+@(?=\w)
    # what is long and random
    | (?<![A-Za-z0-9])(?=[A-Za-z+=]*\d)(?=[0-9+=]*[A-Za-z])[A-Za-z0-9+=]{32,}
    | (?<![\w/+=.-])(?=\S*[a-z])(?=\S*[A-Z])(?=\S*\d)[A-Za-z0-9/+]{40}(?![\w/+=.-])
    """
)
_LONG = re.compile(r"[A-Za-z0-9_+=-]{24,}")
FEWEST_PAIRS = 16
RANDOM = 0.42
"""Of neighbouring letters and digits, the part that changes kind: some six in ten where they are drawn by chance, a
tenth to a third in names."""


def harmless(text: str) -> str:
    """A short text without credentials of URLs, their queries, and whatever looks like a secret."""
    plain = "".join(c if c.isprintable() else " " for c in text)[: 4 * LONGEST].strip()
    plain = _URL.sub(lambda url: _QUERY.sub("", _CREDENTIALS.sub("", url[0])), plain)
    plain = _SECRET.sub(HIDDEN, plain)
    return _LONG.sub(lambda word: HIDDEN if _random(word[0]) else word[0], plain)[:LONGEST].rstrip()


def model_name(text: str) -> str:
    """A model as it may be named: a hub's ``org/name``, or the last part of a path."""
    plain = harmless(text).rstrip("/")
    if plain.startswith(("/", ".", "~")) or "://" in plain or plain.count("/") > 1 or plain.endswith(FILES):
        plain = plain.rsplit("/", 1)[-1]
    return plain.split("?", 1)[0].strip()


def _random(word: str) -> bool:
    """Whether lower case, upper case and digits follow each other as if drawn by chance."""
    kinds = "".join("d" if c.isdigit() else "u" if c.isupper() else "l" if c.isalpha() else " " for c in word)
    pairs = [before + after for before, after in pairwise(kinds) if " " not in before + after]
    return len(pairs) >= FEWEST_PAIRS and sum(pair[0] != pair[1] for pair in pairs) > RANDOM * len(pairs)
