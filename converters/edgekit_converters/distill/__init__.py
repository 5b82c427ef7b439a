"""Distillation: a small model learns what a large one answers (Bucila 2006; Hinton 2015).

``losses/`` holds what is compared, one method a file. ``retraining.retrain`` trains a student in
memory; ``distilling.distill`` is the job behind ``edgekit distill``.
"""
