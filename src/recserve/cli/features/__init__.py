"""`recserve features`: what an fg.json means, and what it makes of data; one file per command."""
