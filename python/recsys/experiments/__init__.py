"""Arms and who gets which, exploration with exact propensities, and lists of two teams."""
