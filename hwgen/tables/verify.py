"""Text of `hwgen verify`."""

from __future__ import annotations

from collections.abc import Iterator

from hwgen.base.record import draws
from hwgen.flow.verify import Verification


@draws(Verification)
def verify_lines(result: Verification) -> Iterator[str]:
    """What was compared and how it went."""
    predicted = f"{result.cycles_predicted:,} predicted"
    yield (
        f"{'match' if result.match else 'MISMATCH'}: {result.outputs:,} outputs of "
        f"{len(result.layers)} layer{'s' if len(result.layers) > 1 else ''} compared, "
        f"{result.mismatches:,} differ; {result.cycles:,} cycles, "
        + (f"with stalls; {predicted} without" if result.stall else predicted)
    )
    if result.accuracy is not None:
        yield (f"accuracy of the core's own outputs: {result.accuracy:.2%}")
    speed = result.cycles / result.run_seconds
    yield (
        f"built in {result.build_seconds:.1f} s, ran in {result.run_seconds:.2f} s "
        f"({speed:,.0f} cycles per second), keys packed in {result.pack_seconds:.3f} s"
    )


def mismatch_text(core: str, result: Verification) -> str:
    """What is wrong, with the first place where."""
    first = result.first_mismatch
    if first is None:
        return (
            f"{core}: took {result.cycles} cycles where the formula says {result.cycles_predicted}"
        )
    return (
        f"{core}: {result.mismatches} of {result.outputs} outputs differ from golden; first: "
        f"layer {first.layer}, token {first.token}, output {first.output}: expected "
        f"{first.expected}, got {first.got}"
    )
