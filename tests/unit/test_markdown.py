"""Notes that a program writes anew and people add to."""

from hpo.markdown import link, merge_note


def test_what_a_person_wrote_below_the_line_stays():
    first = merge_note("old", "")
    assert first.startswith("old\n\n---\n")
    assert merge_note("new", f"{first}mine") == merge_note("new", "") + "mine"


def test_a_note_that_is_there_is_not_changed():
    assert merge_note("text", merge_note("text", "")) == merge_note("text", "")


def test_a_note_of_a_persons_own_stays():
    assert merge_note("text", "mine") == "mine"


def test_link():
    assert link("trial 3", "#/a") == "[trial 3](#/a)"
