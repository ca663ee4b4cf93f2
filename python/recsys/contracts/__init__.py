"""The shapes that cross a boundary, each defined once. Imports nothing of ours."""
