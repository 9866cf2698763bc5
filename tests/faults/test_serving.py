"""The proof that no study is driven twice at once can fail."""

import random

from .serving import driven_twice, kinds_of

TWO = [("took", "s", 1, 10.0), ("took", "s", 2, 20.0)]


def test_second_driver_beside_one_that_is_alive_is_found() -> None:
    assert list(driven_twice(TWO, {1: 30.0, 2: 30.0}, [])) == [
        "s: pid 2 took it 10.000 s after pid 1, which had it"
    ]


def test_lock_is_free_after_its_holder_let_go_died_or_lost_it_in_a_restart() -> None:
    let_go = [TWO[0], ("let go", "s", 1, 15.0), TWO[1]]
    assert list(driven_twice(let_go, {1: 30.0, 2: 30.0}, [])) == []
    assert list(driven_twice(TWO, {1: 19.9, 2: 30.0}, [])) == []
    assert list(driven_twice(TWO, {1: 30.0, 2: 30.0}, [15.0])) == []
    assert list(driven_twice(TWO, {1: 30.0, 2: 30.0}, [5.0])) != []


def test_other_studies_and_the_same_process_again_are_no_finding() -> None:
    others = [TWO[0], ("took", "t", 2, 20.0), ("took", "s", 1, 25.0)]
    assert list(driven_twice(others, {1: 30.0, 2: 30.0}, [])) == []


def test_late_word_of_a_driver_that_lost_its_lock_frees_nothing() -> None:
    late = [*TWO, ("let go", "s", 1, 21.0), ("took", "s", 3, 22.0)]
    found = list(driven_twice(late, {1: 30.0, 2: 30.0, 3: 30.0}, [15.0]))
    assert found == ["s: pid 3 took it 2.000 s after pid 2, which had it"]


def test_every_seed_has_its_restarts() -> None:
    kinds = kinds_of(40, random.Random(3))
    assert len(kinds) == 40
    assert kinds.count("PostgreSQL restarted") == 2
