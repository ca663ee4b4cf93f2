"""DB-only mode: catalog, daily popularity and co-visitation rows go into the store and are served from
there.
"""
