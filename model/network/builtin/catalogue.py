"""The names of the built-in networks, and the builder of each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from soma_cp.model.errors import UserError, nearest_name_hint
from soma_cp.model.network.builtin import encoder, gpt2, tiny
from soma_cp.model.network.builtin.attention import TransformerSize
from soma_cp.model.network.builtin.darknet19 import darknet19
from soma_cp.model.network.builtin.densenet import densenet
from soma_cp.model.network.builtin.gnmt import gnmt
from soma_cp.model.network.builtin.googlenet import googlenet
from soma_cp.model.network.builtin.gptj import gptj_decode, gptj_prefill
from soma_cp.model.network.builtin.inception_resnet import inception_resnet_v1
from soma_cp.model.network.builtin.llama2 import llama2_decode, llama2_prefill
from soma_cp.model.network.builtin.lstm import lstm
from soma_cp.model.network.builtin.pnasnet import pnasnet5_large
from soma_cp.model.network.builtin.randwire import randwire_network
from soma_cp.model.network.builtin.randwire_small import randwire_small
from soma_cp.model.network.builtin.resnet import resnet50, resnet101
from soma_cp.model.network.builtin.resnet_variants import resnet152, resnext50
from soma_cp.model.network.builtin.retinanet import retinanet_resnet50
from soma_cp.model.network.builtin.transformer import BASE_CELL, BIG_CELL, transformer, transformer_cell
from soma_cp.model.network.builtin.unet import unet
from soma_cp.model.network.builtin.vgg import vgg19
from soma_cp.model.network.builtin.zfnet import zfnet
from soma_cp.model.network.network import Network

MOST_TOKENS = 1 << 20
"""Longest sequence of a built-in network."""


@dataclass(frozen=True)
class BuiltIn:
    """A built-in network.

    Parameters
    ----------
    name
        Name for users; also the name of the network.
    description
        One line for the list of networks.
    platform
        Name of the platform on which it usually runs.
    builder
        Function that builds the network; takes the number of tokens if `tokens` is not None.
    tokens
        Default sequence length, or None for a network without a sequence.
    """

    name: str
    description: str
    platform: str
    builder: Callable[..., Network]
    tokens: int | None = None


def _decoder_only(
    name: str,
    block: str,
    platform: str,
    prefill: Callable[[int], Network],
    decode: Callable[[int], Network],
    prompt: int,
    cached: int,
) -> tuple[BuiltIn, BuiltIn]:
    """One block, in prefill and in decode."""
    return (
        BuiltIn(f"{name}-prefill", f"{block}, reading a prompt of {prompt} tokens", platform, prefill, prompt),
        BuiltIn(f"{name}-decode", f"{block}, making one token after {cached} cached ones", platform, decode, cached),
    )


def _gpt2(size: TransformerSize, label: str, platform: str, tokens: int) -> tuple[BuiltIn, BuiltIn]:
    block = f"GPT-2 {label}, one of {size.blocks} transformer blocks"
    prefill, decode = partial(gpt2.gpt2_prefill, size), partial(gpt2.gpt2_decode, size)
    return _decoder_only(size.name, block, platform, prefill, decode, tokens, tokens)


def _bert(size: TransformerSize, label: str) -> BuiltIn:
    description = f"BERT {label}, one of {size.blocks} encoder blocks, on 512 tokens"
    return BuiltIn(size.name, description, "edge", partial(encoder.bert, size), 512)


BUILT_INS: dict[str, BuiltIn] = {
    built_in.name: built_in
    for built_in in (
        *_gpt2(gpt2.SMALL, "Small", "edge", 512),
        *_gpt2(gpt2.XL, "XL", "cloud", 1024),
        *_decoder_only(
            "gpt-j-6b", "GPT-J 6B, one of 28 transformer blocks", "cloud", gptj_prefill, gptj_decode, 512, 512
        ),
        *_decoder_only(
            "llama2-70b",
            "Llama 2 70B, one of 80 transformer blocks",
            "cloud",
            llama2_prefill,
            llama2_decode,
            512,
            511,
        ),
        _bert(encoder.BERT_BASE, "Base"),
        _bert(encoder.BERT_LARGE, "Large"),
        BuiltIn(
            "transformer-cell",
            "encoder and decoder block of a transformer, on 512 tokens each",
            "edge",
            partial(transformer_cell, BASE_CELL),
            512,
        ),
        BuiltIn(
            "transformer-big-cell",
            "encoder and decoder block of the big transformer, on 512 tokens each",
            "edge",
            partial(transformer_cell, BIG_CELL),
            512,
        ),
        BuiltIn(
            "transformer",
            "base transformer: 6 encoder and 6 decoder blocks, on 512 tokens each, 37,000 words",
            "cloud",
            transformer,
            512,
        ),
        BuiltIn("lstm", "LSTM language model of two layers of 650, one time step", "edge", lstm),
        BuiltIn(
            "gnmt",
            "GNMT, one time step of its 8 encoder and 8 decoder layers, attending to 32 words before it",
            "cloud",
            gnmt,
            32,
        ),
        BuiltIn("resnet50", "ResNet-50 on 224×224 images", "edge", resnet50),
        BuiltIn("resnet101", "ResNet-101 on 224×224 images", "edge", resnet101),
        BuiltIn("resnet152", "ResNet-152 on 224×224 images", "edge", resnet152),
        BuiltIn("resnext50", "ResNeXt-50 on 224×224 images", "edge", resnext50),
        BuiltIn("vgg19", "VGG-19 on 224×224 images, without fully connected layers", "edge", vgg19),
        BuiltIn("zfnet", "ZFNet on 224×224 images", "edge", zfnet),
        BuiltIn("darknet19", "Darknet-19 on 224×224 images", "edge", darknet19),
        BuiltIn("googlenet", "GoogLeNet on 224×224 images", "edge", googlenet),
        BuiltIn("densenet", "DenseNet-121 on 224×224 images", "edge", densenet),
        BuiltIn("unet", "U-Net on 512×512 images of one channel", "cloud", unet),
        BuiltIn(
            "retinanet-resnet50",
            "RetinaNet with ResNet-50 on 640×640 images; every level loads the heads",
            "edge",
            retinanet_resnet50,
        ),
        BuiltIn("inception-resnet-v1", "Inception-ResNet-v1 on 299×299 images", "edge", inception_resnet_v1),
        BuiltIn("pnasnet", "PNASNet-5 large on 331×331 images", "edge", pnasnet5_large),
        BuiltIn("randwire", "randomly wired network on 224×224 images, seed 1", "edge", randwire_network),
        BuiltIn("randwire-small", "the SoMa paper's randomly wired network on 224×224 images", "edge", randwire_small),
        BuiltIn("tiny-chain", "4 layers: convolutions in a row", "edge", tiny.tiny_chain),
        BuiltIn("tiny-branch", "6 layers: a residual block", "edge", tiny.tiny_branch),
        BuiltIn("tiny-attention", "8 layers: one attention head", "edge", tiny.tiny_attention),
        BuiltIn("tiny-ffn", "5 layers: feed-forward part of a transformer", "edge", tiny.tiny_ffn),
        BuiltIn("tiny-concat", "6 layers: branches, concatenated", "edge", tiny.tiny_concat),
        BuiltIn("tiny-pool-fc", "5 layers: pooling and a fully connected layer", "edge", tiny.tiny_pool_fc),
        BuiltIn("tiny-wide", "6 layers: four readers of one layer", "edge", tiny.tiny_wide),
        BuiltIn("tiny-unet", "6 layers: down, a group convolution, up again", "edge", tiny.tiny_unet),
    )
}
"""The built-in networks by name, in the order in which they are listed."""

ALIASES = {"gpt2-small": "gpt2-small-prefill", "gpt2-xl": "gpt2-xl-prefill"}
"""Short names, and the networks that they stand for."""


def builtin_names() -> tuple[str, ...]:
    """Return the names of the built-in networks, in the order in which they are listed, without aliases."""
    return tuple(BUILT_INS)


def built_in(name: str) -> BuiltIn:
    """Return the entry of the built-in network called `name`, which may be an alias.

    Raises
    ------
    UserError
        If there is none.
    """
    entry = BUILT_INS.get(ALIASES.get(name, name))
    if entry is None:
        hint = nearest_name_hint(name.lower(), (*BUILT_INS, *ALIASES))
        raise UserError(f"no built-in network is called '{name}'{hint} ('soma-cp nets' lists them all)")
    return entry


def default_platform(name: str) -> str:
    """Return the name of the platform on which the built-in network `name` usually runs.

    Raises
    ------
    UserError
        If there is no such network.
    """
    return built_in(name).platform


def usual_platform(network: Network) -> str:
    """Return the name of the platform on which a network usually runs: ``edge`` unless a built-in one has another."""
    return default_platform(network.name) if network.name in builtin_names() else "edge"


def builtin_network(name: str, tokens: int | None = None) -> Network:
    """Build a built-in network.

    Parameters
    ----------
    name
        One of `builtin_names`, or an alias.
    tokens
        Sequence length, 1 … `MOST_TOKENS`; for decode, the number of cached tokens. None means the published
        length.

    Raises
    ------
    UserError
        If there is no such network, or `tokens` is out of range or given for a network without a sequence.
    """
    entry = built_in(name)
    if entry.tokens is None:
        if tokens is not None:
            with_tokens = ", ".join(other.name for other in BUILT_INS.values() if other.tokens is not None)
            raise UserError(
                f"tokens={tokens} given, but '{entry.name}' has no sequence; "
                f"leave tokens out (allowed for {with_tokens})"
            )
        return entry.builder()
    if tokens is None:
        tokens = entry.tokens
    if not 1 <= tokens <= MOST_TOKENS:
        raise UserError(f"tokens={tokens} for '{entry.name}' (must be from 1 to {MOST_TOKENS})")
    return entry.builder(tokens)
