"""What the process's variables say to the features commands."""


def farm_hash() -> bool:
    """Text is hashed by FarmHash, as in training (USE_FARM_HASH_TO_BUCKETIZE)."""
    from recserve.config.environment import environment, process_environ

    return environment(process_environ(), {}).farm_hash
