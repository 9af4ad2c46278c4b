"""Whisper: the encoder with its two convolutions, and a decoder step with cached keys and values of both attentions."""

from support.onnx_corpus.graph import INT64, Graph

WIDTH, HEADS = 64, 4
D = WIDTH // HEADS


def whisper_encoder() -> Graph:
    """Conv1d, Conv1d of stride 2, stored positions, two layers before which is a norm; opset 14."""
    g = Graph(14)
    frames = 100
    x = g.input("input_features", ["batch_size", 80, frames])
    x = g.gelu(g.conv(x, 80, WIDTH, (3,), name="conv1"))
    x = g.gelu(g.conv(x, WIDTH, WIDTH, (3,), 2, name="conv2"))
    x = g("Add", g.transpose(x, 0, 2, 1), g.weight("embed_positions.weight", frames // 2, WIDTH))
    for layer in range(2):
        with g.scope(f"layers.{layer}"):
            y = g.layer_norm(x, WIDTH, "self_attn_layer_norm")
            batch, tokens = g.size(y, 0), g.size(y, 1)
            q, k, v = _projections(g, y, y, "self_attn")
            q, k, v = (g.heads(t, batch, tokens, HEADS, D) for t in (q, k, v))
            y = g.merged(g.sdpa(q, k, v), batch, tokens, WIDTH)
            x = g("Add", x, g.linear(y, WIDTH, WIDTH, "self_attn.out_proj"))
            x = _feed_forward(g, x)
    g.output(g.layer_norm(x, WIDTH, "layer_norm"), "last_hidden_state", ["batch_size", frames // 2, WIDTH])
    return g


def whisper_decoder() -> Graph:
    """A prompt of the decoder: self-attention with a mask, cross-attention to the encoder's states, a tied head."""
    g = Graph(17)
    ids = g.input("decoder_input_ids", ["batch_size", "decoder_sequence_length"], INT64)
    states = g.input("encoder_hidden_states", ["batch_size", "encoder_sequence_length / 2", WIDTH])
    table = g.weight("embed_tokens.weight", 1000, WIDTH)
    tokens = g.size(ids, 1)
    x = g("Gather", table, ids)
    end = g("Unsqueeze", tokens, g.const([0]))
    positions = g("Slice", g.weight("embed_positions.weight", 448, WIDTH), g.const([0]), end, g.const([0]))
    x = g("Add", x, positions)
    steps = g("Range", g.const(0), tokens, g.const(1))
    rows = g.reshape(g("Add", steps, g.const(1)), tokens, 1)
    mask = g("Where", g("Less", steps, rows), g.scalar(0), g.scalar(-3.4e38))
    mask = g("Unsqueeze", g("Unsqueeze", mask, g.const([0])), g.const([1]))
    present = []
    for layer in range(1):
        with g.scope(f"layers.{layer}"):
            y = g.layer_norm(x, WIDTH, "self_attn_layer_norm")
            x = g("Add", x, _attention(g, y, y, "self_attn", present, mask))
            y = g.layer_norm(x, WIDTH, "encoder_attn_layer_norm")
            x = g("Add", x, _attention(g, y, states, "encoder_attn", present))
            x = _feed_forward(g, x)
    x = g.layer_norm(x, WIDTH, "layer_norm")
    logits = g("MatMul", x, g.transpose(table, 1, 0))
    g.output(logits, "logits", ["batch_size", "decoder_sequence_length", 1000])
    for i, tensor in enumerate(present):
        g.output(tensor, f"present.0.{('decoder', 'encoder')[i // 2]}.{('key', 'value')[i % 2]}")
    return g


def whisper_decoder_step() -> Graph:
    """One token with cached keys and values: the own ones grow, those of the encoder stay."""
    g = Graph(17)
    ids = g.input("input_ids", ["batch_size", 1], INT64)
    names = [f"past_key_values.0.{side}.{kind}" for side in ("decoder", "encoder") for kind in ("key", "value")]
    lengths = ("past_decoder_sequence_length", "encoder_sequence_length_out")
    cached = [g.input(name, ["batch_size", HEADS, lengths[i // 2], D]) for i, name in enumerate(names)]
    table = g.weight("embed_tokens.weight", 1000, WIDTH)
    start = g.size(cached[0], 2)
    ends = [g("Unsqueeze", t, g.const([0])) for t in (start, g("Add", start, g.const(1)))]
    position = g("Slice", g.weight("embed_positions.weight", 448, WIDTH), *ends, g.const([0]))
    x = g("Add", g("Gather", table, ids), position)
    with g.scope("layers.0"):
        y = g.layer_norm(x, WIDTH, "self_attn_layer_norm")
        q, k, v = (g.heads(t, g.size(y, 0), -1, HEADS, D) for t in _projections(g, y, y, "self_attn"))
        k, v = g("Concat", cached[0], k, axis=2), g("Concat", cached[1], v, axis=2)
        y = g.merged(g.sdpa(q, k, v), g.size(x, 0), 1, WIDTH)
        x = g("Add", x, g.linear(y, WIDTH, WIDTH, "self_attn.out_proj"))
        y = g.layer_norm(x, WIDTH, "encoder_attn_layer_norm")
        q = g.heads(g.linear(y, WIDTH, WIDTH, "encoder_attn.q_proj"), g.size(y, 0), -1, HEADS, D)
        y = g.merged(g.sdpa(q, cached[2], cached[3]), g.size(x, 0), 1, WIDTH)
        x = g("Add", x, g.linear(y, WIDTH, WIDTH, "encoder_attn.out_proj"))
        x = _feed_forward(g, x)
    logits = g("MatMul", g.layer_norm(x, WIDTH, "layer_norm"), g.transpose(table, 1, 0))
    g.output(logits, "logits", ["batch_size", 1, 1000])
    for kind, tensor in zip(("key", "value"), (k, v), strict=True):
        g.output(tensor, f"present.0.decoder.{kind}")
    return g


def _projections(g: Graph, x: str, context: str, name: str) -> tuple[str, str, str]:
    with g.scope(name):
        return (
            g.linear(x, WIDTH, WIDTH, "q_proj"),
            g.linear(context, WIDTH, WIDTH, "k_proj", bias=False),
            g.linear(context, WIDTH, WIDTH, "v_proj"),
        )


def _attention(g: Graph, x: str, context: str, name: str, present: list[str], mask: str = "") -> str:
    batch = g.size(x, 0)
    q, k, v = (g.heads(t, batch, -1, HEADS, D) for t in _projections(g, x, context, name))
    present += [k, v]
    y = g.merged(g.sdpa(q, k, v, mask), batch, -1, WIDTH)
    return g.linear(y, WIDTH, WIDTH, f"{name}.out_proj")


def _feed_forward(g: Graph, x: str) -> str:
    y = g.gelu(g.linear(g.layer_norm(x, WIDTH, "final_layer_norm"), WIDTH, 4 * WIDTH, "fc1"))
    return str(g("Add", x, g.linear(y, 4 * WIDTH, WIDTH, "fc2")))
