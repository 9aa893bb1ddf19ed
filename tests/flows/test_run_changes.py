"""What changed between a cut run and the next; new runs, and two at once."""

import re

import pytest
from tests.flows.support import Backwards, Base, accuracy, cases, estimates

from pilotbase.errors import UserError
from pilotbase.pilots.progress import Step
from pilotbase.pilots.records import list_runs
from pilotbase.store.lock import RunLock


class Cut(BaseException):
    """The run ended here."""


class Cutter:
    """Progress that ends the run once so many calls are done."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.notes: list[str] = []

    def step(self, step: Step) -> None:
        if step.done >= self.after:
            raise Cut

    def note(self, message: str) -> None:
        self.notes.append(message)


def cut(base: Base, after: int = 16, **options: object) -> None:
    with pytest.raises(Cut):
        base.run(progress=Cutter(after), **options)


def refused(base: Base, **options: object) -> str:
    with pytest.raises(UserError) as error:
        base.run(**options)
    assert error.value.code == 2
    return str(error.value)


def test_a_cut_run_is_gone_on_with_and_says_so(base: Base) -> None:
    base.write()
    cut(base)
    listening = Cutter(10**9)
    base.run(progress=listening)
    assert "going on with the unfinished run small-1" in listening.notes
    assert sorted(map(int, base.counted())) == sorted(set(map(int, base.counted())))


def test_a_changed_pilot_file_is_named(base: Base) -> None:
    base.write()
    cut(base)
    base.write(checks=[accuracy(">= 0.6")])
    told = refused(base)
    assert "the spec (pilot.yaml)" in told and "--fresh" in told and "small-1" in told
    assert "data" not in told and "candidate" not in told.split("\n")[0]


def test_changed_data_is_named_and_nothing_else(base: Base) -> None:
    base.write()
    cut(base)
    base.write(rows=cases(61))
    told = refused(base)
    assert "the data (test.csv)" in told and "spec" not in told


def test_a_changed_candidate_is_named_with_its_file(base: Base) -> None:
    base.write()
    cut(base)
    path = base.folder / "models.py"
    path.write_text(path.read_text() + "\n# another\n")
    told = refused(base)
    assert "candidate `good`" in told and "models.py" in told


@pytest.mark.parametrize(
    ("options", "named"),
    [({"limit": 30}, "--limit"), ({"only": ("good",)}, "--only"), ({"early_stop": False}, "--no-early-stop")],
)
def test_changed_options_are_named(base: Base, options: dict[str, object], named: str) -> None:
    base.write()
    cut(base)
    told = refused(base, **options)
    assert f"these changed: {named}" in told.replace("\n", " ")


def test_changed_labels_of_a_judge_are_named(base: Base) -> None:
    judge = {"url": "http://127.0.0.1:9/v1", "model": "m", "rubric": "Is it right?", "labels": "labels.csv"}
    base.write(checks=[accuracy(), {"metric": "rubric", "require": ">= 0.5", "judge": judge}])
    (base.folder / "labels.csv").write_text("id,answer,label\nc1,yes,yes\nc2,yes,no\n")
    cut(base)
    (base.folder / "labels.csv").write_text("id,answer,label\nc1,yes,yes\nc2,yes,yes\n")
    told = refused(base)
    assert "the labels (labels.csv)" in told and "spec" not in told


def test_a_label_without_an_answer_of_no_case_is_an_error_before_anything_is_called(base: Base) -> None:
    judge = {"url": "http://127.0.0.1:9/v1", "model": "m", "rubric": "Is it right?", "labels": "labels.csv"}
    base.write(checks=[{"metric": "rubric", "require": ">= 0.5", "judge": judge}])
    (base.folder / "labels.csv").write_text("id,label\nc1,yes\nstranger,no\n")
    assert "labels.csv:3" in refused(base) and not base.counted()


def test_fresh_starts_a_new_run_and_spends_a_round(base: Base) -> None:
    base.write()
    cut(base)
    base.write(checks=[accuracy(">= 0.6")])
    document = base.run(fresh=True)
    assert document["run"] == "small-2" and document["family"]["round"] == 2
    with base.opened() as context:
        assert [(r.run, r.state) for r in list_runs(context.database)] == [("small-2", "finished"), ("small-1", "asking")]


def test_a_finished_run_cannot_be_resumed_and_running_again_starts_round_two(base: Base) -> None:
    base.write()
    first = base.run()
    assert "run small-1 is finished" in refused(base, resume="small-1")
    second = base.run()
    assert (first["family"]["round"], second["family"]["round"]) == (1, 2)
    assert second["run"] == "small-2" and estimates(first) == estimates(second)


def test_resume_names_a_run_and_contradicts_fresh(base: Base) -> None:
    base.write()
    cut(base)
    cut(base, fresh=True)
    assert base.run(resume="small-1")["run"] == "small-1"
    assert "there is no run `small-9`" in refused(base, resume="small-9")
    assert "keep one of them" in refused(base, resume="small-2", fresh=True)


def test_a_run_of_another_pilot_cannot_be_resumed(base: Base) -> None:
    base.write()
    cut(base)
    base.write(more={"pilot": "other"})
    assert "it is of pilot `small`, and this one is `other`" in refused(base, resume="small-1")


def test_a_second_writer_is_told_who_holds_the_run(base: Base) -> None:
    base.write()
    cut(base)
    with RunLock(base.home / "runs" / "small-1" / "run.lock"):
        told = base.command("run", str(base.pilot))
    assert told.returncode == 2 and re.search(r"in use by process \d+ on \S+ since", told.stderr)
    assert "Traceback" not in told.stderr and base.run()["run"] == "small-1"


def test_two_pilots_in_one_home_run_together(base: Base) -> None:
    base.write(rows=cases(200))
    other = Base(folder=base.folder.parent / "second", home=base.home, environment=dict(base.environment)).write(
        more={"pilot": "other"}, rows=cases(200)
    )
    started = [one.start("run", str(one.pilot), "-q", "--json", "--no-early-stop") for one in (base, other, base, other)]
    found = [process.communicate(timeout=120) for process in started]
    codes = [process.returncode for process in started]
    # Of two that begin the same pilot at once, the second may find the first at work, and says so.
    assert all(code == 0 or (code == 2 and "in use by process" in err) for code, (_, err) in zip(codes, found, strict=True)), (
        found
    )
    assert codes.count(0) >= 2
    with base.opened() as context:
        rounds = [row["round"] for row in context.database.rows("SELECT round FROM rounds ORDER BY round")]
    assert rounds == list(range(1, len(rounds) + 1))


def test_a_clock_that_goes_backwards_mixes_nothing_up(base: Base) -> None:
    base.write()
    clock = Backwards()
    first = base.run(clock=clock)
    with pytest.raises(Cut):
        base.run(clock=clock, progress=Cutter(16))
    second = base.run(clock=clock)
    assert second["run"] == "small-2" and estimates(first) == estimates(second)
    third = base.run(clock=clock)
    assert third["run"] == "small-3" and third["family"]["round"] == 3
    with base.opened() as context:
        assert [r.run for r in list_runs(context.database)] == ["small-3", "small-2", "small-1"]
    assert "small-3" in base.said("show", "last").out
