"""Ranking logged requests again: a release, a config or one signal gives the lists that it would have
given.
"""
