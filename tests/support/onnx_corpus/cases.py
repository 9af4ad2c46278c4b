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
    fails
        Why the case doesn't work yet.
    """

    build: Callable[[], Graph]
    extents: Mapping[str, int] = field(default_factory=dict)
    ends: tuple[str, ...] = ()
    refused: str = ""
    apart: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    fails: str = ""


STORED = "stored fmaps that are added or joined are external inputs: "
PROMPT = {"sequence_length": 32}
DECODE = {"sequence_length": 1, "past_sequence_length": 31, "past_sequence_length + 1": 32}

CASES: dict[str, Case] = {
    "mobilenet-v3": Case(mobile.mobilenet_v3),
    "efficientnet": Case(mobile.efficientnet),
    "shufflenet-v2": Case(mobile.shufflenet_v2, fails="views: a part of shuffled channels"),
    "squeezenet": Case(mobile.squeezenet),
    "mobilenet-v2-qdq": Case(mobile.mobilenet_v2_qdq),
    "mobilenet-v2-qlinear": Case(mobile.mobilenet_v2_qlinear, fails="operators: QLinearAdd, QGemm"),
    "resnet18": Case(convolutional.resnet18),
    "densenet": Case(convolutional.densenet),
    "inception": Case(convolutional.inception),
    "unet": Case(convolutional.unet, fails="windows: ConvTranspose without its zeros"),
    "deeplab": Case(convolutional.deeplab),
    "convnext": Case(convolutional.convnext),
    "super-resolution": Case(convolutional.super_resolution, fails="views: DepthToSpace"),
    "temporal": Case(convolutional.temporal),
    "poolformer": Case(convolutional.poolformer),
    "mlp-mixer": Case(convolutional.mlp_mixer),
    "yolov8": Case(detection.yolov8, refused="--end", fails="the refusal names no ends"),
    "yolov8-levels": Case(detection.yolov8, ends=("/model/22/Concat", "/model/22/Concat_1")),
    "retinanet": Case(detection.retinanet, fails="shared weights are counted once for each use"),
    "detr": Case(
        detection.detr,
        # 64 positions, 20 constant queries after their projection, the first target after its norm, 20 queries
        apart={"inputs": (64 * 64 + 3 * 20 * 64, STORED + "positions, projected queries, first target, queries")},
        fails="views: pixels become tokens",
    ),
    "vit": Case(vision.vit, apart={"inputs": (64 + 17 * 64, STORED + "class token and 17 positions")}),
    "swin": Case(
        vision.swin,
        # relative biases: 2 blocks of 2 heads, 2 of 4; of one head they would be masks
        apart={"inputs": (0, STORED + "relative biases")},
        fails="views: windows",
    ),
    "window-encoder": Case(
        vision.window_encoder,
        apart={"inputs": (16 * 16 * 64, STORED + "positions of 16×16 patches")},
        fails="views: windows of a padded fmap",
    ),
    "mobilevit": Case(vision.mobilevit, fails="views: pixels of patches become the batch"),
    "efficient-attention": Case(vision.efficient_attention, fails="views: a part of each head's channels"),
    "stable-diffusion": Case(
        diffusion.unet_block, fails="inputs: a time without an axis besides the batch; views: pixels become tokens"
    ),
    "lstm": Case(recurrent.lstm, fails="windows: LSTM"),
    "gru": Case(recurrent.gru, fails="windows: GRU"),
    "bert": Case(
        language.bert,
        PROMPT,
        apart={"inputs": (32 * 64, STORED + "rows of positions")},
    ),
    "bert-optimised": Case(language.bert_optimised, fails="operators: com.microsoft Attention"),
    "gpt2": Case(language.gpt2, PROMPT, apart={"inputs": (32 * 64, STORED + "rows of positions")}),
    "llama-prefill": Case(language.llama_prefill, PROMPT),
    "llama-decode": Case(language.llama_decode, DECODE, fails="views: Concat along the axis of the cache"),
    "qwen-decode": Case(language.qwen_decode, DECODE, fails="views: Concat along the axis of the cache"),
    "llama-without-groups": Case(language.llama_without_groups, DECODE, fails="views: the cache is loaded twice"),
    "mixtral": Case(language.mixtral, PROMPT, refused="TopK"),
    "t5-encoder": Case(language.t5_encoder, {"encoder_sequence_length": 32}),
    "clip-text": Case(language.clip_text, fails="views: a row that an index selects"),
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
        apart={"inputs": (64, STORED + "a row of positions")},
        fails="views: the cache is loaded twice",
    ),
}
"""By name. Figures are those of one sample."""
