"""REST in the shape of the hosted platform's API (version 2021-07-01), so that thin clients port."""
