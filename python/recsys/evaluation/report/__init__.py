"""Reports: one story told three times, in ``report.json``, ``report.md`` and a single ``report.html``.

A mode makes a ``Report`` (contracts, the numbers) and a ``Story`` (what a reader sees: verdict, headline,
facts, charts, tables). ``write.write_report`` writes both to a folder.
"""
