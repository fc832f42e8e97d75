"""`python -m fuzz N --seed S`: draws 0 to N - 1 of a seed in two processes, then a summary."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

KINDS = ("overrides", "data", "models", "damage")
# Of a thousand draws; the rest of the overrides ends at preflight.
SHARES = {"damage": 35, "overrides trained": 15, "command": 10, "data": 250, "models": 150}


def kind_of(rng: random.Random) -> str:
    """Which kind of draw this is, by `SHARES`."""
    at = rng.randrange(1000)
    for kind, share in SHARES.items():
        if at < share:
            return kind
        at -= share
    return "overrides"


def one(seed: int, number: int, ready: Path) -> dict[str, Any]:
    """Make draw `number` of the seed, run it and judge it."""
    from fuzz import arena, damage, data_files, model_folders, overrides
    from fuzz.cases import Place

    rng = random.Random(f"{seed}/{number}")
    kind = kind_of(rng)
    generator = {"damage": damage, "data": data_files, "models": model_folders}.get(kind, overrides)
    folder = Path(tempfile.mkdtemp(prefix=f"draw-{number}-"))
    try:
        case = generator.draw(rng, Place(folder, ready))
        if kind in ("overrides trained", "command"):
            case.command += ["training.max_steps=3", "teacher.training.max_steps=3",
                             "teacher.near_chance=allow"]  # fmt: skip
            case.depth = "command" if kind == "command" else "train"
        return {"number": number, **arena.run(case, folder), "depth": case.depth}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def work(seed: int, numbers: list[int], ready: Path, log: Path) -> None:
    """Make these draws, a line of the log each."""
    _import_everything()
    with log.open("a", encoding="utf-8") as file:
        for number in numbers:
            found = one(seed, number, ready)
            file.write(json.dumps(found) + "\n")
            file.flush()
            if found["wrong"]:
                print(f"draw {number} ({found['what']}): {'; '.join(found['wrong'])}", flush=True)


def _import_everything() -> None:
    """What a run imports, so that a forked draw has it already."""
    import datasets  # noqa: F401
    import evaluate  # noqa: F401
    import pandas  # type: ignore[import-untyped]  # noqa: F401
    import pyarrow.json
    import pyarrow.parquet  # noqa: F401
    import scipy.stats  # noqa: F401
    import torch
    import transformers.models.bert.modeling_bert
    import transformers.models.distilbert.modeling_distilbert
    import transformers.models.roberta.modeling_roberta  # noqa: F401

    from distill_runner import cli  # noqa: F401
    from distill_runner.jobs import job, run_folder  # noqa: F401
    from distill_runner.methods import distilbert, metadistil, mutual, noisy_student, tmkd  # noqa: F401
    from distill_runner.pipeline import stage_workers  # noqa: F401
    from distill_runner.results import collect  # noqa: F401
    from distill_runner.runtime import provenance

    torch.set_num_threads(1)
    provenance.surroundings()


def make_ready(folder: Path) -> None:
    """Models and stores that many draws start from."""
    from fuzz import arena, damage, model_folders

    _import_everything()
    shutil.rmtree(folder, ignore_errors=True)
    child = os.fork()
    if child == 0:  # it computes, and what has computed must not be forked
        model_folders.make_ready(folder / "models")
        os._exit(0)
    os.waitpid(child, 0)
    damage.make_ready(folder, arena.launch)
    (folder / "whole").write_text("")


def main() -> int:
    """Exit status 1 where a draw found something."""
    asked = _arguments()
    home = asked.folder / f"seed-{asked.seed}"
    home.mkdir(parents=True, exist_ok=True)
    os.environ |= {"HOME": str(home / "home"), "HF_HOME": str(home / "home"), "HF_HUB_OFFLINE": "1",
                   "OMP_NUM_THREADS": "1", "COLUMNS": "80"}  # fmt: skip
    (home / "home").mkdir(exist_ok=True)
    ready = home / "ready"
    if not (ready / "whole").exists():
        print("making the models and stores that the draws start from", flush=True)
        _in_a_child(lambda: make_ready(ready))
    if asked.only is not None:
        _import_everything()
        print(json.dumps(one(asked.seed, asked.only, ready), indent=2))
        return 0
    done = _done(home)
    left = [number for number in range(asked.draws) if number not in done]
    if done:
        print(f"{len(done)} draws of seed {asked.seed} are done; {len(left)} are left", flush=True)
    jobs = [
        os.fork() or _worker(asked.seed, left[at :: asked.jobs], ready, home / f"{at}.jsonl")
        for at in range(asked.jobs)
    ]
    for job in jobs:
        os.waitpid(job, 0)
    return report(
        [found for n, found in sorted(_done(home).items()) if n < asked.draws], asked.draws
    )


def _worker(seed: int, numbers: list[int], ready: Path, log: Path) -> int:
    code = 1
    try:
        work(seed, numbers, ready, log)
        code = 0
    finally:
        os._exit(code)


def _in_a_child(do: Any) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            do()
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    if os.waitpid(child, 0)[1]:
        raise SystemExit("what the draws start from could not be made")


def _done(home: Path) -> dict[int, dict[str, Any]]:
    """The draws that are in the logs; half a line is none."""
    found = {}
    for log in sorted(home.glob("*.jsonl")):
        for line in log.read_text(encoding="utf-8").splitlines():
            try:
                one = json.loads(line)
            except ValueError:
                continue
            found[one["number"]] = one
    return found


def report(found: list[dict[str, Any]], asked: int) -> int:
    """Print the draws by kind and what was wrong; the exit status."""
    bad = [one for one in found if one["wrong"]]
    for one in bad:
        print(f"draw {one['number']} ({one['kind']}, {one['what']}): {'; '.join(one['wrong'])}")
    for kind in KINDS:
        of_kind = [one for one in found if one["kind"] == kind]
        codes = Counter(str(one["status"]) for one in of_kind)
        told = ", ".join(f"exit {code}: {count}" for code, count in sorted(codes.items()))
        print(f"{kind:10} {len(of_kind):6}   {told}")
    depths = Counter(one["depth"] for one in found)
    print("depth      " + ", ".join(f"{name} {count}" for name, count in sorted(depths.items())))
    wrong = Counter(word for one in bad for word in one["wrong"])
    deaths = sum(count for word, count in wrong.items() if word.startswith("died"))
    print(
        f"tracebacks {wrong['a traceback']}, deaths {deaths}, exit 1 {wrong['exit 1']}, "
        f"hangs over 60 s {wrong['hang']}, draws with anything wrong {len(bad)} of {len(found)}"
    )
    if len(found) < asked:
        print(f"{asked - len(found)} draws were not made; the same command goes on")
    return int(bool(bad) or len(found) < asked)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("draws", type=int, nargs="?", default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", type=int, help="one draw, with all that it printed")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "distill-fuzz")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
