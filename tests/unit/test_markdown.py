"""Notes that a program writes anew and people add to."""

from hpo.markdown import code, merge_note


def test_what_a_person_wrote_below_the_line_stays():
    first = merge_note("old", "")
    assert first.startswith("old\n\n---\n")
    assert merge_note("new", f"{first}mine") == merge_note("new", "") + "mine"


def test_a_note_that_is_there_is_not_changed():
    assert merge_note("text", merge_note("text", "")) == merge_note("text", "")


def test_a_note_of_a_persons_own_stays():
    assert merge_note("text", "mine") == "mine"


def test_text_of_the_datas_is_code_on_one_line():
    assert code("a`b|c\n<b>d</b>") == "`a'b\\|c <b>d</b>`"
