"""Tiny random checkpoints in the layout of transformers, with tokenizers, made on the spot."""

from pathlib import Path

import torch

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "blue", "ball", "box", "rolls", "falls", "to", "the", "left"]


def save_bert(folder: Path, *, pooler: bool = True) -> Path:
    from transformers import BertConfig, BertModel, BertTokenizer

    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(WORDS), max_position_embeddings=12, initializer_range=0.5, **sizes)
    BertModel(config, add_pooling_layer=pooler).save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def save_clip(folder: Path) -> Path:
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    text = _sizes() | {"vocab_size": len(WORDS), "max_position_embeddings": 10, "eos_token_id": 3, "bos_token_id": 2}
    vision = _sizes() | {"image_size": 32, "patch_size": 16}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=8, initializer_factor=5.0)
    CLIPModel(config).save_pretrained(folder)
    _save_processors(folder, "CLIPImageProcessor", size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return folder


def save_siglip(folder: Path) -> Path:
    from transformers import SiglipConfig, SiglipModel

    torch.manual_seed(0)
    text = _sizes() | {"vocab_size": len(WORDS), "max_position_embeddings": 10, "projection_size": 16}
    vision = _sizes() | {"image_size": 32, "patch_size": 16}
    SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
    _save_processors(folder, "SiglipImageProcessor", size={"height": 32, "width": 32})
    return folder


def _sizes() -> dict[str, int]:
    return {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def _save_processors(folder: Path, kind: str, **options: object) -> None:
    import json

    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: k for k, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    settings = {"image_processor_type": kind, "do_resize": True, **options}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
