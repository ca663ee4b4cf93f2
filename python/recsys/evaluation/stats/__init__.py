"""Statistics on plain arrays, one file per method; nothing here knows of logs, arms' names or reports.

Two types carry everything: a ``Mean`` (a value with its sampling variance, from any of the estimators) and a
``Difference`` (candidate minus control with interval and p-value). Estimators make the first, tests make the
second.
"""
