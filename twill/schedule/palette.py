"""The colours of the pictures: one for each op of the loop body, its sub-tiles in shades of it."""

from __future__ import annotations

from collections.abc import Sequence

# Told apart by people with the common colour blindnesses, and legible under dark text.
_HUES = ("#5b8ff9", "#f6bd16", "#5ad8a6", "#e8684a", "#9270ca", "#6dc8ec", "#ff9d4d", "#f08bb4", "#7fb800", "#a0a7b4",
         "#c9a227", "#3aa99f")  # fmt: skip
TEXT = "#14171c"  # on every one of them
WAITING_FILL, WAITING_LINES = "#eceef1", "#a3aab5"  # hatched: nothing happens there
OUTSIDE_FILL = "#b9bfc9"  # what runs before and after the loop


def colour(family: int, subtile: int | None) -> str:
    """`#rrggbb` for the ops of a family: the hue itself for sub-tile 0 and shared ops, paler for each further one.

    Where there are more families than hues, the further ones have them darker.
    """
    darker = 0.6 ** (family // len(_HUES))
    paler = min(0.45 * (subtile or 0), 0.75)
    darkened = [value * darker for value in _channels(_HUES[family % len(_HUES)])]
    channels = [round(value + (255 - value) * paler) for value in darkened]
    return "#" + "".join(f"{value:02x}" for value in channels)


def _channels(hex_colour: str) -> Sequence[int]:
    return [int(hex_colour[at : at + 2], 16) for at in (1, 3, 5)]
