"""`distill export`: a finished run's student as ONNX, in int8, with a smaller vocabulary."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from distill_runner.errors import Refused, typeable

if TYPE_CHECKING:
    from distill_runner.export.export import Exported
    from distill_runner.export.wanted import Wanted


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    onnx: Annotated[bool, typer.Option("--onnx", help="Write model.onnx.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Write model_int8.onnx.")] = False,
    vocabulary: Annotated[
        Optional[str],
        typer.Option(
            metavar="TEXTS",
            help="Cut the vocabulary to these texts: train (the run's own), or FILE:COLUMN.",
        ),
    ] = None,
    seen: Annotated[
        Optional[int],
        typer.Option(metavar="N", help="Keep tokens seen at least N times in them.  [default: 1]"),
    ] = None,
    push: Annotated[
        Optional[str],
        typer.Option(metavar="REPO", help="Upload the export to this repository on the hub."),
    ] = None,
    output: Annotated[
        Optional[Path],
        typer.Option(metavar="DIR", help="The folder to write.  [default: RUN/export]"),
    ] = None,
) -> None:
    """Export the student of a run, and check every file against it.

    Without --onnx, --int8 and --vocabulary, both ONNX files are written.
    """
    from distill_runner.export import push as hub

    wanted = _wanted(onnx=onnx, int8=int8, vocabulary=vocabulary, seen=seen)
    if push is not None:
        hub.check_repository(push)
    found = _export(run, wanted, output)
    _print(found)
    if push is not None:
        print("\n".join(["", *hub.upload_lines(found.folder, push)]), flush=True)
        result = found.run.result
        message = f"{result.student.name}, {result.method}, exported by distill-run"
        print(f"Uploaded: {hub.push(found.folder, push, message=message)}")
    _print_next(found, pushed=push is not None)


def _export(run: Path, wanted: Wanted, output: Path | None) -> Exported:
    """Write the export, and print a line for every step.

    Raises:
        Refused: packages are not installed, or the run or the output folder do not fit.
    """
    from distill_runner.console.screen import quiet_libraries

    quiet_libraries()
    if wanted.onnx or wanted.int8:
        from distill_runner.export.extra import check_installed

        check_installed()
    from distill_runner.export.export import export as export_run

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries; ours are printed
        return export_run(run, wanted, output=output, say=lambda line: print(line, flush=True))


def _wanted(*, onnx: bool, int8: bool, vocabulary: str | None, seen: int | None) -> Wanted:
    """Return what was asked for.

    Raises:
        Refused: --seen is below 1, or without --vocabulary.
    """
    from distill_runner.export.wanted import Wanted

    if seen is not None and (vocabulary is None or seen < 1):
        raise Refused(
            "--seen is out of range." if seen < 1 else "--seen is not read without --vocabulary.",
            key="--seen",
            value=seen,
            rule="1 or more, for tokens of the texts that --vocabulary names",
            way_out="--vocabulary train --seen 1",
        )
    both = not (onnx or int8 or vocabulary)
    return Wanted(onnx=onnx or both, int8=int8 or both, vocabulary=vocabulary, at_least=seen or 1)


def _print(found: Exported) -> None:
    """Print the table, and what the cut of the vocabulary changed."""
    from distill_runner.export import measured

    rows = measured.figures(found.run.result, found.forms)
    cut = measured.cut_lines(found.cut) if found.cut else []
    print(
        "\n".join(["", *measured.plain_table(rows), "", *measured.measured_how(found.rows), *cut])
    )


def _print_next(found: Exported, *, pushed: bool) -> None:
    """Print where the export lies, and the next command."""
    print(f"\nExport: {found.folder}")
    onnx = [form for form in found.forms if form.file and form.file.endswith(".onnx")]
    if not onnx:
        again = ["distill", "export", str(found.run.folder), "--vocabulary", "train", "--int8"]
        print("Its folder cut is a model folder like the student's. As ONNX in int8:")
        print(f"  {typeable(again)}")
        return
    script = str(found.folder / "serve_onnx.py")
    print("Ask it, without torch:")
    print(f"  {typeable(['python', script, '--model', str(onnx[-1].file), 'a text'])}")
    if not pushed:
        print("Its card is README.md there; --push OWNER/NAME uploads the folder.")
