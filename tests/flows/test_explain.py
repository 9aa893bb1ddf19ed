"""What `explain` tells of a pilot, and that it calls nothing."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from pilotbase.app import opened
from pilotbase.cli.wording import tell
from pilotbase.context import Context
from pilotbase.errors import UserError
from pilotbase.flows.criteria import scenario_key
from pilotbase.flows.explain import explain_pilot
from pilotbase.flows.prepare import load_pilot
from pilotbase.settings import Settings
from pilotbase.stats import power, sequential

MODELS = """
from pathlib import Path
(Path(__file__).parent / "imported").write_text("x")
def answer(case):
    (Path(__file__).parent / "called").write_text("x")
    return "yes"
"""
HEAD = """
pilot: trial
scenario: {{area: industry, owner: Plant, need: Tell yes from no., risk: {risk}}}
data:
  test: {{path: cases.csv, id: id, inputs: [x], target: y, positive: "yes", groups: [site]{cluster}}}
candidates:
  - id: model
    target: {{python: "models:answer"}}
{more}
gates:
  - gate: only
    checks:
{checks}
"""
Write = Callable[..., Path]


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    with opened(Settings(home=tmp_path / "home", environment={})) as found:
        yield found


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A pilot with `yes` positives and `no` negatives; every fifth case is of site B, cases come in clusters of `each`."""

    def make(*checks: str, yes: int = 212, no: int = 88, risk: str = "medium", more: str = "", each: int = 0) -> Path:
        folder = tmp_path / "trial"
        folder.mkdir(exist_ok=True)
        rows = [
            f"{i},{i / 7},{'yes' if i < yes else 'no'},{'B' if i % 5 == 0 else 'A'},k{i // max(each, 1)}" for i in range(yes + no)
        ]
        (folder / "cases.csv").write_text("\n".join(["id,x,y,site,k", *rows]) + "\n")
        (folder / "models.py").write_text(MODELS)
        listed = "\n".join(f"      - {{{c}}}" for c in checks)
        cluster = ", cluster: k" if each else ""
        (folder / "pilot.yaml").write_text(HEAD.format(risk=risk, more=more, checks=listed, cluster=cluster))
        return folder

    return make


def _facts(context: Context, folder: Path, *, early_stop: bool = True) -> dict[str, Any]:
    return explain_pilot(context, folder, early_stop=early_stop, commit=False)


def _words(facts: dict[str, Any]) -> str:
    return "\n".join(tell(facts))


def test_explaining_calls_nothing_and_leaves_the_folder_as_it_was(context: Context, write: Write) -> None:
    folder = write('metric: accuracy, require: ">= 0.8"')
    before = sorted(p.name for p in folder.iterdir())
    facts = _facts(context, folder)
    assert "at most 300" in _words(facts)
    assert sorted(p.name for p in folder.iterdir()) == before
    assert not context.database.rows("SELECT 1 FROM runs") and not context.database.rows("SELECT 1 FROM criteria")


def test_the_acceptance_line_is_told_on_the_metrics_own_denominator(context: Context, write: Write) -> None:
    facts = _facts(context, write('metric: sensitivity, require: ">= 0.95"'), early_stop=False)
    words = _words(facts)
    assert "on 212 cases of the positive class" in words
    assert "PASS with at least 207 of 212 right" in words
    assert facts["calls"] == {"most": 212, "expected": 212}


@pytest.mark.parametrize(("require", "n"), [(">= 0.9", 300), ("<= 0.1", 300)])
def test_the_true_value_told_for_a_pass_has_that_chance(context: Context, write: Write, require: str, n: int) -> None:
    metric = "accuracy" if require.startswith(">") else "failure-rate"
    check = _facts(context, write(f'metric: {metric}, require: "{require}"'), early_stop=False)["checks"][0]
    assert power.chance(check["op"], check["threshold"], check["pass_at"], n, check["confidence"]) == pytest.approx(0.8, abs=1e-6)
    assert power.refusal_chance(check["op"], check["threshold"], check["fail_at"], n, check["confidence"]) == pytest.approx(
        0.8, abs=1e-6
    )


def test_the_earliest_pass_and_the_last_line_are_those_of_the_sequential_rule(context: Context, write: Write) -> None:
    check = _facts(context, write('metric: sensitivity, require: ">= 0.88"'))["checks"][0]

    def passes(right: int, n: int) -> bool:
        return (sequential.proportion(right, n, 0.95).low or 0) >= 0.88

    assert passes(check["earliest"], check["earliest"]) and not passes(check["earliest"] - 1, check["earliest"] - 1)
    assert passes(check["look_line"], 212) and not passes(check["look_line"] - 1, 212)


def test_early_stopping_is_expected_to_save_calls_away_from_the_threshold(context: Context, write: Write) -> None:
    facts = _facts(context, write('metric: accuracy, require: ">= 0.6"'))
    assert 0 < facts["calls"]["expected"] < facts["calls"]["most"] == 300


def test_a_check_that_cannot_pass_even_without_an_error_is_a_warning_with_what_it_lacks(context: Context, write: Write) -> None:
    facts = _facts(context, write('metric: accuracy, require: ">= 0.95"', yes=10, no=10), early_stop=False)
    assert "WARNING: cannot pass even with no error: it needs 39 more cases like these" in _words(
        facts
    )  # 0.95^59 <= 0.05 < 0.95^58


def test_what_a_check_lacks_would_let_it_pass(context: Context, write: Write) -> None:
    check = 'metric: accuracy, gap-by: site, require: "<= 0.1"'
    lacking = _facts(context, write(check, yes=100, no=60))["checks"][0]["lacking"]
    assert lacking
    assert _facts(context, write(check, yes=100 + lacking, no=60))["checks"][0]["best"]


def test_a_group_too_small_must_be_inconclusive(context: Context, write: Write) -> None:
    words = _words(_facts(context, write('metric: sensitivity, gap-by: site, require: "<= 0.5"', yes=100)))
    assert "WARNING: must be INCONCLUSIVE: group B has 20 cases in the denominator, under the minimum of 30" in words


def test_too_few_clusters_must_be_inconclusive_and_are_looked_at_once(context: Context, write: Write) -> None:
    words = _words(_facts(context, write('metric: accuracy, require: ">= 0.5"', yes=100, no=80, each=10)))
    assert "18 clusters are too few" in words and "looked at once" in words
    assert "WARNING: must be INCONCLUSIVE: 18 clusters" in words


def test_money_without_a_price_and_a_judge_without_labels_are_told(context: Context, write: Write) -> None:
    judge = 'metric: rubric, require: ">= 0.5", judge: {url: "http://127.0.0.1:9/v1", model: m, rubric: Is it right?}'
    priced = '  - {id: other, target: {python: "models:answer"}, price: {per-call: 0.5 CNY}}'
    facts = _facts(context, write('metric: cost.per-case, require: "<= 1 CNY"', judge, more=priced))
    words = _words(facts)
    assert "must be INCONCLUSIVE for model: no price is declared" in words
    assert "the judge's own error has not been measured" in words
    assert "cost unknown: no price is declared" in words and "cost at most 150 CNY" in words
    assert "300 by the judge" in words


def test_limits_under_the_calls_needed_are_a_warning(context: Context, write: Write) -> None:
    folder = write('metric: accuracy, require: ">= 0.8"')
    with (folder / "pilot.yaml").open("a") as file:
        file.write("limits: {calls: 10}\n")
    assert "WARNING: limits.calls is 10" in _words(_facts(context, folder))


def test_a_spent_share_of_alpha_asks_for_fresh_cases(context: Context, write: Write) -> None:
    folder = write('metric: sensitivity, require: ">= 0.95"', risk="high")
    first = _facts(context, folder)
    assert not first["spent_round"] and first["checks"][0]["best"]
    digest, scenario = first["data"]["digest"], scenario_key(load_pilot(folder).pilot)
    with context.database.transaction():
        context.database.execute(
            "INSERT INTO rounds (scenario, data_digest, round, run, recorded) VALUES (?, ?, 40, 'r', '2026')", (scenario, digest)
        )
    later = _facts(context, folder)
    assert later["family"]["round"] == 41 and later["spent_round"] == ["only/sensitivity"]
    assert "bring fresh cases" in _words(later)


def test_the_bound_on_a_false_fail_grows_with_the_deciding_checks(context: Context, write: Write) -> None:
    facts = _facts(
        context,
        write(
            'metric: accuracy, require: ">= 0.8"',
            'metric: auroc, require: ">= 0.8"',
            'metric: f1, require: ">= 0.5", role: inform',
        ),
    )
    assert facts["family"]["deciding"] == 2 and facts["family"]["false_fail"] == pytest.approx(0.1)


def test_committing_keeps_the_first_time(context: Context, write: Write) -> None:
    folder = write('metric: accuracy, require: ">= 0.8"')
    first, second = (explain_pilot(context, folder, early_stop=True, commit=True) for _ in range(2))
    assert first["recorded"] == second["recorded"]
    assert [r["digest"] for r in context.database.rows("SELECT digest FROM criteria")] == [first["criteria"]]
    assert explain_pilot(context, folder, early_stop=False, commit=False)["criteria"] != first["criteria"]


def test_a_wrong_pilot_is_told_and_nothing_is_called(context: Context, write: Write) -> None:
    folder = write('metric: acuracy, require: ">= 0.8"')
    with pytest.raises(UserError, match="acuracy"):
        _facts(context, folder)
    assert not (folder / "imported").exists()


def _command(home: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    given = {**os.environ, "PILOTBASE_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "pilotbase", "explain", *arguments], capture_output=True, env=given, timeout=120, check=False
    )


def test_the_command_prints_the_digest_alone_or_one_document_or_exits_2(tmp_path: Path, write: Write) -> None:
    folder = write('metric: accuracy, require: ">= 0.8"')
    committed = _command(tmp_path / "home", str(folder), "--commit")
    told = orjson.loads(_command(tmp_path / "home", str(folder), "--json").stdout)
    assert (committed.returncode, committed.stdout.decode().strip()) == (0, told["criteria"])
    assert b"recorded in this home" in committed.stderr
    assert told["schema"] == "pilotbase.explain/1"
    wrong = _command(tmp_path / "home", str(tmp_path / "nowhere"))
    assert wrong.returncode == 2 and not wrong.stdout and b"nowhere" in wrong.stderr
    assert not (folder / "imported").exists() and not (folder / "called").exists()
