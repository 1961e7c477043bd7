"""The wire formats: bytes and packets, without sockets, clocks, greenlets, WSGI or Pyramid."""
