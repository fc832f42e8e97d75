"""Reports what an earlier version of this program left in the store."""

from __future__ import annotations

import shlex
from pathlib import Path

from distill_runner.storage.integrity import EARLIER_LAYOUT, MANIFEST, Say


def report_earlier_layout(store: Path, *, say: Say) -> None:
    """Say how many artifacts of an earlier layout there are, until the store has a new one.

    Their keys were computed differently, so no stage of this version finds them; nothing reads,
    moves or removes them.
    """
    if (store / "stages").is_dir():
        return
    count = sum(1 for _ in store.glob(f"{EARLIER_LAYOUT[0]}/*/{MANIFEST}"))
    if not count:
        return
    folders = shlex.join(str(store / name) for name in EARLIER_LAYOUT if (store / name).is_dir())
    kept = "1 artifact" if count == 1 else f"{count:,} artifacts"
    say(
        f"The store holds {kept} of an earlier layout. This version does not use them and leaves "
        f"them as they are: stages are trained again. To delete them: rm -r {folders}"
    )
