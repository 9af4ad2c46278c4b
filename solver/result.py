"""Temporary alias."""

from soma_cp.model.result import SecondStageResult, Status, relative_gap

__all__ = ["SecondStageResult", "Status", "relative_gap"]
