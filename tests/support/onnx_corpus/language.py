"""Language models: BERT, GPT-2, Llama (prompt and decoding), Qwen, Mixtral, T5, CLIP's text encoder, BERT optimised."""

import numpy as np
from onnx import TensorProto

from support.onnx_corpus.graph import FLOAT, INT64, MICROSOFT, Graph

LOWEST = -3.4028234663852886e38


def bert() -> Graph:
    """BERT from the HF exporter: three embeddings, a mask made of whole numbers, layers after a norm, a pooler."""
    g = Graph(14)
    width, heads, vocabulary = 64, 4, 1000
    ids, mask, kinds = (
        g.input(name, ["batch_size", "sequence_length"], INT64)
        for name in ("input_ids", "attention_mask", "token_type_ids")
    )
    wide = g("Unsqueeze", g("Unsqueeze", mask, g.const([1])), g.const([2]))
    hidden = g("Mul", g("Sub", g.scalar(1), g("Cast", wide, to=FLOAT)), g.scalar(LOWEST))
    with g.scope("embeddings"):
        x = g("Gather", g.weight("word_embeddings.weight", vocabulary, width), ids)
        x = g("Add", x, g("Gather", g.weight("token_type_embeddings.weight", 2, width), kinds))
        places = g.const(np.arange(128)[None])
        end = g("Unsqueeze", g.size(ids, 1), g.const([0]))
        places = g("Slice", places, g.const([0]), end, g.const([1]), g.const([1]))
        x = g("Add", x, g("Gather", g.weight("position_embeddings.weight", 128, width), places))
        x = g.layer_norm(x, width, "LayerNorm")
    for layer in range(2):
        with g.scope(f"encoder.layer.{layer}"):
            batch, tokens = g.size(x, 0), g.size(x, 1)
            q, k, v = (g.linear(x, width, width, f"attention.self.{name}") for name in ("query", "key", "value"))
            q, k, v = (g.heads(t, batch, tokens, heads, width // heads) for t in (q, k, v))
            y = g.merged(g.attend(q, k, v, width // heads, hidden), batch, tokens, width)
            x = g.layer_norm(g("Add", g.linear(y, width, width, "attention.output"), x), width, "attention.norm")
            y = g.linear(g.gelu(g.linear(x, width, 4 * width, "intermediate")), 4 * width, width, "output")
            x = g.layer_norm(g("Add", y, x), width, "output.norm")
    x = g.output(x, "last_hidden_state", ["batch_size", "sequence_length", width])
    first = g("Gather", x, g.const(0), axis=1)
    g.output(g("Tanh", g.gemm(first, width, width, "pooler.dense")), "pooler_output", ["batch_size", width])
    return g


def bert_optimised() -> Graph:
    """A BERT layer after ONNX Runtime's optimiser: fused attention, SkipLayerNormalization, BiasGelu."""
    g = Graph(14, initializers=True)
    width, heads, tokens = 64, 4, 32
    x = g.input("hidden", [1, tokens, width])

    def fused(operator: str, *inputs: str, outside: int = width, **attributes: object) -> str:
        return str(g(operator, *inputs, domain=MICROSOFT, shapes=[(1, tokens, outside)], **attributes))

    for layer in range(2):
        with g.scope(f"encoder.layer.{layer}"):
            y = fused(
                "Attention",
                x,
                g.weight("qkv_weight", width, 3 * width),
                g.weight("qkv_bias", 3 * width),
                num_heads=heads,
            )
            y = g("MatMul", y, g.matrix(width, width))
            norm = [g.weight(name, width) for name in ("norm1.weight", "norm1.bias", "output.bias")]
            x = fused("SkipLayerNormalization", y, x, *norm, epsilon=1e-12)
            y = fused(
                "BiasGelu", g("MatMul", x, g.matrix(width, 4 * width)), g.weight("bias", 4 * width), outside=4 * width
            )
            y = g("MatMul", y, g.matrix(4 * width, width))
            norm = [g.weight(name, width) for name in ("norm2.weight", "norm2.bias", "dense.bias")]
            x = fused("SkipLayerNormalization", y, x, *norm, epsilon=1e-12)
    g.output(x, "last_hidden_state", [1, tokens, width])
    return g


def gpt2() -> Graph:
    """GPT-2 from the HF exporter: Conv1D as Reshape and Gemm, qkv that is split, a mask by Where, a tied head."""
    g = Graph(13)
    width, heads, vocabulary, limit = 64, 4, 1000, 64
    d = width // heads
    ids = g.input("input_ids", ["batch_size", "sequence_length"], INT64)

    def conv1d(x: str, inside: int, outside: int, name: str) -> str:
        with g.scope(name):
            batch, tokens = g.size(x, 0), g.size(x, 1)
            flat = g.reshape(x, -1, inside)
            flat = g("Gemm", flat, g.weight("weight", inside, outside), g.weight("bias", outside), alpha=1.0, beta=1.0)
            return g.reshape(flat, batch, tokens, outside)

    table = g.weight("transformer.wte.weight", vocabulary, width)
    batch, tokens = g.size(ids, 0), g.size(ids, 1)
    places = g("Range", g.const(0), tokens, g.const(1))
    places = g.reshape(g("Unsqueeze", places, g.const([0])), -1, tokens)
    x = g("Gather", table, g.reshape(ids, -1, tokens))
    x = g("Add", x, g("Gather", g.weight("transformer.wpe.weight", limit, width), places))
    for block in range(2):
        with g.scope(f"transformer.h.{block}"):
            qkv = conv1d(g.layer_norm(x, width, "ln_1"), width, 3 * width, "attn.c_attn")
            q, k, v = g.chunk(qkv, [width] * 3, 2)
            q, k, v = (g.heads(t, g.size(t, 0), g.size(t, 1), heads, d) for t in (q, k, v))
            scores = g("Div", g("MatMul", q, g.transpose(k, 0, 1, 3, 2)), g.scalar(d**0.5))
            rows, columns = g.size(q, -2), g.size(k, -2)
            mask = g.const(np.tril(np.ones((1, 1, limit, limit), bool)), bool)
            start, end = (g("Unsqueeze", t, g.const([0])) for t in (g("Sub", columns, rows), columns))
            mask = g("Slice", mask, start, end, g.const([2]), g.const([1]))
            mask = g("Slice", mask, g.const([0]), end, g.const([3]), g.const([1]))
            scores = g("Softmax", g("Where", mask, scores, g.scalar(LOWEST)), axis=-1)
            y = g.merged(g("MatMul", scores, v), g.size(x, 0), g.size(x, 1), width)
            x = g("Add", conv1d(y, width, width, "attn.c_proj"), x)
            y = g.gelu_tanh(conv1d(g.layer_norm(x, width, "ln_2"), width, 4 * width, "mlp.c_fc"))
            x = g("Add", x, conv1d(y, 4 * width, width, "mlp.c_proj"))
    x = g.reshape(g.layer_norm(x, width, "transformer.ln_f"), batch, tokens, width)
    g.output(g("MatMul", x, g.transpose(table, 1, 0)), "logits", ["batch_size", "sequence_length", vocabulary])
    return g


def _llama(
    g: Graph, *, past: bool, bias: bool, width: int, heads: int, shared: int, layers: int, experts: int = 0
) -> None:
    """A decoder as HF Optimum exports it; `shared` heads of keys and values, cached ones are inputs if `past`."""
    d, vocabulary, inner = width // heads, 1000, 2 * width
    ids = g.input("input_ids", ["batch_size", "sequence_length"], INT64)
    total = "past_sequence_length + 1" if past else "sequence_length"
    attention = g.input("attention_mask", ["batch_size", total], INT64)
    positions = g.input("position_ids", ["batch_size", "sequence_length"], INT64)
    cached = []
    if past:
        dims = ["batch_size", shared, "past_sequence_length", d]
        for layer in range(layers):
            cached.append([g.input(f"past_key_values.{layer}.{kind}", dims) for kind in ("key", "value")])
    with g.scope("model"):
        x = g("Gather", g.weight("embed_tokens.weight", vocabulary, width), ids)
        with g.scope("rotary_emb"):
            steps = g("Cast", g("Unsqueeze", positions, g.const([1])), to=FLOAT)
            frequencies = g.const(1e4 ** -(np.arange(0, d, 2) / d)[None, :, None], np.float32)
            frequencies = g.expand(frequencies, g.size(positions, 0), -1, 1)
            angles = g.transpose(g("MatMul", frequencies, steps), 0, 2, 1)
            angles = g("Concat", angles, angles, axis=-1)
            turns = [g("Unsqueeze", g(kind, angles), g.const([1])) for kind in ("Cos", "Sin")]
        mask = _causal_mask(g, ids, attention, past)
        present = []
        for layer in range(layers):
            with g.scope(f"layers.{layer}"):
                y = g.rms_norm(x, width, "input_layernorm")
                batch, tokens = g.size(y, 0), g.size(y, 1)
                with g.scope("self_attn"):
                    q = g.heads(g.linear(y, width, width, "q_proj", bias), batch, tokens, heads, d)
                    k = g.heads(g.linear(y, width, shared * d, "k_proj", bias), batch, tokens, shared, d)
                    v = g.heads(g.linear(y, width, shared * d, "v_proj", bias), batch, tokens, shared, d)
                    q, k = _turned(g, q, turns, d), _turned(g, k, turns, d)
                    if past:
                        k, v = (g("Concat", old, new, axis=-2) for old, new in zip(cached[layer], (k, v), strict=True))
                    present.append((k, v))
                    wide = [_repeated(g, t, heads // shared, shared, d) for t in (k, v)]
                    y = g.merged(g.sdpa(q, *wide, mask), batch, tokens, -1)
                    x = g("Add", x, g.linear(y, width, width, "o_proj", bias=False))
                y = g.rms_norm(x, width, "post_attention_layernorm")
                feed = _routed(g, y, width, inner, experts) if experts else _swiglu(g, y, width, inner)
                x = g("Add", x, feed)
        x = g.rms_norm(x, width)
    logits = g.linear(x, width, vocabulary, "lm_head", bias=False)
    g.output(logits, "logits", ["batch_size", "sequence_length", vocabulary])
    for layer, pair in enumerate(present):
        for kind, tensor in zip(("key", "value"), pair, strict=True):
            g.output(tensor, f"present.{layer}.{kind}", ["batch_size", shared, total, d])


def _causal_mask(g: Graph, ids: str, attention: str, past: bool) -> str:
    """The mask that is added to scores: rows by comparison of two ranges, the padding of prompts by Where."""
    total, tokens = g.size(attention, 1), g.size(ids, 1)
    start = g("Sub", total, tokens)
    rows = g("Unsqueeze", g("Range", start, total, g.const(1)), g.const([1]))
    later = g("Greater", g("Range", g.const(0), total, g.const(1)), rows)
    causal = g("Mul", g("Cast", later, to=FLOAT), g.scalar(LOWEST))
    causal = g("Unsqueeze", g("Unsqueeze", causal, g.const([0])), g.const([1]))
    padding = g("Cast", g("Unsqueeze", g("Unsqueeze", attention, g.const([1])), g.const([2])), to=FLOAT)
    hidden = g("Equal", g("Add", causal, padding), g.scalar(0))
    return str(g("Where", hidden, g.scalar(LOWEST), causal))


def _turned(g: Graph, x: str, turns: list[str], d: int) -> str:
    """A rotation of halves (RoPE): Slice, Slice, Neg, Concat, two Mul, Add."""
    first, second = g.slice(x, 3, 0, d // 2), g.slice(x, 3, d // 2)
    half = g("Concat", g("Neg", second), first, axis=-1)
    return str(g("Add", g("Mul", x, turns[0]), g("Mul", half, turns[1])))


def _repeated(g: Graph, x: str, times: int, shared: int, d: int) -> str:
    """``repeat_kv``: Unsqueeze, Expand, Reshape."""
    if times == 1:
        return x
    batch, tokens = g.size(x, 0), g.size(x, 2)
    wide = g.expand(g("Unsqueeze", x, g.const([2])), batch, shared, times, tokens, d)
    return g.reshape(wide, batch, shared * times, tokens, d)


def _swiglu(g: Graph, x: str, width: int, inner: int) -> str:
    with g.scope("mlp"):
        gate = g.silu(g.linear(x, width, inner, "gate_proj", bias=False))
        up = g.linear(x, width, inner, "up_proj", bias=False)
        return g.linear(g("Mul", gate, up), inner, width, "down_proj", bias=False)


def _routed(g: Graph, x: str, width: int, inner: int, experts: int) -> str:
    """Mixtral's routing: a softmax of the gate, TopK, and a weight of every expert's result."""
    with g.scope("block_sparse_moe"):
        scores = g("Softmax", g.linear(x, width, experts, "gate", bias=False), axis=-1)
        best, chosen = g("TopK", scores, g.const([2]), axis=-1, largest=1, sorted=1, outputs=2)
        best = g("Div", best, g("ReduceSum", best, g.const([-1]), keepdims=1))
        total = ""
        for expert in range(experts):
            with g.scope(f"experts.{expert}"):
                picked = g("Cast", g("Equal", chosen, g.const(expert)), to=FLOAT)
                share = g("ReduceSum", g("Mul", best, picked), g.const([-1]), keepdims=1)
                y = g("Mul", _swiglu(g, x, width, inner), share)
            total = g("Add", total, y) if total else y
        return total


def llama_prefill() -> Graph:
    """Llama's prompt: RMSNorm, RoPE, eight heads of queries and two of keys and values, SwiGLU; present are outputs."""
    g = Graph(14)
    _llama(g, past=False, bias=False, width=128, heads=8, shared=2, layers=2)
    return g


def llama_decode() -> Graph:
    """The same for one token with cached keys and values."""
    g = Graph(14)
    _llama(g, past=True, bias=False, width=128, heads=8, shared=2, layers=2)
    return g


def qwen_decode() -> Graph:
    """Qwen2: as Llama, with biases of queries, keys and values; opset 18."""
    g = Graph(18)
    _llama(g, past=True, bias=True, width=96, heads=6, shared=2, layers=1)
    return g


def llama_without_groups() -> Graph:
    """A Llama as first published, with as many heads of keys and values as of queries."""
    g = Graph(17)
    _llama(g, past=True, bias=False, width=64, heads=4, shared=4, layers=1)
    return g


def mixtral() -> Graph:
    """Mixtral: four experts chosen by TopK."""
    g = Graph(17)
    _llama(g, past=False, bias=False, width=64, heads=4, shared=2, layers=1, experts=4)
    return g


def t5_encoder() -> Graph:
    """A T5 encoder block: RMSNorm, unscaled scores, a bias of relative buckets, ReLU."""
    g = Graph(13)
    width, heads, tokens = 64, 4, 32
    d = width // heads
    ids = g.input("input_ids", ["batch", "encoder_sequence_length"], INT64)
    mask = g.input("attention_mask", ["batch", "encoder_sequence_length"], INT64)
    x = g("Gather", g.weight("shared.weight", 1000, width), ids)
    wide = g("Cast", g("Unsqueeze", g("Unsqueeze", mask, g.const([1])), g.const([2])), to=FLOAT)
    hidden = g("Mul", g("Sub", g.scalar(1), wide), g.scalar(LOWEST))
    buckets = g.const(np.clip(np.arange(tokens)[None] - np.arange(tokens)[:, None] + 16, 0, 31))
    bias = g("Gather", g.weight("relative_attention_bias.weight", 32, heads), buckets)
    bias = g("Unsqueeze", g.transpose(bias, 2, 0, 1), g.const([0]))
    bias = g("Add", bias, hidden)
    for block in range(2):
        with g.scope(f"encoder.block.{block}"):
            y = g.rms_norm(x, width, "layer.0.layer_norm")
            q, k, v = (g.linear(y, width, width, f"SelfAttention.{name}", bias=False) for name in "qkv")
            batch = g.size(y, 0)
            q, k, v = (g.heads(t, batch, -1, heads, d) for t in (q, k, v))
            scores = g("Add", g("MatMul", q, g.transpose(k, 0, 1, 3, 2)), bias)
            y = g.merged(g("MatMul", g("Softmax", scores, axis=-1), v), batch, -1, width)
            x = g("Add", x, g.linear(y, width, width, "SelfAttention.o", bias=False))
            y = g("Relu", g.linear(g.rms_norm(x, width, "layer.1.layer_norm"), width, 128, "wi", bias=False))
            x = g("Add", x, g.linear(y, 128, width, "wo", bias=False))
    g.output(g.rms_norm(x, width, "final_layer_norm"), "last_hidden_state", ["batch", "encoder_sequence_length", width])
    return g


def clip_text() -> Graph:
    """CLIP's text encoder: QuickGELU, a stored causal mask, the row of the last token by ArgMax, a projection."""
    g = Graph(14)
    width, heads, tokens = 64, 4, 16
    d = width // heads
    ids = g.input("input_ids", ["text_batch_size", tokens], INT64)
    x = g("Gather", g.weight("token_embedding.weight", 1000, width), ids)
    x = g("Add", x, g.weight("position_embedding.weight", 1, tokens, width))
    mask = g.const(np.triu(np.full((1, 1, tokens, tokens), LOWEST), 1), np.float32)
    for layer in range(2):
        with g.scope(f"encoder.layers.{layer}"):
            y = g.layer_norm(x, width, "layer_norm1")
            batch = g.size(y, 0)
            q, k, v = (g.linear(y, width, width, f"self_attn.{name}_proj") for name in "qkv")
            q, k, v = (g.heads(t, batch, tokens, heads, d) for t in (q, k, v))
            flat = [
                g.reshape(t, g("Mul", batch, g.const(heads)), -1, d) for t in (g("Mul", q, g.scalar(d**-0.5)), k, v)
            ]
            scores = g.reshape(g("MatMul", flat[0], g.transpose(flat[1], 0, 2, 1)), batch, heads, tokens, tokens)
            scores = g.reshape(g("Add", scores, mask), g("Mul", batch, g.const(heads)), tokens, tokens)
            y = g.reshape(g("MatMul", g("Softmax", scores, axis=-1), flat[2]), batch, heads, tokens, d)
            x = g("Add", x, g.linear(g.merged(y, batch, tokens, width), width, width, "self_attn.out_proj"))
            y = g.linear(g.layer_norm(x, width, "layer_norm2"), width, 4 * width, "mlp.fc1")
            y = g("Mul", y, g("Sigmoid", g("Mul", y, g.scalar(1.702))))
            x = g("Add", x, g.linear(y, 4 * width, width, "mlp.fc2"))
    x = g.layer_norm(x, width, "final_layer_norm")
    x = g.output(x, "last_hidden_state", ["text_batch_size", tokens, width])
    last = g("ArgMax", g("Cast", ids, to=TensorProto.INT32), axis=-1, keepdims=0)
    flat_rows = g("Add", last, g("Mul", g("Range", g.const(0), g.size(x, 0), g.const(1)), g.const(tokens)))
    row = g("Gather", g.reshape(x, -1, width), flat_rows, axis=0)
    with g.scope("text_projection"):
        g.output(g("MatMul", row, g.matrix(width, 32)), "text_embeds", ["text_batch_size", 32])
    return g
