"""Two gaps of vLLM 0.23's mixture of experts on the CPU.

1. `expert_map` is ignored: local experts are indexed with global ids, a segmentation fault with
   expert parallelism. The ids are mapped first; the weight of another rank's expert becomes zero.
2. Without AVX-512 the fallback in torch is taken. It builds its activation outside of a config
   context (AssertionError) and counts an expert once per token, although the mapping above can
   name it twice.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from vllm.model_executor.layers.fused_moe import cpu_fused_moe
from vllm.model_executor.layers.fused_moe.activation import MoEActivation

_upstream_call = cpu_fused_moe.CPUFusedMOE.__call__


def install() -> None:
    cpu_fused_moe.CPUFusedMOE.__call__ = _call_with_local_ids
    cpu_fused_moe.CPUFusedMOE.forward_torch = _forward_torch


def _call_with_local_ids(
    self: Any,
    layer: Any,
    x: torch.Tensor,
    use_grouped_topk: bool,
    top_k: int,
    router_logits: torch.Tensor,
    renormalize: bool,
    topk_group: int | None = None,
    num_expert_group: int | None = None,
    global_num_experts: int = -1,
    expert_map: torch.Tensor | None = None,
    *args: Any,
    **kwargs: Any,
) -> torch.Tensor:
    def call(experts: int) -> torch.Tensor:
        routing = (use_grouped_topk, top_k, router_logits, renormalize)
        groups = (topk_group, num_expert_group)
        return _upstream_call(self, layer, x, *routing, *groups, experts, None, *args, **kwargs)

    if expert_map is None:
        return call(global_num_experts)
    select = cpu_fused_moe.select_experts

    def select_local(**options: Any) -> tuple[torch.Tensor, torch.Tensor]:
        weights, ids = select(**options)
        local = expert_map.to(ids.device)[ids.long()]
        elsewhere = local < 0
        masked = torch.where(elsewhere, torch.zeros_like(weights), weights)
        return masked, local.clamp(min=0).to(ids.dtype)

    cpu_fused_moe.select_experts = select_local
    try:
        return call(int((expert_map >= 0).sum()))
    finally:
        cpu_fused_moe.select_experts = select


def _forward_torch(
    self: Any,
    layer: Any,
    input: torch.Tensor,
    topk_weights: torch.Tensor,
    topk_ids: torch.Tensor,
    activation: MoEActivation,
    global_num_experts: int = -1,
    skip_weighted: bool = False,
) -> torch.Tensor:
    if activation is not MoEActivation.SILU or skip_weighted:
        raise NotImplementedError(
            f"the lab's MoE without AVX-512 knows SiLU with weighted outputs, not {activation}"
        )
    output = torch.zeros_like(input, dtype=torch.float32)
    for expert, (gate_up, down) in enumerate(zip(layer.gate_up_linear, layer.down_linear)):
        token, choice = torch.where(topk_ids == expert)
        if token.numel() == 0:
            continue
        gate, up = gate_up(input[token]).chunk(2, dim=-1)
        weight = topk_weights[token, choice].unsqueeze(-1)
        output.index_add_(0, token, down(F.silu(gate) * up).float() * weight.float())
    return output.to(input.dtype)
