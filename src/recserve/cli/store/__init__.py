"""The commands of `recserve store`, one file each."""
