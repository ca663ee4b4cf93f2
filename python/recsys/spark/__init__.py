"""The distributed engine: the builds of large logs as Spark DataFrame jobs (extra ``spark``)."""
