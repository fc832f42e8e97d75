"""Trains the students round by round, and drops those that a cheaper one surpasses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from distill_runner.console.names import format_count, join_names
from distill_runner.errors import DistillError, Refused
from distill_runner.evaluation.predictions_file import (
    FOLDER,
    TEACHERS,
    TOGETHER,
    SplitPredictions,
    read_predictions,
)
from distill_runner.results.schema import RunResult
from distill_runner.search.asked import Asked
from distill_runner.search.bench import Bench
from distill_runner.search.dominance import dominated, rungs_of
from distill_runner.search.measuring import Say
from distill_runner.search.points import Dropped, Point, Variant
from distill_runner.search.record import SearchFolder
from distill_runner.serving.finished_run import read_run

Run = Callable[[Sequence[str]], RunResult]
FULL = "full"  # name of the folder of a training to the end


@dataclass
class Halving:
    """The rounds of a search; validation alone is read.

    Args:
        asked: the search.
        benches: the students that may be trained.
        points: their forms, with costs.
        folder: where their runs lie.
        run: carries out one run, as `distill_runner.run` does.
        say: receives a line for every training.

    Attributes:
        dropped: the students that were not trained to the end.
    """

    asked: Asked
    benches: Mapping[Variant, Bench]
    points: Sequence[Point]
    folder: SearchFolder
    run: Run
    say: Say
    dropped: list[Dropped] = field(default_factory=list)

    def train(self, variants: Sequence[Variant]) -> list[Variant]:
        """Train the students, each round those that are left; return those trained to the end."""
        left = list(variants)
        most = max(bench.steps for bench in self.benches.values())
        rungs = rungs_of(most, self.asked.frontier.rungs)
        self.say("the first training begins with the teachers, unless the store has them")
        for at, steps in enumerate(rungs, start=1):
            if steps is not None and not _may_drop(left):
                continue  # each is the only one of its kind
            amount = "to the end" if steps is None else f"for {steps:,} of {most:,} steps"
            self.say(f"training {format_count(len(left), 'student')} {amount}")
            answers = {variant: self._train(variant, steps) for variant in left}
            if steps is not None:
                left = self._drop(left, answers, at)
        return left

    def words(self, variant: Variant, steps: int | None) -> list[str]:
        """Return the words of one training."""
        folder = self.run_folder(variant, steps)
        return self.asked.words_for(variant, steps=steps, folder=folder)

    def run_folder(self, variant: Variant, steps: int | None = None) -> Path:
        """Return the run folder of one training."""
        rung = FULL if steps is None else f"{steps}-steps"
        return self.folder.run_folder(variant.folder, rung)

    def _train(self, variant: Variant, steps: int | None) -> SplitPredictions:
        """Train one student, unless its run is there already; return its answers."""
        words, folder = self.words(variant, steps), self.run_folder(variant, steps)
        bench = self.benches[variant]
        if not _is_done(folder, words, bench):
            self.run(words)
        _check_teachers(folder)
        answers = read_predictions(
            folder / FOLDER / "validation.csv", bench.task, bench.data.label_names
        )
        score = bench.task.value(answers.logits, answers.labels)
        self.say(f"  {variant.shape:<10}{variant.max_tokens:>5} tokens  {100 * score:6.2f}")
        return answers

    def _drop(
        self, left: Sequence[Variant], answers: Mapping[Variant, SplitPredictions], rung: int
    ) -> list[Variant]:
        task = next(iter(self.benches.values())).task

        def is_better(one: Variant, other: Variant) -> bool:
            ours, theirs = answers[one], answers[other]
            return task.lead(ours.logits, theirs.logits, ours.labels, ours.clusters).low > 0

        costs = {
            variant: [one.cost for one in self.points if one.variant == variant] for variant in left
        }
        found = dominated(left, costs, is_better)
        for variant, by in found.items():
            score = task.value(answers[variant].logits, answers[variant].labels)
            because = f"{_name(by)} is as cheap and better on validation, by more than noise"
            self.dropped.append(Dropped(variant, rung, score, because))
        if found:
            self.say(f"  dropped: {join_names([_name(variant) for variant in found])}")
        return [variant for variant in left if variant not in found]


def teachers_of(run_folder: Path) -> tuple[str, ...]:
    """Return the names of a run's teachers."""
    return tuple(teacher.name for teacher in read_run(run_folder).result.teachers)


def teachers_file(run_folder: Path, names: Sequence[str]) -> Path:
    """Return the file with the answers of the teachers together on the test rows."""
    place = TOGETHER if len(names) > 1 else f"{TEACHERS}/{names[0]}"
    return run_folder / FOLDER / place / "test.csv"


def _check_teachers(run_folder: Path) -> None:
    """Refuse teachers that leave test rows unanswered; the answers are not read yet.

    Raises:
        Refused: a file of answers lacks test rows.
    """
    if not teachers_file(run_folder, teachers_of(run_folder)).is_file():
        raise Refused(
            "The teachers do not answer every test row, so no student can be compared with them.",
            key="teacher",
            value=list(teachers_of(run_folder)),
            rule="models, or files with an answer for every row of test",
            way_out="a file that answers the test rows too",
        )


def _name(variant: Variant) -> str:
    return f"{variant.shape} of {variant.max_tokens} tokens"


def _may_drop(variants: Sequence[Variant]) -> bool:
    """Return whether any kind of student has more than one left."""
    kinds = [variant.is_static for variant in variants]
    return len(kinds) > len(set(kinds))


def _is_done(folder: Path, words: Sequence[str], bench: Bench) -> bool:
    """Return whether the folder holds the finished, undamaged run of these words and rows."""
    try:
        found = read_run(folder).result
    except DistillError:
        return False
    typed = {word for word in words if not word.startswith("hydra.")}
    return set(found.overrides) == typed and found.data.fingerprints == bench.data.fingerprints
