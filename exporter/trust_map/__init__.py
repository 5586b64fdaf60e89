"""The trust map: which device classes trust which CAs, and what hangs on each of them."""
