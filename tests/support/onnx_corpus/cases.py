"""The table of cases: every architecture, how it is imported, and figures that differ from the count by design."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from support.onnx_corpus import convolutional, detection, diffusion, language, mobile, recurrent, speech, vision
from support.onnx_corpus.graph import Graph


@dataclass(frozen=True)
class Case:
    """An architecture.

    Parameters
    ----------
    build
        Makes the model.
    extents
        Values of ``--dim``.
    ends
        Values of ``--end``.
    refused
        A part of the refusal, if no network can express the model; if the refusal names ends, they must work.
    apart
        By figure: how much the network has more than the count, and why this is by design.
    """

    build: Callable[[], Graph]
    extents: Mapping[str, int] = field(default_factory=dict)
    ends: tuple[str, ...] = ()
    refused: str = ""
    apart: Mapping[str, tuple[int, str]] = field(default_factory=dict)


STORED = "stored fmaps that are added or joined are external inputs: "
STATES = "initial states are external inputs, whether zero or not: "
PROMPT = {"sequence_length": 32}
DECODE = {"sequence_length": 1, "past_sequence_length": 31, "past_sequence_length + 1": 32}

CASES: dict[str, Case] = {
    "mobilenet-v3": Case(mobile.mobilenet_v3),
    "efficientnet": Case(mobile.efficientnet),
    "shufflenet-v2": Case(mobile.shufflenet_v2),
    "squeezenet": Case(mobile.squeezenet),
    "mobilenet-v2-qdq": Case(mobile.mobilenet_v2_qdq),
    "mobilenet-v2-qlinear": Case(mobile.mobilenet_v2_qlinear),
    "resnet18": Case(convolutional.resnet18),
    "densenet": Case(convolutional.densenet),
    "inception": Case(convolutional.inception),
    "unet": Case(convolutional.unet),
    "deeplab": Case(convolutional.deeplab),
    "convnext": Case(convolutional.convnext),
    "super-resolution": Case(convolutional.super_resolution),
    "temporal": Case(convolutional.temporal),
    "poolformer": Case(convolutional.poolformer),
    "mlp-mixer": Case(convolutional.mlp_mixer),
    "yolov8": Case(detection.yolov8, apart={"inputs": (2 * 80, STORED + "2 coordinates of 80 anchors")}),
    "yolov8-levels": Case(detection.yolov8, ends=("/model/22/Concat", "/model/22/Concat_1")),
    "retinanet": Case(detection.retinanet),
    "detr": Case(
        detection.detr,
        # 64 positions, the first target after its norm, 20 queries
        apart={"inputs": (64 * 64 + 2 * 20 * 64, STORED + "positions, first target, queries")},
    ),
    "vit": Case(vision.vit, apart={"inputs": (64 + 17 * 64, STORED + "class token and 17 positions")}),
    "swin": Case(
        vision.swin,
        # relative biases: 2 blocks of 2 heads, 2 of 4; of one head they would be masks
        apart={"inputs": (0, STORED + "relative biases")},
    ),
    "window-encoder": Case(
        vision.window_encoder,
        apart={"inputs": (16 * 16 * 64, STORED + "positions of 16×16 patches")},
    ),
    "mobilevit": Case(vision.mobilevit),
    "efficient-attention": Case(vision.efficient_attention),
    "stable-diffusion": Case(diffusion.unet_block),
    "lstm": Case(recurrent.lstm, apart={"inputs": (2 * 2 * 64, STATES + "of 2 layers, h and c")}),
    "gru": Case(recurrent.gru, apart={"inputs": (2 * 48, STATES + "of 2 directions")}),
    "bert": Case(
        language.bert,
        PROMPT,
        apart={"inputs": (32 * 64, STORED + "rows of positions")},
    ),
    "bert-optimised": Case(language.bert_optimised),
    "gpt2": Case(language.gpt2, PROMPT, apart={"inputs": (32 * 64, STORED + "rows of positions")}),
    "llama-prefill": Case(language.llama_prefill, PROMPT),
    "llama-decode": Case(language.llama_decode, DECODE),
    "qwen-decode": Case(language.qwen_decode, DECODE),
    "llama-without-groups": Case(language.llama_without_groups, DECODE),
    "mixtral": Case(language.mixtral, PROMPT, refused="TopK"),
    "t5-encoder": Case(language.t5_encoder, {"encoder_sequence_length": 32}),
    "clip-text": Case(language.clip_text, apart={"inputs": (16 * 64, STORED + "16 positions")}),
    "clip-text-states": Case(
        language.clip_text,
        ends=("last_hidden_state",),
        apart={"inputs": (16 * 64, STORED + "16 positions")},
    ),
    "whisper-encoder": Case(speech.whisper_encoder, apart={"inputs": (50 * 64, STORED + "50 positions")}),
    "whisper-decoder": Case(
        speech.whisper_decoder,
        {"decoder_sequence_length": 8, "encoder_sequence_length / 2": 50},
        apart={"inputs": (8 * 64, STORED + "rows of positions")},
    ),
    "whisper-decoder-step": Case(
        speech.whisper_decoder_step,
        {"past_decoder_sequence_length": 15, "encoder_sequence_length_out": 50},
    ),
}
"""By name. Figures are those of one sample."""
