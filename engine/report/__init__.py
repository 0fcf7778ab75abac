"""Run folders -> ``report.html`` and ``report.md``. Nothing here imports torch."""

from engine.report.compare_page import write_comparison
from engine.report.page import write_report

__all__ = ["write_comparison", "write_report"]
