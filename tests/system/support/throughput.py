"""Comparison of throughputs that were measured in turns, on a machine that may be busy with other things."""

from collections.abc import Callable, Hashable
from itertools import zip_longest

LEAST = 0.6
ROUNDS = 6


def assert_as_fast(measure: Callable[[Hashable], list[int]], beside: Hashable, plain: Hashable) -> None:
    """Measure in one case and in the other until the best of each figure in the first is nearly the best in
    the second. A busy machine makes any one of them low, so that only the best says something."""
    best: dict[Hashable, list[int]] = {plain: [], beside: []}
    for _ in range(ROUNDS):
        for case, figures in best.items():
            best[case] = [max(pair) for pair in zip_longest(figures, measure(case), fillvalue=0)]
        if all(here > LEAST * there for here, there in zip(best[beside], best[plain], strict=True)):
            return
    raise AssertionError(f"{best[beside]} beside, {best[plain]} without")
