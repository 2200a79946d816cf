"""Numbers: what is expected of a host whose sessions are ours alone, and of one that others use as well."""

from __future__ import annotations

import heapq
import random

from taskfs.numbers import Numbers


class Given:
    """The numbers as a host gives them: always the lowest."""

    def __init__(self) -> None:
        self.free = list(range(1000))

    def take(self) -> int:
        return heapq.heappop(self.free)

    def back(self, number: int) -> None:
        heapq.heappush(self.free, number)


def ask(host: Given, numbers: Numbers) -> tuple[int, bool]:
    """A session more: its number, and was that one expected for sure?"""
    expected, number = numbers.expect(), host.take()
    sure = numbers.sure(expected)
    numbers.learn(number, expected)
    return number, sure and number == expected


def test_who_is_alone_knows_every_number() -> None:
    host, numbers, chance = Given(), Numbers(), random.Random(1)
    mine = [ask(host, numbers)[0]]  # and from now on
    for _ in range(500):
        if mine and chance.random() < 0.45:
            number = mine.pop(chance.randrange(len(mine)))
            host.back(number)
            numbers.free(number)
            numbers.ended(number)
        else:
            number, known = ask(host, numbers)
            assert known
            mine.append(number)


def test_several_that_are_asked_for_at_once_come_in_that_order() -> None:
    host, numbers = Given(), Numbers()
    expected = [numbers.expect() for _ in range(5)]
    assert expected == [host.take() for _ in range(5)]


def test_a_stranger_is_noticed_and_when_he_rests_the_next_number_is_known_again() -> None:
    host, numbers = Given(), Numbers()
    ask(host, numbers)
    host.take()
    assert ask(host, numbers) == (2, False) and not numbers.sure(3)
    assert ask(host, numbers) == (3, False)
    number, known = ask(host, numbers)
    assert known
    host.back(number)
    numbers.free(number)
    numbers.ended(number)
    assert ask(host, numbers) == (number, True)


def test_what_may_be_there_still_is_not_taken_for_the_next_one() -> None:
    host, numbers = Given(), Numbers()
    ask(host, numbers)
    number, _ = ask(host, numbers)
    numbers.free(number)
    assert numbers.expect() == number and not numbers.sure(number)
    numbers.ended(number)
    assert numbers.sure(number)
