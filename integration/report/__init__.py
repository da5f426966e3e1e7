"""One self-contained HTML page of a study's results.

`write` turns `ReportInputs` into the page. Numbers that are estimated come from the statistics frame and are only
printed here; counts, means and quartiles of the baseline table and the figures come from the cohort frame.
"""

from __future__ import annotations

from integration.report.inputs import Choice, InputFile, Provenance, ReportInputs
from integration.report.page import write

__all__ = ["Choice", "InputFile", "Provenance", "ReportInputs", "write"]
