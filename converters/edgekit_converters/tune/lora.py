"""Low-rank adapters (Hu et al. 2021, 2106.09685), by peft: trained beside, merged at the end."""

from __future__ import annotations

from typing import Any

from edgekit.errors import Unsupported
from edgekit_converters.quiet import quiet

_DROPOUT = 0.05


def with_adapters(model: Any, rank: int, peft_task: str, fresh: tuple[str, ...]) -> Any:
    """The model with adapters on every linear layer; only these and a new head are trained.

    Args:
        model: a transformers model.
        rank: of the adapters; they count twice as much as their rank.
        peft_task: what peft calls the task.
        fresh: parameters of a new head, trained in full.

    Raises:
        Unsupported: peft finds nothing to adapt in this architecture.
    """
    from peft import LoraConfig, get_peft_model

    base = f"{model.base_model_prefix}."
    heads = {name.split(".")[0] for name in fresh if not name.startswith(base)}
    config = LoraConfig(
        task_type=peft_task,
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=_DROPOUT,
        target_modules="all-linear",
        modules_to_save=sorted(heads) or None,
    )
    try:
        with quiet():
            return get_peft_model(model, config)
    except ValueError as error:
        raise Unsupported(
            f"peft cannot adapt {type(model).__name__}: {str(error)[:200]}",
            hint="Leave --lora out: all weights are trained then.",
        ) from error


def merged(model: Any) -> Any:
    """The model with its adapters added into its weights, an ordinary one again."""
    with quiet():
        return model.merge_and_unload()
