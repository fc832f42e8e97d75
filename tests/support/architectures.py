"""A tiny random text classifier of every architecture that transformers has, in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

TOKENS = 64  # of every vocabulary, and of every text at most
WORDS = "a the film plot is was not so good bad dull warm funny slow quick they say it of and"
TEXTS = [
    "a good film",
    "bad",
    "the plot is not so good and the film was slow",
    "warm funny quick",
    "they say it is the good of the film and it was dull",
]
LABELS = ["bad", "fair", "good"]


def _each(size: int, names: str) -> dict[str, int]:
    return dict.fromkeys(names.split(), size)


# As far as a config has them.
_SIZES = {
    **_each(
        32,
        "hidden_size d_model dim n_embd emb_dim d_embed word_embed_proj_dim embedding_size "
        "attention_head_dim",
    ),
    **_each(
        2,
        "num_hidden_layers n_layers n_layer num_layers encoder_layers decoder_layers "
        "num_decoder_layers num_attention_heads n_heads n_head encoder_attention_heads "
        "decoder_attention_heads num_heads num_key_value_heads num_local_experts num_experts "
        "n_routed_experts linear_num_key_heads linear_num_value_heads bos_token_id cls_token_id",
    ),
    **_each(
        48,
        "intermediate_size d_ff ffn_dim encoder_ffn_dim decoder_ffn_dim hidden_dim dff "
        "ffn_hidden_size",
    ),
    **_each(
        16,
        "head_dim d_kv d_head q_lora_rank kv_lora_rank qk_nope_head_dim qk_rope_head_dim "
        "v_head_dim global_head_dim sliding_window",
    ),
    **_each(
        TOKENS,
        "vocab_size n_positions max_position_embeddings n_ctx max_2d_position_embeddings "
        "vocab_size_per_layer_input attention_hidden_size",
    ),
    **_each(1, "num_experts_per_tok num_experts_per_token n_shared_experts n_group topk_group"),
    **_each(24, "moe_intermediate_size shared_expert_intermediate_size"),
    **_each(
        8,
        "linear_key_head_dim linear_value_head_dim mamba_d_head n_mamba_heads "
        "hidden_size_per_layer_input",
    ),
    **_each(3, "eos_token_id sep_token_id decoder_start_token_id"),
    "mamba_d_state": 4,
}
_LINEAR = {"layer_types": ["linear_attention", "full_attention"]}
_OWN: dict[str, dict[str, Any]] = {
    "canine": {"num_hash_buckets": 32, "num_hash_functions": 2, "local_transformer_stride": 8}
    | {"downsampling_rate": 2, "upsampling_kernel_size": 2},
    "cohere_compass_text": {
        "layer_types": ["full_attention", "full_attention"],
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4}},
    },
    "convbert": {"head_ratio": 1},
    "funnel": {"block_sizes": [1, 1], "block_repeats": [1, 1], "num_decoder_layers": 1}
    | {"d_inner": 48},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 8},
    "gptj": {"rotary_dim": 8},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2}
    | {"expert_layer_offset": 1, "mamba_dt_rank": 4, "use_mamba_kernels": False},
    "layoutlmv3": {"coordinate_size": 4, "shape_size": 8},
    "lilt": {"channel_shrink_ratio": 2, "hidden_size": 48},
    "longformer": {"attention_window": 8},
    "luke": {"entity_vocab_size": 8, "entity_emb_size": 16},
    "markuplm": {"max_depth": 4, "max_xpath_tag_unit_embeddings": 8, "tag_pad_id": 7}
    | {"max_xpath_subs_unit_embeddings": 8, "subs_pad_id": 7, "xpath_unit_hidden_size": 4},
    "mistral4": {"head_dim": 32, "qk_head_dim": 32},
    "mobilebert": {"embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16}
    | {"num_feedforward_networks": 1},
    "modernbert": {"global_attn_every_n_layers": 2, "local_attention": 16},
    "mpt": {"expansion_ratio": 2, "max_seq_len": TOKENS},
    "nystromformer": {"num_landmarks": TOKENS, "segment_means_seq_len": TOKENS},
    "perceiver": {"num_latents": 4, "d_latents": 32, "num_blocks": 1}
    | {"num_self_attends_per_block": 1, "num_self_attention_heads": 2}
    | {"num_cross_attention_heads": 2},
    "qwen3_5_text": _LINEAR,
    "qwen3_next": _LINEAR,
    "roc_bert": {"shape_vocab_size": 20, "pronunciation_vocab_size": 20},
    "squeezebert": _each(
        1, "q_groups k_groups v_groups post_attention_groups intermediate_groups output_groups"
    ),
    **{name: {"decoder_start_token_id": 0} for name in ("t5", "mt5", "umt5")},
    "xlnet": {"d_inner": 48},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
    "zamba": {"layer_types": ["linear_attention", "hybrid"] * 2, "num_hidden_layers": 4}
    | {"mamba_dt_rank": 4, "use_mamba_kernels": False, "n_mamba_heads": 2, "mamba_expand": 2},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid"] * 2, "num_hidden_layers": 4}
    | {"mamba_ngroups": 1, "mamba_headdim": 8, "mamba_expand": 2, "num_mem_blocks": 1}
    | {"use_mem_eff_path": False, "chunk_size": 8},
}


def model_types() -> list[str]:
    """Every kind of model that transformers classifies texts with."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    )

    return list(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES)


def config_of(model_type: str, **settings: Any) -> Any:
    """A tiny config of that architecture, for texts of `write`'s tokenizer."""
    from transformers import CONFIG_MAPPING

    cls = CONFIG_MAPPING[model_type]
    shrunk = _shrunk(cls().to_dict(), keep_others=False)
    for _name, part in shrunk.items():
        if isinstance(part, dict) and part.get("model_type") in _OWN:
            part |= _OWN[part["model_type"]]
    unset = _kind(model_type) == "decoder" and model_type != "modernbert-decoder"
    padding = {"pad_token_id": None if unset else 0}
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {n: i for i, n in enumerate(LABELS)}}
    own = _OWN.get(model_type, {})
    config = cls(**shrunk | padding | own | {"num_labels": len(LABELS)} | names | settings)
    config.get_text_config().pad_token_id = padding["pad_token_id"]
    return config


def _shrunk(config: dict[str, Any], *, keep_others: bool) -> dict[str, Any]:
    found = dict(config) if keep_others else {}
    for name, value in config.items():
        if isinstance(value, dict) and "model_type" in value:
            found[name] = _shrunk(value, keep_others=True)
        elif name in _SIZES and not isinstance(value, list | dict):
            found[name] = _SIZES[name]
        elif name == "layer_types":
            found[name] = None
    return found


def _kind(model_type: str) -> str:
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    if model_type == "xlnet":
        return "xlnet"
    if getattr(CONFIG_MAPPING[model_type](), "is_encoder_decoder", False):
        return "both"
    masked = model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    decoder = model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not masked
    return "decoder" if decoder else "encoder"


def tokenizer_for(kind: str) -> Any:
    """Words to ids, with the special tokens of a `kind` of model; a decoder's has no padding."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    specials = ["<pad>", "<unk>", "<cls>", "<sep>", "<mask>"]
    words = specials + WORDS.split()
    words += [f"word{at}" for at in range(len(words), TOKENS - 1)] + ["<|endoftext|>"]
    made = Tokenizer(models.WordLevel({w: at for at, w in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    templates = {
        "encoder": ("<cls> $A <sep>", "<cls> $A <sep> $B:1 <sep>:1"),
        "both": ("$A <sep>", "$A $B <sep>"),
        "xlnet": ("$A:0 <sep>:0 <cls>:2", "$A:0 <sep>:0 $B:1 <sep>:1 <cls>:2"),
    }
    if kind == "decoder":
        return PreTrainedTokenizerFast(
            tokenizer_object=made,
            eos_token="<sep>",
            model_input_names=["input_ids", "attention_mask"],
        )
    single, pair = templates[kind]
    made.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[("<cls>", 2), ("<sep>", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        unk_token="<unk>",
        cls_token="<cls>",
        sep_token="<sep>",
        eos_token="<sep>",
        mask_token="<mask>",
        padding_side="left" if kind == "xlnet" else "right",
    )


def write(folder: Path, model_type: str, *, seed: int = 0, **settings: Any) -> Path:
    """Save a classifier of that architecture and its tokenizer, as a hub would hold them."""
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(seed)
    config = config_of(model_type, **settings)
    module = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    with torch.no_grad():  # at the usual scale one so narrow answers every text alike
        for weight in module.parameters():
            if weight.dim() > 1 and weight.std() < 0.1:
                weight.mul_(4)
    module.save_pretrained(folder)
    tokenizer_for(_kind(model_type)).save_pretrained(folder)
    return folder
