"""Train a small torch model on the raw windows of the flights: how late will a flight arrive that has just departed?

    emberharmony run configs/flights.yaml --set sink.path=data/departed --set 'columns.drop=[dep_time, arr_time, air_time]'
    python examples/train_torch.py data/departed

A GRU reads a window of flights, their departure delays among the features, and predicts the arrival delay of the last one. The
windows are streamed from the feature parts: none is written to disk, and memory does not grow with the table.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from emberharmony import WindowLoader

MINUTES = 30.0
"""Unit of the model's delays, near their standard deviation: networks learn numbers about 1 best."""


class LateArrival(nn.Module):
    """Delay of the last flight of a window, in units of `MINUTES`."""

    def __init__(self, n_features: int, n_hidden: int = 32) -> None:
        super().__init__()
        self.rows = nn.GRU(n_features, n_hidden, batch_first=True)
        self.delay = nn.Linear(n_hidden, 1)

    def forward(self, windows: Tensor) -> Tensor:
        """Map windows of shape (n, size, n_features) to delays of shape (n,)."""
        of_rows, _ = self.rows(windows)
        return self.delay(of_rows[:, -1]).squeeze(-1)


def known(batches: DataLoader) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield windows and labels; flights that did not arrive have no label."""
    for windows, delay, _ in batches:
        has_label = ~torch.isnan(delay)
        yield windows[has_label], delay[has_label].float()


def train(result: Path, *, n_epochs: int = 3, batch_size: int = 512, n_workers: int = 0) -> list[float]:
    """Return the mean absolute error on the validation windows, in minutes, after each epoch."""
    torch.manual_seed(0)
    loader = WindowLoader(result, split="train", stride=1, batch_size=batch_size, shuffle=True)
    validation = WindowLoader(result, split="validation", stride=1, batch_size=4_096)
    model = LateArrival(len(loader.feature_names))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    errors = []
    for epoch in range(n_epochs):
        loader.set_epoch(epoch)  # another order in each epoch
        for windows, delay in known(DataLoader(loader, batch_size=None, num_workers=n_workers)):
            optimizer.zero_grad()
            nn.functional.l1_loss(model(windows), delay / MINUTES).backward()
            optimizer.step()
        errors.append(mean_error(model, validation))
        print(f"epoch {epoch}: off by {errors[-1]:.1f} minutes on average in the validation split")
    return errors


@torch.no_grad()
def mean_error(model: nn.Module, loader: WindowLoader) -> float:
    """Mean absolute error in minutes."""
    off = [(model(windows) * MINUTES - delay).abs() for windows, delay in known(DataLoader(loader, batch_size=None))]
    return float(torch.cat(off).mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a small torch model on the windows of the flights.")
    parser.add_argument("result", type=Path, help="the job's sink.path")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0, help="processes that read while the model trains")
    arguments = parser.parse_args()
    train(arguments.result, n_epochs=arguments.epochs, n_workers=arguments.workers)
