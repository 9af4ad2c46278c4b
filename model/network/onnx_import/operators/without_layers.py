"""Operators that no layer can express, but about which the import must know something."""

from soma_cp.model.network.onnx_import.operators.registry import Facts, enter

enter(
    "If Loop Scan SequenceMap",
    "refused",
    Facts(refusal="is control flow, and a network has none; export the model without it"),
)
enter(
    "RandomNormal RandomUniform RandomNormalLike RandomUniformLike Multinomial Bernoulli",
    "the same as an operator that is not here",
    Facts(random=True),
)
