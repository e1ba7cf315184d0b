"""Transfer learning: a model that has learned one task as the start for another.

Load what was learned (`load_pretrained`), replace the last layer (`replace_head`), keep what need not change
(`freeze`), let the rest learn at rates by depth (`parameter_groups_by_depth`), or look at what a model makes on the way
(`intermediate_outputs`). `add_lora` learns small changes beside frozen matrices. `advise` says which of these.
`pretrain_then_classify` is the recipe for few labels.
"""

from chainrule.transfer.advice import Advice, advise
from chainrule.transfer.few_labels import FewLabels, classify, pretrain, pretrain_then_classify
from chainrule.transfer.freezing import freeze, unfreeze
from chainrule.transfer.head import find_head, replace_head
from chainrule.transfer.intermediate import IntermediateOutputs, intermediate_outputs
from chainrule.transfer.lora import LoraLinear, LoraReport, add_lora, merge_lora, remove_lora, unmerge_lora
from chainrule.transfer.lora_files import load_lora, save_lora
from chainrule.transfer.pretrained import LoadReport, load_pretrained
from chainrule.transfer.rates import parameter_groups_by_depth

__all__ = [
    "Advice",
    "FewLabels",
    "IntermediateOutputs",
    "LoadReport",
    "LoraLinear",
    "LoraReport",
    "add_lora",
    "advise",
    "classify",
    "find_head",
    "freeze",
    "intermediate_outputs",
    "load_lora",
    "load_pretrained",
    "merge_lora",
    "parameter_groups_by_depth",
    "pretrain",
    "pretrain_then_classify",
    "remove_lora",
    "replace_head",
    "save_lora",
    "unfreeze",
    "unmerge_lora",
]
