"""Tests of what runs inside Spark: collected where pyspark is installed, and nowhere else."""

from __future__ import annotations

import importlib.util

collect_ignore = [] if importlib.util.find_spec("pyspark") else ["test_views.py"]
