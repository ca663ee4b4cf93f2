"""Reads the text exposition of a service."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families


class MetricsText:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self._samples = [
            (sample.name, dict(sample.labels), float(sample.value))
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a series that have these labels; 0 without any."""
        return sum(value for _, value in self.samples(name, **labels))

    def samples(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of every sample of a series that has these labels."""
        return [
            (found, value)
            for sample, found, value in self._samples
            if sample == name and labels.items() <= found.items()
        ]
