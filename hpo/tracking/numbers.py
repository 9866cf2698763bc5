"""Trial numbers as the text of a tag: ranges such as ``0-49,51``."""

from collections.abc import Collection


def format_numbers(numbers: Collection[int], max_length: int) -> str:
    """Write numbers as ranges; the highest are left out where the text would be too long."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    text = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
    return text if len(text) <= max_length else text[:max_length].rpartition(",")[0]


def parse_numbers(text: str) -> frozenset[int]:
    """Read what :func:`format_numbers` wrote; nothing of a text that somebody changed."""
    numbers: set[int] = set()
    try:
        for part in filter(None, text.split(",")):
            low, _, high = part.partition("-")
            numbers.update(range(int(low), int(high or low) + 1))
    except ValueError:
        return frozenset()
    return frozenset(numbers)
