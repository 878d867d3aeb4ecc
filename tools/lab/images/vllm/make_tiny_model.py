#!/usr/bin/env python3
"""Makes a tiny Qwen3 or Qwen3-MoE model with random weights and a byte-level BPE tokenizer.

usage: make_tiny_model.py DIRECTORY dense|moe

16 attention and key-value heads and 16 experts: tensor and expert parallelism up to 16 divide them.
The weights are real files, so that vLLM's default loader runs too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY = 512
HIDDEN = 256
HEADS = 16
HEAD_SIZE = 32
LAYERS = 2
EXPERTS = 16
INTERMEDIATE = 256
MAX_POSITION = 65536

END_OF_TEXT, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}<|im_start|>assistant\n"
)
CORPUS = [
    "the quick brown fox jumps over the lazy dog",
    "San Francisco is a city in California",
    "to be, or not to be, that is the question",
    "0123456789 one two three four five six seven eight nine ten",
]


def main(directory: Path, kind: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer().save(str(directory / "tokenizer.json"))
    files: dict[str, Any] = {
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": END,
            "pad_token": END_OF_TEXT,
            "model_max_length": MAX_POSITION,
            "clean_up_tokenization_spaces": False,
            "chat_template": CHAT_TEMPLATE,
        },
        "config.json": config(kind),
        "generation_config.json": {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0},
    }
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content, indent=1) + "\n")
    path = directory / "model.safetensors"
    save_file(weights(kind), str(path), metadata={"format": "pt"})
    path.chmod(0o644)


def tokenizer() -> Tokenizer:
    made = Tokenizer(models.BPE(unk_token=None))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        CORPUS * 4,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY - 12,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=[END_OF_TEXT, START, END],
            show_progress=False,
        ),
    )
    return made


def config(kind: str) -> dict[str, Any]:
    common = {
        "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "head_dim": HEAD_SIZE,
        "hidden_act": "silu",
        "max_position_embeddings": MAX_POSITION,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "initializer_range": 0.02,
    }
    if kind == "dense":
        return common | {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]}
    return common | {
        "model_type": "qwen3_moe",
        "architectures": ["Qwen3MoeForCausalLM"],
        "num_experts": EXPERTS,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": INTERMEDIATE,
        "norm_topk_prob": True,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "router_aux_loss_coef": 0.001,
    }


def weights(kind: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    made: dict[str, torch.Tensor] = {}

    def matrix(name: str, rows: int, columns: int) -> None:
        made[f"{name}.weight"] = (torch.randn(rows, columns) * 0.02).bfloat16()

    def norm(name: str, size: int) -> None:
        made[f"{name}.weight"] = torch.ones(size).bfloat16()

    def mlp(name: str) -> None:
        matrix(f"{name}.gate_proj", INTERMEDIATE, HIDDEN)
        matrix(f"{name}.up_proj", INTERMEDIATE, HIDDEN)
        matrix(f"{name}.down_proj", HIDDEN, INTERMEDIATE)

    matrix("model.embed_tokens", VOCABULARY, HIDDEN)
    matrix("lm_head", VOCABULARY, HIDDEN)
    norm("model.norm", HIDDEN)
    for number in range(LAYERS):
        layer = f"model.layers.{number}"
        norm(f"{layer}.input_layernorm", HIDDEN)
        norm(f"{layer}.post_attention_layernorm", HIDDEN)
        for projection in ("q_proj", "k_proj", "v_proj"):
            matrix(f"{layer}.self_attn.{projection}", HEADS * HEAD_SIZE, HIDDEN)
        matrix(f"{layer}.self_attn.o_proj", HIDDEN, HEADS * HEAD_SIZE)
        norm(f"{layer}.self_attn.q_norm", HEAD_SIZE)
        norm(f"{layer}.self_attn.k_norm", HEAD_SIZE)
        if kind == "dense":
            mlp(f"{layer}.mlp")
            continue
        matrix(f"{layer}.mlp.gate", EXPERTS, HIDDEN)
        for expert in range(EXPERTS):
            mlp(f"{layer}.mlp.experts.{expert}")
    return made


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[2] not in ("dense", "moe"):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2])
