"""Errors of ONNX models: a node that no layer can express, and a model that gives no network."""

from collections.abc import Sequence

from soma_cp.model.errors import SomaError, UserError


class UnsupportedError(SomaError):
    """A node that no layer can express; the message gives the reason, as the end of a sentence about the node."""


class OnnxFileError(UserError):
    """An ONNX file that gives no network; `problems` has one sentence for each fault, `advice` a way out."""

    def __init__(self, path: str, problems: Sequence[str], advice: str = "") -> None:
        self.problems = tuple(problems)
        self.advice = advice
        super().__init__("\n".join(f"{path}: {text}" for text in (*problems, advice) if text))
