"""Images a second of one training run: bnexp, a plain DataLoader loop with 0 and 2 workers, a Lightning Trainer.

All of them have the same images in memory, the same ConvNet 32–64–128 with batch norm, batches of 128, crops and flips;
each has a process of its own, and they take turns.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from bnexp_run import bnexp_run
from lightning_peer import lightning_loop
from measure import apart, arguments, by_turns, publish, ratio, spread
from plain import plain_loop

QUESTION = "Images a second of one training run (ConvNet 32–64–128, batch 128, 32 × 32 images, crop + flip)"


def main() -> None:
    asked = arguments(QUESTION, rounds=5, workers=2, epochs=1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    contenders: dict[str, Callable[[], float]] = {}
    for dtype in ("fp32", "bf16"):
        bf16 = dtype == "bf16"
        contenders |= {
            f"bnexp, {dtype}": apart(bnexp_run, f"training.precision={dtype}", f"training.epochs={asked.epochs}"),
            f"plain, 0 workers, {dtype}": apart(plain_loop, 0, bf16, device),
            f"plain, {asked.workers} workers, {dtype}": apart(plain_loop, asked.workers, bf16, device),
            f"Lightning, {asked.workers} workers, {dtype}": apart(lightning_loop, asked.workers, bf16, device),
        }
    found = by_turns(contenders, asked.rounds)
    rows = {name: spread(values) | {"unit": "images/s"} for name, values in found.items()}
    for dtype, below in (("fp32", "fp32"), ("bf16", "bf16"), ("bf16", "fp32")):
        plain = [found[f"plain, {workers} workers, {below}"] for workers in (0, asked.workers)]
        better = [max(values) for values in zip(*plain, strict=True)]
        rows[f"bnexp {dtype} / plain {below}"] = ratio(found[f"bnexp, {dtype}"], better) | {"unit": "×"}
        lightning = found[f"Lightning, {asked.workers} workers, {below}"]
        rows[f"bnexp {dtype} / Lightning {below}"] = ratio(found[f"bnexp, {dtype}"], lightning) | {"unit": "×"}
    wanted = {"fp32": 1.8, "bf16": 2.8} if device == "cpu" else {"fp32": 20.0, "bf16": 20.0}
    bars = {f"bnexp {dtype} / {peer} {dtype}": bar for dtype, bar in wanted.items() for peer in ("plain", "Lightning")}
    publish(QUESTION, rows, bars)


if __name__ == "__main__":
    main()
