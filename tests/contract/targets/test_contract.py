"""The contract of targets, run on the kinds that call Python."""

import json
import textwrap
from pathlib import Path

import pytest

from contract.targets.contract import RULES, Factory, Subject, check, context_of
from pilotbase.domain.evidence import Reply
from pilotbase.targets.python import Options, kind

# Every way of calling answers with all that the candidate could lay its hands on.
ECHO = textwrap.dedent(
    """
    import json, os, sys

    def _all(case):
        return json.dumps([case, sys.argv[2:], dict(os.environ)], ensure_ascii=True, default=repr)

    def one(case):
        return {"text": _all(case)}

    async def later(case):
        return {"text": _all(case)}

    def many(cases):
        return [{"text": _all(case)} for case in cases]

    def frame(frame):
        return {"text": [_all(row) for row in frame.to_dicts()]}

    class Echo:
        def __call__(self, case):
            return {"text": _all(case)}
    """
)


def _received(reply: Reply) -> str:
    case, argv, environment = json.loads(reply.answer["text"])
    return "\n".join([*(f"{k}={v}" for k, v in case.items()), *argv, *(f"{k}={v}" for k, v in environment.items())])


def _python(**options: object) -> Factory:
    async def factory(folder: Path) -> Subject:
        (folder / "echo.py").write_text(ECHO)
        return Subject(kind=kind, options=Options(timeout="20s", **options), context=context_of(folder), received=_received)

    return factory


CASES: list[tuple[str, Factory]] = [
    ("python, one case", _python(call="echo:one")),
    ("python, async", _python(call="echo:later")),
    ("python, a class", _python(call="echo:Echo")),
    ("python, two workers", _python(call="echo:one", workers=2)),
    ("python, batches", _python(call="echo:many", batch=4)),
    ("python, frames", _python(call="echo:frame", frame=4)),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("factory", [f for _, f in CASES], ids=[n for n, _ in CASES])
def test_a_python_target_keeps_the_contract(rule, factory: Factory, tmp_path: Path) -> None:
    check(rule, factory, tmp_path)
