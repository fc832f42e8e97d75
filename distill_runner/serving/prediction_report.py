"""Says what a file's predictions are, and what is unusual about its texts."""

from __future__ import annotations

from collections.abc import Iterator

from distill_runner.console.names import format_count, join_names
from distill_runner.evaluation.text_counts import TextCounts, differs
from distill_runner.results.origins import TextShares
from distill_runner.results.schema import RunResult
from distill_runner.serving.answers import PREFIX
from distill_runner.serving.file_predictions import Predicted

_NAMED = 4  # added columns that are listed


def report_lines(predicted: Predicted, result: RunResult) -> Iterator[str]:
    """Yield the lines to print after the predictions.

    Args:
        predicted: what was predicted.
        result: of the run.
    """
    tally = predicted.tally
    new = tally.rows - predicted.continued
    rate = f" ({new / predicted.seconds:,.0f} rows/s)" if new and predicted.seconds else ""
    yield f"{format_count(tally.rows, 'row')} predicted{rate}."
    if predicted.continued:
        yield f"{predicted.continued:,} of them were written before this command, which went on."
    added = predicted.added
    more = f" and {len(added) - _NAMED} more" if len(added) > _NAMED else ""
    yield f"Added: {', '.join(added[:_NAMED]) if more else join_names(added)}{more}."
    if predicted.prefix == PREFIX:
        yield f"The file has a column of such a name, so these begin with {PREFIX}"
    if tally.without_text:
        what = format_count(tally.without_text, "row")
        yield f"{what} without a text: no answer there."
    yield from shares_lines(tally.counts, result.data.max_tokens, result.data.training_texts)


def shares_lines(
    counts: TextCounts, max_tokens: int, in_training: TextShares | None
) -> Iterator[str]:
    """Yield how many texts are cut and how many tokens unknown, beside the training rows' shares.

    Args:
        counts: of the texts.
        max_tokens: the limit.
        in_training: the same shares of the training rows; None: not measured.
    """
    here = counts.shares
    known = in_training or here
    for number, what, share, before in (
        (counts.cut, f"texts cut at {max_tokens} tokens", here.cut, known.cut),
        (counts.unknown, "tokens unknown", here.unknown, known.unknown),
    ):
        beside = f"; in training {_percent(before)}" if in_training is not None else ""
        yield f"{what.capitalize()}: {number:,} ({_percent(share)}{beside})."
        if differs(share, before):
            yield "! That is unlike the training rows: expect less than the printed score."


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
