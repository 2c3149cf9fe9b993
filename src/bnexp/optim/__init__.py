"""Optimizers with their parameter groups, and learning-rate schedules as functions of the step."""
