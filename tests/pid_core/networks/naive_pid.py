# SPDX-License-Identifier: Apache-2.0
"""PidNet written down a second time: straight from its formulas, one image, float64, nothing saved.

It shares no code with `pid_core`, so the two can only agree by computing the same function.
"""

from __future__ import annotations

import math
from typing import Any

import torch

Weights = dict[str, torch.Tensor]


def rms(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """x / sqrt(mean(x^2) + 1e-6) * weight."""
    return x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * weight


def linear(x: torch.Tensor, w: Weights, name: str) -> torch.Tensor:
    """Weight and, if there is one, bias."""
    out = x @ w[f"{name}.weight"].T
    return out + w[f"{name}.bias"] if f"{name}.bias" in w else out


def silu(x: torch.Tensor) -> torch.Tensor:
    """x * sigmoid(x)."""
    return x * torch.sigmoid(x)


def turn(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Rotate adjacent pairs of [N, heads, d] by angles [N, d / 2]."""
    out = torch.empty_like(x)
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    out[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
    out[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
    return out


def grid_angles(rows: int, columns: int, d: int, o: dict[str, Any]) -> torch.Tensor:
    """[rows * columns, d / 2]: x and y alternate, positions span 0 to 16, bases follow the size."""
    out = torch.zeros(rows * columns, d // 2, dtype=torch.float64)
    for i in range(rows):
        for j in range(columns):
            x = 16 * j / (columns - 1) if columns > 1 else 0.0
            y = 16 * i / (rows - 1) if rows > 1 else 0.0
            theta_x = theta_y = 1e4
            if o["rope_mode"] == "ntk_aware":
                power = (d / 2) / (d / 2 - 2)
                theta_x *= (columns / (o["rope_ref_w"] / o["patch_size"])) ** power
                theta_y *= (rows / (o["rope_ref_h"] / o["patch_size"])) ** power
            for m in range(d // 4):
                out[i * columns + j, 2 * m] = x * theta_x ** (-4 * m / d)
                out[i * columns + j, 2 * m + 1] = y * theta_y ** (-4 * m / d)
    return out


def softmax_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """[N, heads, d] each -> [N, heads * d]."""
    logits = torch.einsum("nhd,mhd->hnm", q, k) / math.sqrt(q.shape[-1])
    return torch.einsum("hnm,mhd->nhd", logits.softmax(-1), v).flatten(1)


def heads_of(x: torch.Tensor, w: Weights, qkv: str, norms: tuple[str, str], heads: int) -> Any:
    """Normed queries and keys, and values: [N, heads, d] each."""
    q, k, v = linear(x, w, qkv).reshape(x.shape[0], 3, heads, -1).unbind(1)
    return rms(q, w[f"{norms[0]}.weight"]), rms(k, w[f"{norms[1]}.weight"]), v


def patch_block(
    x: torch.Tensor, y: torch.Tensor, c: torch.Tensor, w: Weights, p: str, o: Any, angles: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """One joint block; nothing is skipped."""
    sx1, cx1, gx1, sx2, cx2, gx2 = linear(c, w, f"{p}.adaLN_modulation_img.0").chunk(6)
    sy1, cy1, gy1, sy2, cy2, gy2 = linear(c, w, f"{p}.adaLN_modulation_txt.0").chunk(6)
    xn = rms(x, w[f"{p}.norm_x1.weight"]) * (1 + cx1) + sx1
    yn = rms(y, w[f"{p}.norm_y1.weight"]) * (1 + cy1) + sy1
    a = f"{p}.attn"
    qx, kx, vx = heads_of(xn, w, f"{a}.qkv_x", (f"{a}.q_norm_x", f"{a}.k_norm_x"), o["num_groups"])
    qy, ky, vy = heads_of(yn, w, f"{a}.qkv_y", (f"{a}.q_norm_y", f"{a}.k_norm_y"), o["num_groups"])
    qx, kx = turn(qx, angles[0]), turn(kx, angles[0])
    if o["use_text_rope"]:
        qy, ky = turn(qy, angles[1]), turn(ky, angles[1])
    joint = softmax_attention(torch.cat((qy, qx)), torch.cat((ky, kx)), torch.cat((vy, vx)))
    n = y.shape[0]
    x = x + gx1 * linear(joint[n:], w, f"{a}.proj_x")
    y = y + gy1 * linear(joint[:n], w, f"{a}.proj_y")
    return (
        x + gx2 * swiglu(rms(x, w[f"{p}.norm_x2.weight"]) * (1 + cx2) + sx2, w, f"{p}.mlp_x"),
        y + gy2 * swiglu(rms(y, w[f"{p}.norm_y2.weight"]) * (1 + cy2) + sy2, w, f"{p}.mlp_y"),
    )


def swiglu(z: torch.Tensor, w: Weights, p: str) -> torch.Tensor:
    """w2(silu(w1 z) * w3 z)."""
    return linear(silu(linear(z, w, f"{p}.w1")) * linear(z, w, f"{p}.w3"), w, f"{p}.w2")


def pixel_block(
    u: torch.Tensor, s: torch.Tensor, w: Weights, p: str, o: Any, angles: torch.Tensor
) -> torch.Tensor:
    """One block over pixels, u [L, P * P, C]."""
    length, pixels, size = u.shape
    m = linear(s, w, f"{p}.adaLN_modulation.0").reshape(length, pixels, 6 * size)
    s1, c1, g1, s2, c2, g2 = m.chunk(6, dim=-1)
    h = rms(u, w[f"{p}.norm1.weight"]) * (1 + c1) + s1
    z = linear(h.reshape(length, -1), w, f"{p}.compress_to_attn")
    a = f"{p}.attn"
    q, k, v = heads_of(z, w, f"{a}.qkv", (f"{a}.q_norm", f"{a}.k_norm"), o["pixel_num_groups"])
    z = linear(softmax_attention(turn(q, angles), turn(k, angles), v), w, f"{a}.proj")
    u = u + g1 * linear(z, w, f"{p}.expand_from_attn").reshape(u.shape)
    h = linear(rms(u, w[f"{p}.norm2.weight"]) * (1 + c2) + s2, w, f"{p}.mlp.fc1")
    h = h * 0.5 * (1 + torch.erf(h / math.sqrt(2)))
    return u + g2 * linear(h, w, f"{p}.mlp.fc2")


def convolve(x: torch.Tensor, w: Weights, name: str, padding: str) -> torch.Tensor:
    """3x3 convolution of [C, h, w] with an explicit border."""
    mode = {"zeros": "constant", "replicate": "replicate", "reflect": "reflect"}[padding]
    x = torch.nn.functional.pad(x[None], (1, 1, 1, 1), mode=mode)
    return torch.nn.functional.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"])[0]


def group_norm(x: torch.Tensor, w: Weights, name: str) -> torch.Tensor:
    """Four groups of channels, eps 1e-5."""
    g = x.reshape(4, -1)
    g = (g - g.mean(1, keepdim=True)) / (g.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    weight, bias = w[f"{name}.weight"][:, None, None], w[f"{name}.bias"][:, None, None]
    return g.reshape(x.shape) * weight + bias


def to_grid(z: torch.Tensor, o: Any, rows: int, columns: int) -> torch.Tensor:
    """A latent [C, h, w] on the patch grid, cell by cell."""
    f = o["lq_latent_unpatchify_factor"]
    channels, h, width = z.shape[0] // f**2, z.shape[1] * f, z.shape[2] * f
    spread = torch.empty(channels, h, width, dtype=z.dtype)
    for i in range(h):
        for j in range(width):
            offset = (i % f) * f + j % f
            spread[:, i, j] = z[offset :: f**2, i // f, j // f]
    ratio = o["sr_scale"] * o["latent_spatial_down_factor"] / f / o["patch_size"]
    if ratio > 1:
        picked = [
            [spread[:, i * h // rows, j * width // columns] for j in range(columns)]
            for i in range(rows)
        ]
        return torch.stack([torch.stack(row, -1) for row in picked], -2)
    q = round(1 / ratio)
    spread = bilinear(spread, rows * q, columns * q)
    out = torch.empty(channels * q * q, rows, columns, dtype=z.dtype)
    for dy in range(q):
        for dx in range(q):
            out[dy * q + dx :: q * q] = spread[:, dy::q, dx::q]
    return out


def bilinear(z: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Pixel centres aligned at the borders of the image, edges clamped; exact when sizes agree."""
    out = torch.empty(z.shape[0], rows, columns, dtype=z.dtype)
    for i in range(rows):
        y = max((i + 0.5) * z.shape[1] / rows - 0.5, 0)
        y0, y1 = int(y), min(int(y) + 1, z.shape[1] - 1)
        for j in range(columns):
            x = max((j + 0.5) * z.shape[2] / columns - 0.5, 0)
            x0, x1 = int(x), min(int(x) + 1, z.shape[2] - 1)
            top = z[:, y0, x0] * (1 - x + x0) + z[:, y0, x1] * (x - x0)
            low = z[:, y1, x0] * (1 - x + x0) + z[:, y1, x1] * (x - x0)
            out[:, i, j] = top * (1 - y + y0) + low * (y - y0)
    return out


def gate(x: torch.Tensor, lq: torch.Tensor, sigma: float, w: Weights, name: str) -> torch.Tensor:
    """x + sigmoid(logit - exp(log_alpha) sigma) lq."""
    logit = linear(torch.cat((x, lq), -1), w, f"{name}.content_proj")
    return x + torch.sigmoid(logit - w[f"{name}.log_alpha"].exp() * sigma) * lq


def trunk(z: torch.Tensor, w: Weights, o: Any, rows: int, columns: int) -> torch.Tensor:
    """Latent [C, h, w] -> tokens [L, hidden]."""
    p, padding = "lq_proj.latent_proj", o["lq_conv_padding_mode"]
    x = convolve(to_grid(z, o, rows, columns), w, f"{p}.0", padding)
    x = convolve(silu(x), w, f"{p}.2", padding)
    for i in range(3, 3 + o["lq_num_res_blocks"]):
        h = convolve(silu(group_norm(x, w, f"{p}.{i}.block.0")), w, f"{p}.{i}.block.2", padding)
        x = x + convolve(silu(group_norm(h, w, f"{p}.{i}.block.3")), w, f"{p}.{i}.block.5", padding)
    return x.flatten(1).T


def pid_net(
    w: Weights, o: Any, image: torch.Tensor, t: float, text: torch.Tensor,
    z: torch.Tensor, sigma: float,
) -> torch.Tensor:  # fmt: skip
    """Velocity [3, H, W] of one image at network time t (1000 times the schedule's)."""
    side, depth = o["patch_size"], o["patch_depth"]
    rows, columns = image.shape[1] // side, image.shape[2] // side
    patches = image.reshape(3, rows, side, columns, side).permute(1, 3, 0, 2, 4)
    x = linear(patches.reshape(rows * columns, -1), w, "s_embedder.proj")
    f = torch.tensor([10.0 ** (-k / 128) for k in range(128)], dtype=torch.float64) * t
    time = silu(linear(torch.cat((f.cos(), f.sin())), w, "t_embedder.mlp.0"))
    time = linear(time, w, "t_embedder.mlp.2")
    text = text[: o["txt_max_length"]]
    y = rms(linear(text, w, "y_embedder.proj"), w["y_embedder.norm.weight"])
    y = y + w["y_pos_embedding"][0, : len(text)]
    d = o["hidden_size"] // o["num_groups"]
    positions = torch.arange(len(text), dtype=torch.float64)[:, None]
    frequencies = torch.tensor([1e4 ** (-2 * k / d) for k in range(d // 2)], dtype=torch.float64)
    angles = (grid_angles(rows, columns, d, o), positions * frequencies)
    tokens = trunk(z, w, o, rows, columns)
    for i in range(depth):
        index, remainder = divmod(i, o["lq_interval"])
        if not remainder:
            lq = linear(tokens, w, f"lq_proj.output_heads.{index}")
            x = gate(x, lq, sigma, w, f"lq_proj.gate_modules.{index}")
        x, y = patch_block(x, y, silu(time), w, f"patch_blocks.{i}", o, angles)
    s = silu(time + x)
    if o["pit_lq_inject"]:
        s = gate(s, linear(tokens, w, "lq_proj.pit_head"), sigma, w, "pit_lq_gate")
    u = linear(image.permute(1, 2, 0), w, "pixel_embedder.proj") + pixel_codes(image, o)
    u = u.reshape(rows, side, columns, side, -1).permute(0, 2, 1, 3, 4)
    u = u.reshape(rows * columns, side * side, -1)
    pixel_angles = grid_angles(
        rows, columns, o["pixel_attn_hidden_size"] // o["pixel_num_groups"], o
    )
    for i in range(o["pixel_depth"]):
        u = pixel_block(u, s, w, f"pixel_blocks.{i}", o, pixel_angles)
    out = linear(rms(u, w["final_layer.norm.weight"]), w, "final_layer.linear")
    out = out.reshape(rows, columns, side, side, 3).permute(4, 0, 2, 1, 3)
    return out.reshape(image.shape)


def pixel_codes(image: torch.Tensor, o: Any) -> torch.Tensor:
    """[H, W, C]: sin and cos of the column, then of the row."""
    quarter = o["pixel_hidden_size"] // 4
    rates = torch.tensor([1e4 ** (-j / quarter) for j in range(quarter)], dtype=torch.float64)
    y, x = torch.meshgrid(*(torch.arange(n).double() for n in image.shape[1:]), indexing="ij")
    x, y = x[..., None] * rates, y[..., None] * rates
    return torch.cat((x.sin(), x.cos(), y.sin(), y.cos()), -1)
