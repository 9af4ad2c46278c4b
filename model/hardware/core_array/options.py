"""Reads the options of a core array, which a hardware file gives as texts by name."""

from collections.abc import Mapping, Sequence

from soma_cp.model.errors import UserError, nearest_name_hint

LARGEST_OPTION = 1 << 20


def require_known(model: str, options: Mapping[str, str], known: Sequence[str]) -> None:
    """Refuse options that the core array doesn't have.

    Raises
    ------
    UserError
        For the first of them.
    """
    for name in options:
        if name not in known:
            allowed = f"it takes {', '.join(known)}" if known else "it takes none"
            raise UserError(f"core array '{model}' has no option '{name}'; {allowed}{nearest_name_hint(name, known)}")


def whole_number(model: str, options: Mapping[str, str], name: str, default: int) -> int:
    """Return the whole number, 1 or more, that an option gives.

    Raises
    ------
    UserError
        If the option is no such number.
    """
    text = options.get(name)
    if text is None:
        return default
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 7 else 0
    if not 1 <= number <= LARGEST_OPTION:
        raise UserError(f"core array '{model}': {name}={text} (must be a whole number from 1 to {LARGEST_OPTION})")
    return number


def one_of(model: str, options: Mapping[str, str], name: str, allowed: Sequence[str]) -> str:
    """Return the word that an option gives, by default the first of `allowed`.

    Raises
    ------
    UserError
        If the word is not in `allowed`.
    """
    word = options.get(name, allowed[0])
    if word not in allowed:
        raise UserError(
            f"core array '{model}': {name}={word} (must be {' or '.join(allowed)}){nearest_name_hint(word, allowed)}"
        )
    return word
