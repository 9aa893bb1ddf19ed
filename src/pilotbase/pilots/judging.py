"""Asking a judge about the answers that a candidate gave, and about those that people labelled."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pilotbase.domain.evidence import Reply, Usage
from pilotbase.pilots.limits import Budget
from pilotbase.pilots.observe import Pricing, from_rows, reply_row
from pilotbase.pilots.progress import Progress, Step
from pilotbase.ports import Cases, EvidenceLog, Judge, Judgement, Question, Scoreboard
from pilotbase.together import run_together

__all__ = ["CALIBRATION", "Bench", "expected_of", "judge_answers", "judge_labels"]

CALIBRATION = 1  # the repetition that marks a judgement of a labelled answer, whose position is its row in the labels file
WINDOW = 512  # positions whose inputs are read at a time
FLUSH = 64  # judgements scored together


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A judge at work on one variant of one candidate: where its judgements go, and what ends it."""

    variant: int
    judge: Judge
    log: EvidenceLog
    budget: Budget
    progress: Progress
    candidate: str


async def judge_answers(bench: Bench, answers: Mapping[int, str | None], cases: Cases, board: Scoreboard) -> None:
    """Judge each answer once. `answers` maps positions to texts; None is a failed case: no judge is asked, it counts as no."""
    positions = sorted(answers)
    pending: list[dict[str, Any]] = []
    done = 0

    def keep(position: int, judgement: Judgement | None) -> None:
        nonlocal done
        row = _row(bench.variant, position, 0, judgement)
        bench.log.append(row)
        pending.append(row)
        done += 1
        if len(pending) >= FLUSH or done == len(positions):
            board.add(from_rows(pending))
            pending.clear()
            bench.progress.step(Step(candidate=bench.candidate, phase="judging", done=done, total=len(positions)))

    for position in positions:
        if answers[position] is None:
            keep(position, None)
    await _judge_each(bench, _questions(answers, cases), keep)
    if pending:
        board.add(from_rows(pending))
    bench.log.sync()


async def judge_labels(bench: Bench, questions: Mapping[int, Question | None]) -> None:
    """Judge answers that people labelled, by row of the labels file, for the judge's own error. None: the answer had failed."""
    for row, question in questions.items():
        if question is None:
            bench.log.append(_row(bench.variant, row, CALIBRATION, None))
    wanted = (q for q in questions.values() if q is not None)
    await _judge_each(bench, wanted, lambda row, judgement: bench.log.append(_row(bench.variant, row, CALIBRATION, judgement)))
    bench.log.sync()


def expected_of(cases: Cases, position: int) -> str | None:
    """The truth of a case as a judge is told it."""
    truth = cases.truth
    return truth.names[truth.codes[position]] if truth is not None and truth.codes[position] >= 0 else None


def _questions(answers: Mapping[int, str | None], cases: Cases) -> Iterator[Question]:
    positions = sorted(p for p, text in answers.items() if text is not None)
    for start in range(0, len(positions), WINDOW):
        chunk = positions[start : start + WINDOW]
        rows = cases.inputs(chunk[0], chunk[-1] + 1)
        for position in chunk:
            text = answers[position]
            assert text is not None
            yield Question(
                key=position, inputs=rows.row(position - chunk[0], named=True), expected=expected_of(cases, position), answer=text
            )


async def _judge_each(bench: Bench, questions: Iterator[Question], keep: Callable[[int, Judgement | None], None]) -> None:
    """As many calls under way as the judge allows, each recorded before the next begins: a crash repeats no more than those."""
    under_way = 0

    async def work() -> None:
        nonlocal under_way
        while bench.budget.left(under_way) and (question := next(questions, None)) is not None:
            under_way += 1
            found = await bench.judge.judge([question])
            under_way -= 1
            keep(question.key, found[0])
            bench.budget.use(1, 0)

    await run_together(work() for _ in range(max(1, bench.judge.concurrency)))


def _row(variant: int, position: int, repetition: int, judgement: Judgement | None) -> dict[str, Any]:
    if judgement is None:
        reply = Reply(failure="refused", detail="the candidate gave no answer to judge", attempts=0)  # nobody was asked
    elif judgement.choice is None:
        reply = Reply(failure=judgement.failure or "unparseable", detail=judgement.detail)
    else:
        used = judgement.usage
        usage = Usage(tokens_in=used.get("prompt_tokens"), tokens_out=used.get("completion_tokens"))
        reply = Reply(answer={"label": judgement.choice}, usage=usage, detail=judgement.detail)
    return reply_row(variant, position, repetition, reply, None, Pricing(None))
