"""Run folders -> ``report.html`` and ``report.md``. Nothing here imports torch."""

from engine.report.page import write_report

__all__ = ["write_report"]
