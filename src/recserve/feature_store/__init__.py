"""A feature store over sources: one registry file in git says what there is, and where its tables are."""
