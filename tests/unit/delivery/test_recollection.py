"""Whoever asks at the same time asks together, and hears together that nobody answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from tributary_delivery.recollection import Questions
from tributary_runtime.errors import StorageUnavailableError


class Oracle:
    """Knows the squares of even numbers."""

    def __init__(self, *, is_out: bool = False) -> None:
        self.asked: list[list[int]] = []
        self.is_out = is_out

    async def __call__(self, wanted: list[int]) -> Mapping[int, int]:
        self.asked.append(wanted)
        await asyncio.sleep(0)
        if self.is_out:
            raise StorageUnavailableError("out")
        return {one: one * one for one in wanted if one % 2 == 0}


async def test_what_is_asked_at_once_is_one_question_and_nothing_is_asked_twice() -> None:
    oracle = Oracle()
    questions = Questions(oracle)
    assert await asyncio.gather(*map(questions.answer, (2, 3, 4, 2))) == [4, None, 16, 4]
    assert await asyncio.gather(*map(questions.answer, (3, 4, 6))) == [None, 16, 36]
    assert oracle.asked == [[2, 3, 4], [6]]


async def test_an_outage_is_everybodys_and_asked_about_once() -> None:
    oracle = Oracle(is_out=True)
    questions = Questions(oracle)
    answers = await asyncio.gather(*map(questions.answer, (2, 4)), return_exceptions=True)
    assert [type(one) for one in answers] == [StorageUnavailableError] * 2
    with pytest.raises(StorageUnavailableError):
        await questions.answer(6)
    assert oracle.asked == [[2, 4]]
