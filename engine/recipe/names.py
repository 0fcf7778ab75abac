"""When two names are one."""

import unicodedata


def folded(name: str) -> str:
    """``name`` without what people write now so, now so: case, the form of accents, spaces at its ends or repeated."""
    return unicodedata.normalize("NFC", " ".join(name.split()).casefold())
