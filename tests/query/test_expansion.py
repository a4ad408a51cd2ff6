import re2

from airis_mon.query.expansion import expansion

PATTERN = re2.compile("(?P<word>a)(b)?")


def test_groups_are_named_by_number_and_by_name() -> None:
    assert expansion("<$1-${word}-${2}x-$$->", PATTERN) == ["<", 1, "-", 1, "-", 2, "x-", "$", "->"]
    assert expansion("$0", PATTERN) == [0]


def test_a_name_is_as_long_as_go_takes_it_letters_of_every_script_among_it() -> None:
    assert expansion("<$1é$été${1}x$1x>", PATTERN) == ["<", 1, "x", ">"]


def test_what_names_no_group_is_empty_and_what_is_no_name_stays() -> None:
    assert expansion("<$3$01$other>", PATTERN) == ["<", ">"]
    assert expansion("$ ${ ${} $-", PATTERN) == ["$ ${ ${} $-"]
