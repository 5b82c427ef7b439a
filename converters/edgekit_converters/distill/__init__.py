"""Distillation: a small model learns what a large one answers (Bucila 2006; Hinton 2015).

``losses/`` holds what is compared, one method a file. ``retrain`` trains a student in memory;
``distilling.distill`` is the job behind ``edgekit distill``.
"""

from __future__ import annotations

from edgekit_converters.distill.retraining import retrain as retrain
