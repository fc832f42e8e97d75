"""`distill-run`: config → plan → run → summary. The only @hydra.main.

Nothing heavy is imported until a job starts, so help and typos answer at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from distill_runner.config import check_overrides, config_path, register_schema
from distill_runner.errors import DistillError, Refused
from distill_runner.sweep import SweepTable


def main() -> None:
    """Exit status: 0 done, 1 failed, 2 refused."""
    # Hydra would print its own errors and exit 1; raised instead, they are told apart here.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    register_schema()
    try:
        check_overrides(_overrides(sys.argv[1:]))
        hydra.main(version_base="1.3", config_path=config_path(), config_name="config")(_job)()
        if SweepTable.verdict is not None:
            raise SweepTable.verdict
    except DistillError as error:
        _fail(error)
    except (HydraException, OmegaConfBaseException) as error:
        _fail(Refused(_readable(error)))
    except KeyboardInterrupt:
        print("distill-run: interrupted; the same command goes on from there", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        _fail(_of_the_system(error))
    except ValueError as error:
        # Hydra answers `group=null` with a bare ValueError.
        if "override" not in str(error):
            raise
        _fail(Refused(str(error), rule="an option of the group; `none` where there is one"))


def _job(config: DictConfig) -> None:
    from distill_runner.job import run_job

    hydra_config = HydraConfig.get()
    run_job(
        config,
        choices={str(k): str(v) for k, v in hydra_config.runtime.choices.items()},
        overrides=list(hydra_config.overrides.task),
        folder=hydra_config.runtime.output_dir,
        sweeping=hydra_config.mode is not None and hydra_config.mode.name == "MULTIRUN",
    )


def _overrides(arguments: Sequence[str]) -> list[str]:
    return [argument for argument in arguments if not argument.startswith("-")]


def _fail(error: DistillError) -> None:
    print(f"distill-run: {error}", file=sys.stderr)
    sys.exit(error.exit_status)


def _readable(error: Exception) -> str:
    """Hydra's message without its advice to add keys, which are refused here."""
    chain: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        text = str(seen).strip()
        if text and not any(text in earlier for earlier in chain):
            chain.append(text)
        seen = seen.__cause__
    lines = [line for part in chain for line in part.splitlines()]
    advice = ("To append to your config", "object_type=", "reference_type=")
    kept = [line for line in lines if not line.strip().startswith(advice)]
    return "\n".join(dict.fromkeys(kept))


def _of_the_system(error: OSError) -> DistillError:
    where = f": {error.filename}" if error.filename else ""
    message = f"{error.strerror or error}{where}"
    if isinstance(error, PermissionError | NotADirectoryError | FileExistsError):
        return Refused(
            message,
            rule="output_dir and store.dir are folders that can be written",
            way_out="output_dir=FOLDER store.dir=FOLDER",
        )
    return DistillError(f"{message}\n  finished stages are kept; the same command goes on")


if __name__ == "__main__":
    main()
