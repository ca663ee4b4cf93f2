"""Reading rows from Parquet, CSV and JSON Lines files: mapped, checked, and bad ones put aside."""
