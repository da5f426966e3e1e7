"""The sequence of a run: resources in, tables, outcome resources and report out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd

from integration import cohort, intake, origin, outcomes, output, report, statistics, tables
from integration.cohort import Assessment
from integration.errors import InputError
from integration.intake import Intake
from integration.mapping import Mapping
from integration.progress import Progress
from integration.report import choices
from integration.report.inputs import InputFile, Provenance, ReportInputs
from integration.sources import files as file_source
from integration.sources.folders import Skipped
from integration.sources.resource import Source
from integration.study import StudyFile

TABLES: Final = ("cohort", "patients", "flow", "responses", "adverse_events", "statistics")
"""The frames of a run that are written as CSV files of the same name."""
SITE_OF_FILES: Final = "files"
"""Stands for the site in the identity of outcomes that were computed from files of no configured site."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to run.

    Attributes:
        source: where the resources come from.
        files: every input file, with hash; empty for a server.
        mapping: the study.
        site: the name of the site, part of every outcome's identity.
        now: the time of the run; aware, UTC.
        skipped: what lay beside the files and was not read, and why.
    """

    source: Source
    files: Sequence[file_source.InputFile]
    mapping: Mapping
    site: str
    now: datetime
    skipped: Sequence[Skipped] = ()


@dataclass(frozen=True, kw_only=True)
class Results:
    """What came out.

    Attributes:
        intake: what was read; its patients are no longer there.
        is_synthetic: whether any patient is labelled as test data.
        frames: the tables by file name without its ending.
        reasons: responses by why they have no score; `scored` for the others.
        origin: what the outcomes were computed by.
        seconds: by step.
    """

    intake: Intake
    is_synthetic: bool
    frames: dict[str, pd.DataFrame]
    reasons: dict[str, int]
    origin: outcomes.Origin
    seconds: dict[str, float] = field(default_factory=dict)

    def outcomes(self) -> Iterator[outcomes.Outcome]:
        """Build the outcome of every usable MSIS-29 response, in order of its id; computed anew each time."""
        usable = (one for one in self.intake.responses if one.has_outcome)
        for response in sorted(usable, key=lambda one: one.response_id):
            yield outcomes.build(response, self.origin)


def run(job: Job, out: Path, progress: Progress | None = None) -> Results:
    """Run a study and write everything into a folder, which appears whole or not at all.

    Raises:
        InputError: there is no data at all; or the folder cannot be written, holds something that no run wrote, or an
            input.
    """
    output.refuse_foreign(out)
    output.refuse_holding(out, (Path(one.file) for one in job.files))
    told = progress or Progress()
    results = compute(job, told)
    with output.replaced(out) as folder:
        with _timed(results.seconds, "write", told):
            outcome_counts = _write(results, job, folder)
        record = json.dumps(_record(results, job, outcome_counts), indent=2)
        (folder / output.MARK).write_text(f"{record}\n", encoding="utf-8")
    return results


def compute(job: Job, progress: Progress) -> Results:
    """Read, assess and analyse; nothing is written.

    Raises:
        InputError: there is no data at all.
    """
    seconds: dict[str, float] = {}
    study = job.mapping.study
    with _timed(seconds, "read", progress):
        read = _read(job, progress)
    with _timed(seconds, "assess", progress):
        is_synthetic = read.is_synthetic
        frames = _frames(read, list(_assessed(read, study)), job.mapping)
    with _timed(seconds, "analyse", progress):
        analysis = statistics.describe(frames["cohort"], frames["adverse_events"], _plan(job.mapping))
        frames["statistics"] = analysis.statistics
        frames["retreatment_curve"] = analysis.retreatment
    return Results(
        intake=read,
        is_synthetic=is_synthetic,
        frames=frames,
        reasons=tables.response_reasons(read.responses),
        origin=origin.of(job.mapping, job.site, job.now),
        seconds=seconds,
    )


def _assessed(read: Intake, study: StudyFile) -> Iterator[Assessment]:
    """Assess every patient, and let go of the records as it goes: they are most of what a large run holds."""
    while read.patients:
        _, rows = read.patients.popitem()
        yield cohort.assess(rows, study)


def _read(job: Job, progress: Progress) -> Intake:
    read = intake.read(job.source, job.mapping, progress.resource)
    if read.is_empty:
        where = ", ".join(one.file for one in job.files) or job.site
        raise InputError(path=where, problem="holds no resource at all; check what was exported")
    return read


def _write(results: Results, job: Job, folder: Path) -> dict[str, int]:
    """Write every file of the contract but the record into an empty folder; returns the outcome resources by type."""
    for name in TABLES:
        output.write_csv(results.frames[name], folder / f"{name}.csv")
    output.write_csv(tables.rejected(results.intake), folder / "rejected.csv")
    _parquet_ready(results.frames["cohort"], job.mapping).to_parquet(folder / "cohort.parquet", index=False)
    counts = _write_outcomes(results, folder / "outcomes")
    page = report.write(report_inputs(results, job))
    (folder / "report.html").write_text(page, encoding="utf-8")
    return counts


def _frames(read: Intake, assessments: Sequence[Assessment], mapping: Mapping) -> dict[str, pd.DataFrame]:
    return {
        "cohort": tables.cohort(assessments, mapping.study),
        "patients": tables.patients(assessments),
        "flow": tables.flow(assessments, mapping.study),
        "responses": tables.responses(read.responses, assessments),
        "adverse_events": tables.adverse_events(assessments),
    }


def _plan(mapping: Mapping) -> statistics.AnalysisPlan:
    analysis = mapping.study.analysis
    return statistics.AnalysisPlan(
        visits=mapping.study.follow_ups,
        responders={
            "physical": tuple(analysis.physical_responders),
            "psychological": tuple(analysis.psychological_responders),
        },
        test_retest={"physical": analysis.test_retest.physical, "psychological": analysis.test_retest.psychological},
        confidence=analysis.confidence,
        adverse_event_days=mapping.study.adverse_events.days_after,
    )


def _parquet_ready(frame: pd.DataFrame, mapping: Mapping) -> pd.DataFrame:
    """Give columns of true, false and missing a type of their own, so that an empty one has it too."""
    scales = ("physical", "psychological")
    improved = [f"{scale}_improved_{visit}" for visit in mapping.study.follow_ups for scale in scales]
    return frame.astype(dict.fromkeys(improved, "boolean"))


def _write_outcomes(results: Results, folder: Path) -> dict[str, int]:
    """Write the outcome resources as NDJSON; returns how many there are by type."""
    folder.mkdir()
    counts = {"Observation": 0, "Provenance": 0, "Device": 1}
    with (
        (folder / "Observation.ndjson").open("wb") as observations,
        (folder / "Provenance.ndjson").open("wb") as provenances,
    ):
        for outcome in results.outcomes():
            for observation in outcome.observations:
                observations.write(outcomes.encode(observation) + b"\n")
            provenances.write(outcomes.encode(outcome.provenance) + b"\n")
            counts["Observation"] += len(outcome.observations)
            counts["Provenance"] += 1
    (folder / "Device.ndjson").write_bytes(outcomes.encode(outcomes.device(results.origin)) + b"\n")
    return counts


def report_inputs(results: Results, job: Job) -> ReportInputs:
    """Gather what a report shows."""
    mapping, frames = job.mapping, results.frames
    counts = results.intake.counts_by_file
    files = tuple(InputFile(path=one.file, sha256=one.sha256, counts=counts.get(one.file, {})) for one in job.files)
    return ReportInputs(
        title=mapping.study.study.title,
        is_synthetic=results.is_synthetic,
        generated=job.now,
        cohort=frames["cohort"],
        patients=frames["patients"],
        flow=frames["flow"],
        responses=frames["responses"],
        adverse_events=frames["adverse_events"],
        statistics=frames["statistics"],
        retreatment_curve=frames["retreatment_curve"],
        choices=choices.of(mapping.study),
        published=mapping.evidence.published,
        evidence=mapping.evidence.evidence,
        last_window_day=max((mapping.study.visits[visit].last_day for visit in mapping.study.follow_ups), default=None),
        code_labels=_labels(frames["adverse_events"]),
        provenance=Provenance(
            software_version=results.origin.software_version,
            mapping_name=mapping.name,
            mapping_version=mapping.version,
            files=files,
            balance=tuple(_balance_sentences(results)),
        ),
    )


def _labels(events: pd.DataFrame) -> dict[str, str]:
    """Return how the records word the codes of adverse events."""
    worded = events.dropna(subset=["code", "display"])
    return dict(zip(worded["code"], worded["display"], strict=True))


def _balance_sentences(results: Results) -> Iterator[str]:
    balance, reasons = results.intake.balance, results.reasons
    yield (
        f"{balance['input']} resources and lines in = {balance['accepted']} used + {balance['superseded']} older "
        f"versions + {balance['not_read']} of types that the study does not read + {balance['rejected']} rejected"
    )
    scored = reasons.get("scored", 0)
    others = " + ".join(f"{count} {reason}" for reason, count in reasons.items() if reason != "scored")
    yield f"{sum(reasons.values())} questionnaire responses = {scored} scored + {others or '0 not scorable'}"


def _record(results: Results, job: Job, outcome_counts: dict[str, int]) -> dict[str, Any]:
    read = results.intake
    return {
        "software": {"name": origin.DISTRIBUTION, "version": results.origin.software_version},
        "mapping": {"name": job.mapping.name, "version": job.mapping.version},
        "site": job.site,
        "started": job.now.isoformat(),
        "synthetic": results.is_synthetic,
        "input": {
            "files": [
                {
                    "file": one.file,
                    "bytes": one.bytes,
                    "sha256": one.sha256,
                    "resources": dict(read.counts_by_file.get(one.file, {})),
                }
                for one in job.files
            ],
            "resources": dict(sorted(read.counts.items())),
            "skipped": [one._asdict() for one in job.skipped],
        },
        "balance": {**read.balance, "merged_patients": read.merged},
        "responses": results.reasons,
        "output": {name: len(results.frames[name]) for name in TABLES} | {"outcomes": outcome_counts},
        "seconds": {step: round(spent, 3) for step, spent in results.seconds.items()},
    }


@contextmanager
def _timed(seconds: dict[str, float], step: str, progress: Progress) -> Iterator[None]:
    """Measure a step's wall-clock seconds, and tell that it begins."""
    progress.step(step)
    begin = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - begin
