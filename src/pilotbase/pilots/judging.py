"""Asking a judge about the answers that a candidate gave, and about those that people labelled."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from pilotbase.domain.evidence import Reply, Usage
from pilotbase.pilots.limits import Budget
from pilotbase.pilots.observe import Pricing, from_rows, reply_row
from pilotbase.pilots.progress import Progress, Step
from pilotbase.ports import Cases, EvidenceLog, Judge, Judgement, Question, Scoreboard

__all__ = ["CALIBRATION", "judge_answers", "judge_labels"]

CALIBRATION = 1  # the repetition that marks a judgement of a labelled answer, whose position is its row in the labels file
CHUNK = 256


async def judge_answers(
    variant: int,
    judge: Judge,
    answers: Mapping[int, str | None],
    *,
    cases: Cases,
    board: Scoreboard,
    log: EvidenceLog,
    budget: Budget,
    progress: Progress,
    candidate: str,
) -> None:
    """Judge each answer once. `answers` maps positions to texts; None is a failed case, which no judge is asked about and which counts as no."""
    positions = sorted(answers)
    truth = cases.truth
    for start in range(0, len(positions), CHUNK):
        chunk = positions[start : start + CHUNK]
        if not budget.left():
            return
        rows = cases.inputs(0, max(chunk) + 1).to_dicts() if chunk else []
        questions = [
            Question(key=p, inputs=rows[p], expected=truth.names[truth.codes[p]] if truth is not None and truth.codes[p] >= 0 else None, answer=text)
            for p in chunk
            if (text := answers[p]) is not None
        ]
        found = {j.key: j for j in await judge.judge(questions)}
        budget.use(len(questions), 0)
        done = [_row(variant, p, 0, found.get(p)) for p in chunk]
        for row in done:
            log.append(row)
        log.sync()
        board.add(from_rows(done))
        progress.step(Step(candidate=candidate, phase="judging", done=start + len(chunk), total=len(positions)))
        await asyncio.sleep(0)


async def judge_labels(variant: int, judge: Judge, labelled: Sequence[Mapping[str, Any]], log: EvidenceLog) -> None:
    """Judge the answers of a labels file, for the judge's own error."""
    questions = [Question(key=i, inputs=row.get("inputs", {}), expected=row.get("expected"), answer=row["answer"]) for i, row in enumerate(labelled)]
    found = {j.key: j for j in await judge.judge(questions)}
    for i in range(len(labelled)):
        log.append(_row(variant, i, CALIBRATION, found.get(i)))
    log.sync()


def _row(variant: int, position: int, repetition: int, judgement: Judgement | None) -> dict[str, Any]:
    if judgement is None:
        reply = Reply(failure="refused", detail="the candidate gave no answer to judge")
    elif judgement.choice is None:
        reply = Reply(failure=judgement.failure or "unparseable", detail=judgement.detail)
    else:
        used = judgement.usage
        usage = Usage(tokens_in=used.get("prompt_tokens"), tokens_out=used.get("completion_tokens"))
        reply = Reply(answer={"label": judgement.choice}, usage=usage, detail=judgement.detail)
    return reply_row(variant, position, repetition, reply, None, Pricing(None))
